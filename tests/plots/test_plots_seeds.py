"""Several seeds: every figure that shows numbers shows how far they spread."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Text
from saved_experiments import EPOCHS, FACTORS, LAYERS, MakeExperiment

from ib_analysis.plots.draw import FIGURES
from ib_analysis.plots.saved import SavedExperiment
from ib_analysis.plots.style import drawing_style

SEEDS = (0, 1, 2)


@pytest.fixture
def saved(make_experiment: MakeExperiment) -> SavedExperiment:
    return SavedExperiment(make_experiment(seeds=SEEDS))


@pytest.fixture
def figures(saved: SavedExperiment) -> dict[str, Figure]:
    with drawing_style():
        return dict(drawn for kind in FIGURES if not kind.missing(saved.folder) for drawn in kind.draw(saved))


def by_gid(figure: Figure, kind: type) -> list:
    return [artist for artist in figure.findobj(kind) if artist.get_gid() == "run"]


def words(figure: Figure) -> str:
    return " ".join(" ".join(text.get_text().split()) for text in figure.findobj(Text))


def test_every_figure_with_numbers_shows_single_runs(saved: SavedExperiment, figures: dict[str, Figure]) -> None:
    for name, figure in figures.items():
        assert "encoder seeds" in words(figure), name

    lines = by_gid(figures["information_by_epoch"], Line2D)
    assert len(lines) == 2 * 2 * len(LAYERS) * len(SEEDS)  # quantities, tasks, layers, seeds
    drawn = {round(float(value), 6) for line in lines for value in np.asarray(line.get_ydata())}
    assert drawn == {round(bits, 6) for row in saved.information for bits in (row.i_xh_bits, row.i_hy_bits)}

    dots = by_gid(figures["information_plane"], Line2D)
    places = {(round(float(x), 6), round(float(y), 6)) for dot in dots for x, y in zip(*dot.get_data(), strict=True)}
    assert places == {(round(row.i_xh_bits, 6), round(row.i_hy_bits, 6)) for row in saved.information}

    ticks = by_gid(figures["factors_by_epoch"], LineCollection)
    assert len(ticks) == 2 * len(LAYERS) * len(EPOCHS) * (len(FACTORS) + 1)  # and the whole image
    assert {len(tick.get_segments()) for tick in ticks} == {len(SEEDS)}


def test_samples_and_reconstructions_tell_the_range_over_seeds(
    saved: SavedExperiment, figures: dict[str, Figure]
) -> None:
    last = EPOCHS[-1]
    figure = figures[f"conditional_samples_by_layer_classification_epoch_{last:04d}"]
    for layer in LAYERS:
        cells = [
            row for row in saved.information if (row.task, row.layer, row.epoch) == ("classification", layer, last)
        ]
        bits = [row.i_xh_bits for row in cells]
        assert len(bits) == len(SEEDS)
        assert f"{min(bits):z.1f}…{max(bits):z.1f}" in words(figure)

    psnr = [
        point.psnr_db
        for run, points in saved.training.items()
        for point in points
        if run.task == "autoencoding" and point.split != "train" and point.epoch == last and point.psnr_db is not None
    ]
    assert len(psnr) == len(SEEDS)
    assert f"({min(psnr):.1f}…{max(psnr):.1f})" in words(figures["reconstructions"])
