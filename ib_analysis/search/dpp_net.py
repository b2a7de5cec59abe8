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

from ib_analysis.pareto.quality import sorted_fronts
from ib_analysis.search.evaluations import Evaluated, Evaluations, SearchEnded
from ib_analysis.search.problem import Problem
from ib_analysis.search.space import Architecture, Option, Space
from ib_analysis.search.surrogate import RecurrentSurrogate, Surrogate

__all__ = ["DppNet", "pareto_selection"]


@dataclass(frozen=True)
class DppNet:
    """Rounds of: make candidates, predict them, evaluate the K that Pareto selection keeps, learn.

    While it grows, a round's candidates are the K kept ones with all options of the choices that are new in the round
    (for a normalisation of three kinds and a convolution of six, 3 x 6 mutations). A choice that has not been reached
    rests at an option that passes its input on. When all choices are there, candidates are the one-choice changes of
    the front so far, until the budget is used up.

    The surrogate predicts the objectives that are not device metrics; those that are (MACs, a table or a measurement of
    latency) are known of every candidate *without an evaluation*, as in the paper. Methods that are not told them have
    less to go on, which a comparison must say.

    After each round `Evaluations.notes` has: its number, evaluated and candidates (how many), and the rank correlation
    (Spearman) of the first predicted objective between prediction and truth on the round's evaluations, which the
    surrogate had not seen; NaN where it was not asked, or all predictions or truths were equal.

    Arguments:
        growth: names of the choices that each growing round adds; () for one after the other.
        resting: choice -> option before it is reached; the first option for those not named.
        kept: K, evaluations of a round.
        spread: what a round's last, too large front is thinned by: True, to be far apart in losses; False, at random.
        surrogate: makes one, from a space and a seed.

    Raises:
        ValueError: kept is below 1.
    """

    growth: tuple[tuple[str, ...], ...] = ()
    resting: Mapping[str, Option] = field(default_factory=dict)
    kept: int = 20
    spread: bool = True
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
        surrogate = self.surrogate(space, seed)
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
            found = self._evaluate_best(evaluations, new, surrogate, rng) if new else []
            if growing:
                pool = [*found, *(evaluations.recall(one) for one in known)]
                places = pareto_selection(np.stack([one.losses for one in pool]), self.kept, rng, self.spread)
                parents = [pool[place].architecture for place in places]

    def _evaluate_best(
        self, evaluations: Evaluations, new: Sequence[Architecture], surrogate: Surrogate, rng: np.random.Generator
    ) -> list[Evaluated]:
        problem = evaluations.problem
        unknown = ~np.array(problem.known_objectives())
        asked = bool(evaluations.found) and bool(unknown.any())
        if evaluations.found or not unknown.any():
            predicted = _predicted(problem, new, surrogate if asked else None)
            beside = np.stack([one.losses for one in evaluations.found]) if evaluations.found else None
            chosen = pareto_selection(predicted, min(self.kept, evaluations.left), rng, self.spread, beside)
        else:  # nothing to predict from
            predicted = np.zeros((len(new), len(unknown)))
            chosen = rng.permutation(len(new))[: self.kept].tolist()
        found = [evaluations.evaluate(new[place]) for place in chosen]
        correlation = float("nan")
        if asked:
            first = int(np.flatnonzero(unknown)[0])
            correlation = _rank_correlation(predicted[chosen, first], np.array([one.losses[first] for one in found]))
        evaluations.notes.append(
            {
                "round": float(len(evaluations.notes) + 1),
                "candidates": float(len(new)),
                "evaluated": float(len(found)),
                "rank_correlation": correlation,
            }
        )
        if not evaluations.left:
            raise SearchEnded("all evaluations have been made.")
        if unknown.any():
            everything = evaluations.found
            losses = np.stack([one.losses for one in everything])[:, unknown]
            surrogate.fit([one.architecture for one in everything], losses)
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


def pareto_selection(
    losses: NDArray[np.float64],
    count: int,
    rng: np.random.Generator,
    spread: bool = True,
    beside: NDArray[np.float64] | None = None,
) -> list[int]:
    """The best `count` of some points: front after front, the last one thinned.

    Arguments:
        losses: shape (N, m), N >= 1.
        count: points wanted; all N if there are fewer.
        spread: thin the last front by taking the one farthest from those taken, again and again (Gonzalez 1985), from
            the least sum of losses on; else at random.
        beside: shape (M, m): further points that fronts are made of, but that are not selected.

    Returns:
        Indices, the better fronts first.
    """
    taken: list[int] = []
    for whole in sorted_fronts(losses if beside is None else np.concatenate([losses, beside])):
        front = whole[whole < len(losses)]
        room = count - len(taken)
        if len(front) <= room:
            taken += front.tolist()
        elif room > 0:
            taken += (front[_far_apart(losses[front], room)] if spread else rng.permutation(front)[:room]).tolist()
    return taken


def _far_apart(points: NDArray[np.float64], count: int) -> list[int]:
    scaled = points / np.maximum(np.ptp(points, axis=0), 1e-12)
    chosen = [int(points.sum(1).argmin())]
    nearest = np.linalg.norm(scaled - scaled[chosen[0]], axis=1)
    while len(chosen) < count:
        nearest[chosen] = -1.0
        chosen.append(int(nearest.argmax()))
        nearest = np.minimum(nearest, np.linalg.norm(scaled - scaled[chosen[-1]], axis=1))
    return chosen


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


def _predicted(problem: Problem, new: Sequence[Architecture], surrogate: Surrogate | None) -> NDArray[np.float64]:
    """Losses, shape (N, m): known ones exactly, the others by the surrogate."""
    known = np.array(problem.known_objectives())
    losses = np.zeros((len(new), len(known)))
    if known.any():
        devices = [problem.evaluator.device(one) for one in new]
        for k in np.flatnonzero(known):
            objective = problem.objectives[k]
            losses[:, k] = [objective.loss(metrics[objective.metric]) for metrics in devices]
    if surrogate is not None:
        losses[:, ~known] = surrogate.predict(new)
    return losses


def _rank_correlation(predicted: NDArray[np.float64], truth: NDArray[np.float64]) -> float:
    if len(truth) < 3 or np.ptp(predicted) == 0 or np.ptp(truth) == 0:
        return float("nan")
    return float(spearmanr(predicted, truth).statistic)
