"""What a controller proposes: any architecture, or a neighbour of what is not dominated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ib_analysis.search.controller import Controller
from ib_analysis.search.evaluations import Evaluated, Evaluations
from ib_analysis.search.space import Architecture

__all__ = ["Proposal", "free_proposals", "local_proposals", "log_probabilities"]


@dataclass(frozen=True)
class Proposal:
    """An architecture, and what it was drawn from.

    Arguments:
        architecture: that is proposed.
        context: of the controller.
        among: the architectures that it was drawn from; empty: all of the space.
    """

    architecture: Architecture
    context: int
    among: tuple[Architecture, ...] = ()


def free_proposals(
    controller: Controller,
    evaluations: Evaluations,
    context: int,
    count: int,
    beside: Sequence[Proposal],
    redraws: int,
    generator: torch.Generator,
) -> list[Proposal]:
    """Samples of the policy; those that were evaluated, or are among others of the batch, are drawn anew a few times.

    Arguments:
        beside: the batch's other proposals.
        redraws: how often at most.
    """
    if not count:
        return []
    drawn = controller.sample([context] * count, generator)
    taken = {one.architecture for one in beside}
    for _ in range(redraws):
        old = [k for k, one in enumerate(drawn) if one in evaluations or one in taken or one in drawn[:k]]
        if not old:
            break
        for k, new in zip(old, controller.sample([context] * len(old), generator), strict=True):
            drawn[k] = new
    return [Proposal(one, context) for one in drawn]


def local_proposals(
    controller: Controller,
    evaluations: Evaluations,
    members: Sequence[Evaluated],
    contexts: Sequence[int],
    count: int,
    generator: torch.Generator,
) -> list[Proposal]:
    """Neighbours of members, of the front for instance, that have not been evaluated, drawn by the policy.

    As in Pareto local search a member is drawn uniformly from those that have such neighbours; which of these it is,
    the controller decides: its probabilities, under the member's context, are restricted to them and normalised.

    Arguments:
        members: whose neighbours are wanted.
        contexts: of the controller, one per member.
        count: proposals at most; fewer where there are no more neighbours.
    """
    space = evaluations.problem.space
    near = [[new for new in space.neighbours(one.architecture) if new not in evaluations] for one in members]
    found: list[Proposal] = []
    while len(found) < count:
        taken = {one.architecture for one in found}
        left = [[one for one in neighbours if one not in taken] for neighbours in near]
        there = [k for k, neighbours in enumerate(left) if neighbours]
        if not there:
            break
        member = there[int(torch.randint(len(there), (), generator=generator))]
        among, context = left[member], contexts[member]
        with torch.no_grad():
            probabilities = controller([context] * len(among), among)[0].softmax(0)
        place = int(torch.multinomial(probabilities, 1, generator=generator))
        found.append(Proposal(among[place], context, tuple(among)))
    return found


def log_probabilities(controller: Controller, proposals: Sequence[Proposal]) -> tuple[Tensor, Tensor]:
    """Of each proposal among those that it was drawn from, shape (N,), in nats; and entropies, as of a controller.

    The second has the entropies of the policy's softmaxes on the way to the proposals, not of its restrictions.
    """
    asked = [(one.context, other) for one in proposals for other in (one.among or (one.architecture,))]
    log_p, entropies = controller([context for context, _ in asked], [one for _, one in asked])
    found, entropy, at = [], [], 0
    for one in proposals:
        among = one.among or (one.architecture,)
        place = at + among.index(one.architecture)
        rest = torch.logsumexp(log_p[at : at + len(among)], 0) if one.among else 0.0
        found.append(log_p[place] - rest)
        entropy.append(entropies[place])
        at += len(among)
    return torch.stack(found), torch.stack(entropy)
