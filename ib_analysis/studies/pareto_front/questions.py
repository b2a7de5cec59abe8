"""What layers keep along a front, and two questions: does it move one way, and is the middle a better classifier?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ib_analysis.experiment import Run
from ib_analysis.information.intervals import Bootstrap, Interval, paired_bootstrap_interval
from ib_analysis.information.seed_spread import spread_over_seeds
from ib_analysis.information.table import InformationRow
from ib_analysis.information.warnings import join_warnings, split_warnings
from ib_analysis.studies.pareto_front.evaluate import OnImages
from ib_analysis.studies.pareto_front.monotone import holm, monotone
from ib_analysis.studies.pareto_front.plan import Point, fronts_of
from ib_analysis.studies.pareto_front.rows import ParetoLayerRow, ParetoMiddleRow, ParetoMonotoneRow

__all__ = ["FEWEST_POINTS", "layer_rows", "middle_rows", "monotone_rows"]

FEWEST_POINTS = 3
"""A front of fewer points has no middle and no course."""


def layer_rows(
    name: str, points: Sequence[Point], measured: Sequence[InformationRow], confidence: float
) -> list[ParetoLayerRow]:
    """What every layer keeps at every point, means over seeds.

    Arguments:
        name: of the experiment.
        measured: rows of one epoch.
        confidence: level of the rows' intervals and of the means'.
    """
    rows = []
    for point in points:
        for layer in _layers(measured):
            cells = _cells(measured, point, layer)
            i_xh, i_hy = (_spread(cells, column, confidence) for column in ("i_xh_bits", "i_hy_bits"))
            rows.append(
                ParetoLayerRow(
                    name, point.task, point.number_format, point.kind, point.wanted, point.position, layer,
                    len({row.encoder_seed for row in cells}), confidence,
                    i_xh.estimate, i_xh.low, i_xh.high, i_hy.estimate, i_hy.low, i_hy.high, _warnings(cells),
                )
            )  # fmt: skip
    return rows


def monotone_rows(
    name: str, points: Sequence[Point], measured: Sequence[InformationRow], confidence: float
) -> list[ParetoMonotoneRow]:
    """Whether I(X;H) moves one way along each front, layer by layer."""
    rows = []
    for front in fronts_of(points):
        if len(front) < FEWEST_POINTS:
            continue
        layers = _layers(measured)
        courses = {layer: monotone(_values(measured, front, layer)) for layer in layers}
        adjusted = holm([course.p_value for course in courses.values()])
        for (layer, course), p_value in zip(courses.items(), adjusted, strict=True):
            verdict = "undecided" if p_value > 1 - confidence else "rises" if course.rho > 0 else "falls"
            cells = [row for point in front for row in _cells(measured, point, layer)]
            rows.append(
                ParetoMonotoneRow(
                    name, front[0].number_format, front[0].kind, layer, len(front), len(course.by_seed), course.rho,
                    min(course.by_seed), max(course.by_seed), course.p_value, p_value, course.steps_along,
                    course.n_steps, verdict, _warnings(cells),
                )
            )  # fmt: skip
    return rows


def middle_rows(
    name: str, points: Sequence[Point], judged: Mapping[Run, OnImages], bootstrap: Bootstrap
) -> list[ParetoMiddleRow]:
    """Accuracy of the middle of each front minus that of its classification end, and of classification alone.

    Which point is the middle follows from the list of trade-offs alone, not from what was found.
    """
    rows = []
    for front in fronts_of(points):
        if len(front) < FEWEST_POINTS:
            continue
        middle, end = front[(len(front) - 1) // 2], front[0]
        alone = [p for p in points if (p.task, p.number_format) == ("classification", front[0].number_format)]
        for other in [end, *alone]:
            rows.append(_middle_row(name, middle, other, judged, bootstrap))
    return rows


def _middle_row(
    name: str, middle: Point, other: Point, judged: Mapping[Run, OnImages], bootstrap: Bootstrap
) -> ParetoMiddleRow:
    theirs = {run.encoder_seed: judged[run].correct for run in other.runs}
    differences: dict[tuple[int, int], Interval] = {}
    n_images = 0
    for run in middle.runs:
        right, others = judged[run].correct, theirs[run.encoder_seed]
        assert right is not None
        assert others is not None
        n_images = len(right)
        differences[run.encoder_seed, 0] = paired_bootstrap_interval(
            right - others, bootstrap.confidence, bootstrap.n_resamples
        )
    spread = spread_over_seeds(differences, bootstrap.confidence)
    verdict = "better" if spread.mean.low > 0 else "worse" if spread.mean.high < 0 else "undecided"
    return ParetoMiddleRow(
        experiment=name,
        number_format=middle.number_format,
        kind=middle.kind,
        middle=middle.wanted,
        other=other.wanted or other.task,
        n_seeds=len(differences),
        n_images=n_images,
        confidence=bootstrap.confidence,
        difference=spread.mean.estimate,
        difference_low=spread.mean.low,
        difference_high=spread.mean.high,
        lowest=spread.lowest,
        highest=spread.highest,
        verdict=verdict if len(differences) > 1 else "one_seed",
    )


def _layers(rows: Sequence[InformationRow]) -> list[str]:
    return list(dict.fromkeys(row.layer for row in rows))


def _cells(rows: Sequence[InformationRow], point: Point, layer: str) -> list[InformationRow]:
    return [row for row in rows if (row.task, row.number_format, row.layer) == (point.task, point.number_format, layer)]


def _values(rows: Sequence[InformationRow], front: Sequence[Point], layer: str) -> np.ndarray:
    """I(X;H) by encoder seed and point, shape (S, P); means over decoder seeds."""
    seeds = [run.encoder_seed for run in front[0].runs]
    return np.array(
        [
            [np.mean([r.i_xh_bits for r in _cells(rows, p, layer) if r.encoder_seed == seed]) for p in front]
            for seed in seeds
        ]
    )


def _spread(cells: Sequence[InformationRow], column: str, confidence: float) -> Interval:
    runs = {
        (row.encoder_seed, row.decoder_seed): Interval(*(getattr(row, column + end) for end in ("", "_low", "_high")))
        for row in cells
    }
    return spread_over_seeds(runs, confidence).mean


def _warnings(cells: Sequence[InformationRow]) -> str:
    return join_warnings(name for row in cells for name in split_warnings(row.warnings))
