"""MONAS: a recurrent controller trained by REINFORCE on a reward of accuracy and device cost.

Hsu, Chang, Hsu et al. 2018 (arXiv 1806.10332); Cheng et al. 2018 (arXiv 1808.09830), section on MONAS. The policy
gradient is that of Williams (1992) with a moving baseline,

    grad J = E[(R - b) grad log p(architecture)] + entropy_bonus grad H.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from ib_analysis.search.controller import Controller
from ib_analysis.search.evaluations import Evaluated, Evaluations, SearchEnded
from ib_analysis.search.rewards import REWARDS
from ib_analysis.search.space import Architecture

__all__ = ["Monas", "shares"]

LONGEST_WALK = 50
"""Changes that a repeated proposal is given before it stays a repeat."""


@dataclass(frozen=True)
class Monas:
    """One controller for several parameters of a reward, which it is told at its first step.

    With a single parameter this is MONAS as published. The first objective is the accuracy (or error), the second what
    the device spends. An architecture that was evaluated before is never evaluated again: the controller hears its
    reward from memory, and `Evaluations.repeats` counts it.

    Arguments:
        reward: a name of `REWARDS`.
        parameters: of the reward: weights of the accuracy, or limits, as shares. Batches take them in turn.
        batch: proposals between two updates, all with the same parameter.
        hidden: units of the LSTM.
        learning_rate: of Adam.
        baseline_decay: what the moving baseline, one per parameter, keeps at each batch; it begins at the first batch's
            mean.
        entropy_bonus: weight of the softmaxes' entropy, in units of reward per nat.
        imitation_steps: after each batch, so many further steps towards the best architectures so far under each
            parameter, of all that were evaluated under any (self-imitation, Oh et al. 2018); 0, as published: none.
        redraws: how often a proposal that was evaluated before is drawn anew before it is handed on as a repeat; 0, as
            published: never. What is drawn anew is no longer a sample of the policy, so that its gradient is biased.
        refine: whether a proposal that is a repeat even so is changed in one random choice after another until it is
            none, at most `LONGEST_WALK` times (local refinement); False, as published: it is not.

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
    imitation_steps: int = 0
    redraws: int = 0
    refine: bool = False

    def __post_init__(self) -> None:
        if self.reward not in REWARDS:
            raise ValueError(f"there is no reward {self.reward!r}; choose from {', '.join(REWARDS)}.")
        if not self.parameters or not all(0 <= one <= 1 for one in self.parameters):
            raise ValueError("parameters are shares between 0 and 1, at least one.")
        if min(self.batch, self.hidden) < 1 or self.learning_rate <= 0 or not 0 <= self.baseline_decay < 1:
            raise ValueError("batch and hidden are at least 1, learning_rate is above 0, baseline_decay from 0 to 1.")
        if min(self.entropy_bonus, self.imitation_steps, self.redraws) < 0:
            raise ValueError("entropy_bonus, imitation_steps and redraws are at least 0.")

    def run(self, evaluations: Evaluations, seed: int) -> None:
        """See `Method`."""
        self.train(evaluations, seed)

    def train(self, evaluations: Evaluations, seed: int) -> Controller:
        """Search until the evaluations end it, and return the controller as it is then.

        Raises:
            ValueError: the problem has not two objectives.
        """
        if len(evaluations.problem.objectives) != 2:
            raise ValueError("MONAS rewards two objectives: accuracy (or error), and what a device spends.")
        generator = torch.Generator().manual_seed(seed)
        controller = Controller(evaluations.problem.space, len(self.parameters), self.hidden, generator)
        optimiser = torch.optim.Adam(controller.parameters(), self.learning_rate)
        baselines: dict[int, float] = {}
        batches = 0
        while True:
            context = batches % len(self.parameters)
            batches += 1
            proposals = self._proposals(controller, context, evaluations, generator)
            try:
                found = [evaluations.evaluate(one) for one in proposals]
            except SearchEnded:
                return controller
            rewards = self.rewards(found, context)
            baseline = baselines.setdefault(context, float(rewards.mean()))
            baselines[context] += (1 - self.baseline_decay) * (float(rewards.mean()) - baseline)
            advantage = torch.tensor(rewards - baseline, dtype=torch.float32)
            log_probability, entropy = controller([context] * len(proposals), proposals)
            loss = -(advantage * log_probability).mean() - self.entropy_bonus * entropy.mean()
            _take_step(optimiser, loss)
            for _ in range(self.imitation_steps):
                _take_step(optimiser, self._unlike_the_best(controller, evaluations.found))

    def rewards(self, found: Sequence[Evaluated], context: int) -> NDArray[np.float64]:
        """Shape (N,): the reward of each under a parameter, known by its place; -1 where a constraint is broken."""
        accuracy, cost = shares(found)
        kept = np.array([one.violation == 0 for one in found])
        # The least that any reward can be.
        return np.where(kept, REWARDS[self.reward](accuracy, cost, self.parameters[context]), -1.0)

    def _proposals(
        self, controller: Controller, context: int, evaluations: Evaluations, generator: torch.Generator
    ) -> list[Architecture]:
        proposals = controller.sample([context] * self.batch, generator)
        for _ in range(self.redraws):
            old = [k for k, one in enumerate(proposals) if one in evaluations or one in proposals[:k]]
            if not old:
                break
            for k, new in zip(old, controller.sample([context] * len(old), generator), strict=True):
                proposals[k] = new
        return self._refined(proposals, evaluations, generator) if self.refine else proposals

    def _refined(
        self, proposals: Sequence[Architecture], evaluations: Evaluations, generator: torch.Generator
    ) -> list[Architecture]:
        taken: list[Architecture] = []
        for one in proposals:
            new = one
            for _ in range(LONGEST_WALK):
                if new not in evaluations and new not in taken:
                    break
                near = evaluations.problem.space.neighbours(new)
                if not near:
                    break
                new = near[int(torch.randint(len(near), (), generator=generator))]
            taken.append(new)
        return taken

    def _unlike_the_best(self, controller: Controller, found: Sequence[Evaluated]) -> torch.Tensor:
        contexts = range(len(self.parameters))
        best = [found[int(np.argmax(self.rewards(found, context)))].architecture for context in contexts]
        log_probability, entropy = controller(list(contexts), best)
        return -log_probability.mean() - self.entropy_bonus * entropy.mean()


def _take_step(optimiser: torch.optim.Optimizer, loss: torch.Tensor) -> None:
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()


def shares(found: Sequence[Evaluated]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Accuracy and cost of `rewards`, shape (N,) each, from the two losses."""
    losses = np.clip(np.stack([one.losses for one in found]), 0.0, 1.0)
    return 1 - losses[:, 0], losses[:, 1]
