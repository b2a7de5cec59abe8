"""DPP-Net: architectures grown progressively, the promising ones picked by a surrogate and Pareto selection.

Dong, Cheng, Juan, Wei & Sun 2018 (arXiv 1806.08198); Cheng et al. 2018 (arXiv 1808.09830), section on DPP-Net.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

from ib_analysis.search.evaluations import Evaluated, Evaluations, SearchEnded
from ib_analysis.search.predictions import Predictions
from ib_analysis.search.selection import pareto_selection
from ib_analysis.search.space import Architecture, Option, Space
from ib_analysis.search.surrogate import RecurrentSurrogate, Surrogate

__all__ = ["DppNet"]


@dataclass(frozen=True)
class DppNet:
    """Rounds of: make candidates, predict them, evaluate the K that Pareto selection keeps, learn.

    While it grows, a round's candidates are the K kept ones with all options of the choices that are new in the round
    (for a normalisation of three kinds and a convolution of six, 3 x 6 mutations). A choice that has not been reached
    rests at an option that passes its input on. When all choices are there, candidates are the one-choice changes of
    the front so far, until the budget is used up.

    Device metrics (MACs, a table or a measurement of latency) are known of every candidate *without an evaluation*, as
    in the paper, unless `costs_known` is False; the surrogate predicts all other objectives and constraints. Methods
    that are not told a device's metrics have less to go on, which a comparison must say.

    What keeps all constraints comes before what does not, and a smaller violation before a larger one, among predicted
    candidates as among the K kept: where nothing keeps them, it looks for what comes nearest.

    After each round `Evaluations.notes` has: its number, evaluated and candidates (how many), and for each predicted
    objective, as ``rank_correlation <metric>``, the rank correlation (Spearman) between prediction and truth on the
    round's evaluations, which the surrogate had not seen; NaN where it was not asked, or all predictions or truths were
    equal.

    Arguments:
        growth: names of the choices that each growing round adds; () for one after the other.
        resting: choice -> option before it is reached; the first option for those not named.
        kept: K, evaluations of a round.
        spread: what a round's last, too large front is thinned by: True, to be far apart in losses; False, at random.
        costs_known: whether device metrics are known before an evaluation; False: of a candidate that has not been
            evaluated nothing is known, and its cost is predicted like its accuracy.
        surrogate: makes one, from a space and a seed.

    Raises:
        ValueError: kept is below 1.
    """

    growth: tuple[tuple[str, ...], ...] = ()
    resting: Mapping[str, Option] = field(default_factory=dict)
    kept: int = 20
    spread: bool = True
    costs_known: bool = True
    surrogate: Callable[[Space, int], Surrogate] = lambda space, seed: RecurrentSurrogate(space, seed=seed)

    def __post_init__(self) -> None:
        if self.kept < 1:
            raise ValueError(f"kept is {self.kept}; a round evaluates at least 1.")

    def run(self, evaluations: Evaluations, seed: int) -> None:
        """See `Method`.

        Raises:
            ValueError: the growth names no choice of the space, or not every choice once.
        """
        space = evaluations.problem.space
        rounds = self._rounds(space)
        rng = np.random.default_rng(seed)
        predictions = Predictions(evaluations.problem, self.surrogate(space, seed), self.costs_known)
        parents = [self._resting(space)]
        while True:
            growing = bool(rounds)
            if growing:
                candidates = _grown(space, parents, rounds.pop(0))
            else:
                candidates = [near for one in evaluations.front for near in space.neighbours(one.architecture)]
                if all(one in evaluations for one in candidates):
                    candidates = [near for one in evaluations.found for near in space.neighbours(one.architecture)]
            known = [one for one in dict.fromkeys(candidates) if one in evaluations]
            new = [one for one in dict.fromkeys(candidates) if one not in evaluations]
            if not new and not growing:
                raise SearchEnded("every change of what was evaluated has been evaluated.")
            found = self._evaluate_best(evaluations, new, predictions, rng) if new else []
            if growing:
                pool = [*found, *(evaluations.recall(one) for one in known)]
                losses = np.stack([one.losses for one in pool])
                violations = np.array([one.violation for one in pool])
                places = pareto_selection(losses, self.kept, rng, self.spread, violations=violations)
                parents = [pool[place].architecture for place in places]

    def _evaluate_best(
        self, evaluations: Evaluations, new: Sequence[Architecture], predictions: Predictions, rng: np.random.Generator
    ) -> list[Evaluated]:
        note = {"round": float(len(evaluations.notes) + 1), "candidates": float(len(new))}
        if predictions.ready:
            losses, violations = predictions.of(new)
            feasible = [one.losses for one in evaluations.found if one.violation == 0]
            beside = np.stack(feasible) if feasible else None
            chosen = pareto_selection(
                losses, min(self.kept, evaluations.left), rng, self.spread, beside, violations
            )  # fmt: skip
        else:  # nothing to predict from
            losses = np.zeros((len(new), len(evaluations.problem.objectives)))
            chosen = rng.permutation(len(new))[: self.kept].tolist()
        found = evaluations.evaluate_all([new[place] for place in chosen])
        for k in np.flatnonzero(~predictions.known_objectives):
            truth = np.array([one.losses[k] for one in found])
            name = evaluations.problem.objectives[k].metric
            note[f"rank_correlation {name}"] = _rank_correlation(losses[chosen, k], truth)
        evaluations.notes.append({**note, "evaluated": float(len(found))})
        if not evaluations.left:
            raise SearchEnded("all evaluations have been made.")
        predictions.learn(evaluations.found)
        return found

    def _rounds(self, space: Space) -> list[tuple[str, ...]]:
        names = [choice.name for choice in space.choices]
        rounds = list(self.growth) or [(name,) for name in names]
        if sorted(name for names_ in rounds for name in names_) != sorted(names):
            raise ValueError(f"growth must name every choice of the space once; the choices are {', '.join(names)}.")
        return rounds

    def _resting(self, space: Space) -> Architecture:
        indices = []
        for choice in space.choices:
            option = self.resting.get(choice.name, choice.options[0])
            if option not in choice.options:
                raise ValueError(f"{choice.name} cannot rest at {option!r}, which is none of its options.")
            indices.append(choice.options.index(option))
        return space.settled(indices)


def _grown(space: Space, parents: Iterable[Architecture], names: Sequence[str]) -> list[Architecture]:
    """Every parent with every combination of options of some choices."""
    places = [k for k, choice in enumerate(space.choices) if choice.name in names]
    found = []
    for parent in parents:
        for options in product(*(range(len(space.choices[place].options)) for place in places)):
            indices = list(parent)
            for place, option in zip(places, options, strict=True):
                indices[place] = option
            found.append(space.settled(indices))
    return found


def _rank_correlation(predicted: NDArray[np.float64], truth: NDArray[np.float64]) -> float:
    if len(truth) < 3 or np.ptp(predicted) == 0 or np.ptp(truth) == 0:
        return float("nan")
    return float(spearmanr(predicted, truth).statistic)
