"""MONAS: a recurrent controller trained by REINFORCE on a reward of accuracy and device cost.

Hsu, Chang, Liang et al. 2018 (arXiv 1806.10332); Cheng et al. 2018 (arXiv 1808.09830), section on MONAS. The policy
gradient is that of Williams (1992) with a moving baseline,

    grad J = E[(R - b) grad log p(architecture)] + entropy_bonus grad H.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from ib_analysis.search.controller import Controller
from ib_analysis.search.evaluations import Evaluated, Evaluations, SearchEnded
from ib_analysis.search.proposals import Proposal, free_proposals, local_proposals, log_probabilities
from ib_analysis.search.rewards import REWARDS

__all__ = ["Monas", "shares"]


@dataclass(frozen=True)
class Monas:
    """One controller for several parameters of a reward, which it is told at its first step.

    With a single parameter this is MONAS as published. The first objective is the accuracy (or error), `cost` what the
    device spends; further objectives are not rewarded. An architecture that was evaluated before is never evaluated
    again: the controller hears its reward from memory, and `Evaluations.repeats` counts it.

    What follows `entropy_bonus` is not in the papers, and is off by default. With a few hundred evaluations a policy
    gradient alone leaves the controller near to where it began, which is a random search.

    Arguments:
        reward: a name of `REWARDS`.
        parameters: of the reward: weights of the accuracy, or limits, as shares. Batches take them in turn.
        batch: proposals between two updates.
        hidden: units of the LSTM.
        learning_rate: of Adam.
        baseline_decay: what the moving baseline, one per parameter, keeps at each batch; it begins at the first batch's
            mean.
        entropy_bonus: weight of the softmaxes' entropy, in units of reward per nat.
        redraws: how often a proposal that was evaluated before is drawn anew before it is handed on as a repeat; 0:
            never. What is drawn anew is no longer a sample of the policy, so that its gradient is biased.
        warm_start: evaluations before imitation and local proposals begin, so that they start from an archive.
        imitation_steps: after each batch, so many further steps towards the best architectures so far under each
            parameter, of all that were evaluated under any (self-imitation, Oh et al. 2018); 0: none.
        imitated: how many of the best, per parameter.
        local: share of each batch that comes from the neighbourhood of the front: of a random member the neighbours
            that have not been evaluated, one of them drawn by the controller (`local_proposals`); where the front has
            no such neighbours any more, of everything that was evaluated; 0: none.
        annealing: share of the budget over which the parameters spread linearly from their mean, where they begin, to
            their values; 0: they begin with these.
        cost: place of the objective that the device spends, from 1 on; None: the second, of two.

    Raises:
        ValueError: an unknown reward, or a setting that cannot work.
    """

    reward: str = "mixed"
    parameters: tuple[float, ...] = (0.5,)
    batch: int = 10
    hidden: int = 32
    learning_rate: float = 0.01
    baseline_decay: float = 0.9
    entropy_bonus: float = 0.01
    redraws: int = 0
    warm_start: int = 0
    imitation_steps: int = 0
    imitated: int = 1
    local: float = 0.0
    annealing: float = 0.0
    cost: int | None = field(default=None, repr=False)  # repr names searches that were made before it was there

    def __post_init__(self) -> None:
        if self.reward not in REWARDS:
            raise ValueError(f"there is no reward {self.reward!r}; choose from {', '.join(REWARDS)}.")
        if not self.parameters or not all(0 <= one <= 1 for one in self.parameters):
            raise ValueError("parameters are shares between 0 and 1, at least one.")
        if min(self.batch, self.hidden, self.imitated) < 1 or self.learning_rate <= 0:
            raise ValueError("batch, hidden and imitated are at least 1, learning_rate is above 0.")
        if not 0 <= self.baseline_decay < 1:
            raise ValueError("baseline_decay is at least 0 and below 1.")
        if min(self.entropy_bonus, self.imitation_steps, self.redraws, self.warm_start) < 0:
            raise ValueError("entropy_bonus, imitation_steps, redraws and warm_start are at least 0.")
        if not 0 <= self.local <= 1 or not 0 <= self.annealing <= 1:
            raise ValueError("local and annealing are shares between 0 and 1.")
        if self.cost is not None and self.cost < 1:
            raise ValueError("cost is the place of an objective after the first, 1 or more.")

    def run(self, evaluations: Evaluations, seed: int) -> None:
        """See `Method`."""
        self.train(evaluations, seed)

    def train(self, evaluations: Evaluations, seed: int) -> Controller:
        """Search until the evaluations end it, and return the controller as it is then.

        Raises:
            ValueError: the problem has not two objectives, and `cost` is None; or it has none at that place.
        """
        objectives = len(evaluations.problem.objectives)
        if (self.cost is None and objectives != 2) or (self.cost is not None and self.cost >= objectives):
            raise ValueError(
                f"MONAS rewards two objectives, accuracy (or error) and what a device spends; of {objectives}, say "
                "with cost which the second is."
            )
        generator = torch.Generator().manual_seed(seed)
        controller = Controller(evaluations.problem.space, len(self.parameters), self.hidden, generator)
        optimiser = torch.optim.Adam(controller.parameters(), self.learning_rate)
        baselines: dict[int, float] = {}
        batches = 0
        while True:
            parameters = self.parameters_after(len(evaluations.found) / evaluations.budget)
            context = batches % len(parameters)
            batches += 1
            warm = len(evaluations.found) >= self.warm_start
            proposals: list[Proposal] = []
            if warm and self.local and evaluations.found:  # with nothing found there are no neighbours of it
                count = round(self.local * self.batch)
                for members in (evaluations.front, evaluations.found):  # the second where the first has been used up
                    liked = self._liked_under(members, evaluations.found, parameters)
                    proposals = local_proposals(controller, evaluations, members, liked, count, generator)
                    if proposals:
                        break
            room = self.batch - len(proposals)
            proposals += free_proposals(controller, evaluations, context, room, proposals, self.redraws, generator)
            try:
                found = evaluations.evaluate_all([one.architecture for one in proposals])
            except SearchEnded:
                return controller
            rewards = np.array(
                [self.rewards([one], parameters[proposal.context])[0]
                 for one, proposal in zip(found, proposals, strict=True)]
            )  # fmt: skip
            advantage = rewards - self._baselines(baselines, [one.context for one in proposals], rewards)
            log_probability, entropy = log_probabilities(controller, proposals)
            gained = (torch.tensor(advantage, dtype=torch.float32) * log_probability).mean()
            _take_step(optimiser, -gained - self.entropy_bonus * entropy.mean())
            if warm:
                for _ in range(self.imitation_steps):
                    _take_step(optimiser, self._unlike_the_best(controller, evaluations.found, parameters))

    def parameters_after(self, share: float) -> tuple[float, ...]:
        """Of the reward, when a share of the budget has been used.

        >>> Monas(parameters=(0.2, 0.8), annealing=0.5).parameters_after(0.25)
        (0.35, 0.65)
        """
        spread = min(1.0, share / self.annealing) if self.annealing else 1.0
        mean = float(np.mean(self.parameters))
        return tuple(round(mean + spread * (one - mean), 12) for one in self.parameters)

    def rewards(self, found: Sequence[Evaluated], parameter: float) -> NDArray[np.float64]:
        """Shape (N,): the reward of each; below -1, the least that any reward can be, where a constraint is broken.

        A larger violation costs more, up to 1 in all.
        """
        accuracy, cost = shares(found, self.cost or 1)
        violations = np.array([one.violation for one in found])
        rewards = REWARDS[self.reward](accuracy, cost, parameter)
        return np.where(violations == 0, rewards, -1.0 - np.minimum(violations, 1.0))

    def _baselines(
        self, baselines: dict[int, float], contexts: Sequence[int], rewards: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Shape (N,): the baseline of each proposal; those that are met are moved, but only for the next batch."""
        means = {one: float(rewards[np.array(contexts) == one].mean()) for one in set(contexts)}
        used = np.array([baselines.setdefault(one, means[one]) for one in contexts])
        for one, mean in means.items():
            baselines[one] += (1 - self.baseline_decay) * (mean - baselines[one])
        return used

    def _liked_under(
        self, members: Sequence[Evaluated], found: Sequence[Evaluated], parameters: Sequence[float]
    ) -> list[int]:
        """Per member, the parameter under which least is missing to the best reward so far."""
        best = [self.rewards(found, one).max() for one in parameters]
        missing = [top - self.rewards(members, one) for top, one in zip(best, parameters, strict=True)]
        return [int(k) for k in np.argmin(missing, axis=0)]

    def _unlike_the_best(
        self, controller: Controller, found: Sequence[Evaluated], parameters: Sequence[float]
    ) -> torch.Tensor:
        contexts, best = [], []
        for context, parameter in enumerate(parameters):
            order = np.argsort(-self.rewards(found, parameter), kind="stable")[: self.imitated]
            contexts += [context] * len(order)
            best += [found[k].architecture for k in order]
        log_probability, entropy = controller(contexts, best)
        return -log_probability.mean() - self.entropy_bonus * entropy.mean()


def _take_step(optimiser: torch.optim.Optimizer, loss: torch.Tensor) -> None:
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()


def shares(found: Sequence[Evaluated], cost: int = 1) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Accuracy and cost of `rewards`, shape (N,) each, from the first loss and that at the place `cost`."""
    losses = np.clip(np.stack([one.losses for one in found]), 0.0, 1.0)
    return 1 - losses[:, 0], losses[:, cost]
