"""Limits in the study of fronts: whether training kept them, in the table, in words and in the figures."""

from __future__ import annotations

import typing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ib_analysis.information.table import write_table
from ib_analysis.studies.pareto_front.figure import draw
from ib_analysis.studies.pareto_front.plan import Point
from ib_analysis.studies.pareto_front.rows import ParetoLayerRow, ParetoNetworkRow, ParetoPointRow
from ib_analysis.studies.pareto_front.summary import limit_sentences, summary
from ib_analysis.studies.pareto_front.table import TABLES, Tables, point_row, read_tables
from ib_analysis.training import TradeOff

WISHES = ["4-1", "1-1", "1-4", "limit-0.5", "limit-0.2"]


def _filled(row: type, /, **values: Any) -> Any:
    """A row whose other numbers are 0.5 and whose other words are empty."""
    hints = typing.get_type_hints(row)
    return row(**{name: values.get(name, "" if hint is str else 1 if hint is int else 0.5)
                  for name, hint in hints.items()})  # fmt: skip


def _networks(wish: TradeOff, position: int, losses: tuple[float, ...]) -> list[ParetoNetworkRow]:
    numbers = ":".join(f"{number:g}" for number in wish.numbers)
    return [
        _filled(
            ParetoNetworkRow, task=f"joint-{wish.name}", number_format="float32", encoder_seed=seed, kind=wish.kind,
            wanted=numbers, position=position, train_reconstruction_loss=loss, reconstruction_loss=loss + 0.01,
        )
        for seed, loss in enumerate(losses)
    ]  # fmt: skip


def _points_and_networks() -> tuple[list[ParetoPointRow], list[ParetoNetworkRow]]:
    points, networks = [], []
    for place, name in enumerate(WISHES):
        wish = TradeOff.parse(name)
        place = place % 3
        own = _networks(wish, place, (0.19, 0.2, 0.45))
        point = Point(own[0].task, "float32", wish, place, ())
        points.append(point_row("toy", point, own, 0.95))
        networks += own
    return points, networks


def _tables() -> Tables:
    points, networks = _points_and_networks()
    layers = [
        _filled(
            ParetoLayerRow, task=row.task, number_format="float32", kind=row.kind, wanted=row.wanted,
            position=row.position, layer=layer,
        )
        for row in points
        for layer in ("h1", "h2")
    ]  # fmt: skip
    return Tables(networks, points, layers, [], [])


def _drawn(figure: Figure) -> list[str]:
    return [artist.get_gid() for artist in figure.findobj() if artist.get_gid()]


def _axes(figure: Figure) -> list[Axes]:
    return [artist for artist in figure.findobj() if isinstance(artist, Axes)]


def test_a_point_tells_its_training_losses_and_how_many_networks_kept_the_limit() -> None:
    points = {row.wanted: row for row in _points_and_networks()[0]}
    assert points["0.2"].train_reconstruction_loss == pytest.approx(0.28)
    assert points["0.2"].train_classification_loss == 0.5
    assert points["0.2"].n_within_limit == 2  # at the limit is within
    assert points["0.5"].n_within_limit == 3
    assert points["4:1"].n_within_limit is None


def test_the_summary_says_whether_limits_were_kept() -> None:
    tables = _tables()
    first, second = limit_sentences(tables.points)
    assert first.startswith("Limit 0.5: kept in training by 3 of 3 networks; reconstruction loss 0.2800 in training")
    assert second.startswith("Limit 0.2: kept in training by 2 of 3 networks")
    told = summary(tables)
    assert first in told
    assert "0.5000 0.2800" in told  # the training losses of a point
    other = [replace(row, number_format="w4a4_ends8") for row in tables.points]
    assert limit_sentences(other)[0].startswith("Limit 0.5 w4a4_ends8: kept")


def test_limits_are_drawn_beside_preferences(tmp_path: Path) -> None:
    tables = _tables()
    for (name, kind), rows in zip(TABLES.items(), vars(tables).values(), strict=True):
        write_table(tmp_path / name, kind, rows)
    assert [row.n_within_limit for row in read_tables(tmp_path).points] == [None, None, None, 3, 2]
    figures = dict(draw(tmp_path))
    losses, information = figures["pareto_front"], figures["pareto_front_information"]
    assert _drawn(losses).count("limit") == 2
    (left,) = [axes for axes in _axes(losses) if axes.get_xlabel() == "classification loss"]
    low, high = left.get_ylim()
    assert low < 0.2 < 0.5 < high
    assert _drawn(information).count("course") == 4  # two layers of two kinds of front
    titles = {axes.get_title(loc="left") or axes.get_title() for axes in _axes(information)}
    assert {"Exact Pareto search", "Limit of the reconstruction loss"} <= titles


def test_no_whisker_leads_beyond_all_images(tmp_path: Path) -> None:
    """A t interval for the mean over seeds may."""
    tables = _tables()
    points = [replace(row, accuracy=0.99, accuracy_low=0.96, accuracy_high=1.02) for row in tables.points]
    for (name, kind), rows in zip(TABLES.items(), vars(replace(tables, points=points)).values(), strict=True):
        write_table(tmp_path / name, kind, rows)
    (right,) = [axes for axes in _axes(dict(draw(tmp_path))["pareto_front"]) if axes.get_xlabel() == "accuracy, %"]
    ends = [x for container in right.containers for line in container.lines[2] for path in line.get_segments()
            for x, _ in path]  # fmt: skip
    assert (min(ends), max(ends)) == pytest.approx((96, 100))


def test_names_of_points_that_lie_close_do_not_lie_upon_each_other(tmp_path: Path) -> None:
    tables = _tables()
    losses = [(0.50, 0.20), (0.51, 0.198), (0.6, 0.1), (0.7, 0.05), (0.71, 0.04)]  # of each front in its order
    points = [
        replace(row, classification_loss=one, reconstruction_loss=other)
        for row, (one, other) in zip(tables.points, losses, strict=True)
    ]
    for (name, kind), rows in zip(TABLES.items(), vars(replace(tables, points=points)).values(), strict=True):
        write_table(tmp_path / name, kind, rows)
    figure = dict(draw(tmp_path))["pareto_front"]
    (left,) = [axes for axes in _axes(figure) if axes.get_xlabel() == "classification loss"]
    figure.canvas.draw()
    boxes = [text.get_window_extent() for text in left.texts]
    assert len(boxes) == len(tables.points)
    assert not any(one.overlaps(other) for place, one in enumerate(boxes) for other in boxes[:place])
    assert min(box.x0 for box in boxes) > left.get_window_extent().x0
