"""The figure of phases: a bar for every number of the table, intervals, grey warnings, and the findings in words."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.text import Text

from ib_analysis.artifacts import UserError, sha256_of_file
from ib_analysis.information.intervals import Bootstrap
from ib_analysis.information.phases_table import CurveKey, PhaseRow, phase_rows
from ib_analysis.information.table import read_table, write_table
from ib_analysis.plots import draw_all, phases
from ib_analysis.plots.saved import SavedExperiment
from ib_analysis.plots.style import WARNED, drawing_style, save

LAYERS, EPOCHS = ("h1", "h2", "h3"), (0, 5, 20)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An experiment's folder with the facts about its images, and no phases yet."""
    facts = {"name": "digits", "class_names": ["0", "1"], "h_x_bits": None, "h_y_bits": 1.0}
    made = tmp_path / "toy"
    made.mkdir()
    (made / "data.json").write_text(json.dumps(facts))
    return made


def write_phases(
    folder: Path,
    seeds: tuple[int, ...] = (0,),
    warned: str = "",
    bad: str = "",
    number_format: str = "float32",
    at: int = 20,
) -> list[PhaseRow]:
    """A table of two tasks and three layers; of one layer a warning at an epoch, or lengths that are not finite."""
    rng = np.random.default_rng(0)
    lengths, warnings = {}, {}
    for task, mean in (("classification", (-20.0, 0.0, -6.0)), ("autoencoding", (-20.0, -9.0, 0.0))):
        for layer in LAYERS:
            for seed in seeds:
                key = CurveKey(task, number_format, layer, seed, 0)
                lengths[key] = {
                    epoch: 50 - bits + rng.normal(0, 0.3) + rng.normal(size=40)
                    for epoch, bits in zip(EPOCHS, mean, strict=True)
                }
                if layer == warned:
                    warnings[key, at] = "validation_code_length_still_falling"
                if layer == bad:
                    lengths[key][20] = np.full(40, math.inf)
    rows = phase_rows("toy", lengths, warnings, Bootstrap(n_resamples=199))
    write_table(folder / "phases.csv", PhaseRow, rows)
    return rows


def drawn(folder: Path) -> Figure:
    with drawing_style():
        ((name, figure),) = phases.draw(SavedExperiment(folder))
    assert name == "phases"
    return figure


def panels(figure: Figure) -> list[Axes]:
    return figure.findobj(Axes)


def bars(figure: Figure, gid: str) -> list[Rectangle]:
    return [bar for bar in figure.findobj(Rectangle) if bar.get_gid() == gid]


def words(figure: Figure) -> str:
    return " ".join(" ".join(text.get_text().split()) for text in figure.findobj(Text))


def test_quantized_networks_say_where_their_phases_begin(folder: Path) -> None:
    write_phases(folder)
    assert "Quantized networks" not in words(drawn(folder))
    write_phases(folder, number_format="w4a4_ends8")
    assert f"activations are quantized: w4a4_ends8 from epoch {EPOCHS[0]}." in words(drawn(folder))


def test_every_number_is_a_bar_with_its_interval(folder: Path) -> None:
    rows = write_phases(folder)
    figure = drawn(folder)
    assert [axes.get_title(loc="left") for axes in panels(figure)] == ["Classification", "Autoencoding"]
    assert [bar.get_height() for bar in bars(figure, "fitting_gain")] == pytest.approx(
        [row.fitting_gain_bits for row in rows]
    )
    assert [-bar.get_height() for bar in bars(figure, "compression_loss")] == pytest.approx(
        [row.compression_loss_bits for row in rows]
    )
    ends = [
        sorted(segment[:, 1])
        for axes in panels(figure)
        for lines in axes.collections
        if isinstance(lines, LineCollection)
        for segment in lines.get_segments()
    ]
    for row in rows:
        gain = [row.fitting_gain_bits_low, row.fitting_gain_bits_high]
        loss = [-row.compression_loss_bits_high, -row.compression_loss_bits_low]
        for interval in (gain, loss):
            assert any(np.allclose(interval, end, atol=1e-6) for end in ends)
        low, high = panels(figure)[0].get_ylim()
        assert low < loss[0]
        assert gain[1] < high
    labels = [label.get_text() for label in panels(figure)[0].get_xticklabels()]
    assert labels == ["h1\npeak 5", "h2\npeak 5", "h3\npeak 5"]
    assert not [line for line in figure.findobj(Line2D) if line.get_gid() == "run"]


def test_the_findings_stand_below_in_words(folder: Path) -> None:
    rows = write_phases(folder)
    text = words(drawn(folder))
    for row in rows:
        assert row.finding in text
    assert "One network each" in text
    assert "warning" not in text


# In classification the peak of h2 is at epoch 5, in autoencoding at the end.
@pytest.mark.parametrize(
    ("at", "gains", "losses", "sentences"),
    [
        (0, 2, 0, {"(the gain is grey: with a warning)"}),
        (5, 1, 1, {"(grey: with a warning)"}),
        (20, 1, 2, {"(grey: with a warning)", "(the loss is grey: with a warning)"}),
    ],
)
def test_bars_with_a_warning_are_grey_and_hollow_and_no_others(
    folder: Path, at: int, gains: int, losses: int, sentences: set[str]
) -> None:
    write_phases(folder, warned="h2", at=at)
    figure = drawn(folder)
    grey = bars(figure, "warned")
    assert len(grey) == gains + losses
    for bar in grey:
        assert to_hex(bar.get_edgecolor()) == WARNED
        assert to_hex(bar.get_facecolor()) == "#ffffff"
    assert len(bars(figure, "fitting_gain")) == 6 - gains
    assert len(bars(figure, "compression_loss")) == 6 - losses
    text = words(figure)
    assert "validation code length still falling" in text
    found = {"(grey: with a warning)", "(the gain is grey: with a warning)", "(the loss is grey: with a warning)"}
    assert {sentence for sentence in found if sentence in text} == sentences


def test_several_seeds_show_the_mean_curve_and_every_run(folder: Path) -> None:
    rows = write_phases(folder, seeds=(0, 1, 2))
    figure = drawn(folder)
    over = [row for row in rows if row.encoder_seed is None]
    assert [bar.get_height() for bar in bars(figure, "fitting_gain")] == pytest.approx(
        [row.fitting_gain_bits for row in over]
    )
    points = [line for line in figure.findobj(Line2D) if line.get_gid() == "run"]
    found = sorted(float(value) for line in points for value in line.get_ydata())
    single = [row for row in rows if row.encoder_seed is not None]
    expected = [row.fitting_gain_bits for row in single] + [-row.compression_loss_bits for row in single]
    assert found == pytest.approx(sorted(expected), abs=1e-6)
    assert "t over 3 encoder seeds. Points: single runs." in words(figure)
    assert over[0].finding in words(figure)


def test_intervals_far_beyond_all_bars_are_cut_and_said_to_be(folder: Path) -> None:
    rows = write_phases(folder)
    low, high = panels(drawn(folder))[0].get_ylim()
    assert low < -max(row.compression_loss_bits_high for row in rows)
    assert high > max(row.fitting_gain_bits_high for row in rows)
    assert phases.CUT not in words(drawn(folder))
    wide = [dataclasses.replace(row, fitting_gain_bits_high=900.0, compression_loss_bits_high=500.0) for row in rows]
    write_table(folder / "phases.csv", PhaseRow, wide)
    figure = drawn(folder)
    low, high = panels(figure)[0].get_ylim()
    tallest = max(row.fitting_gain_bits for row in rows)
    assert tallest < high < 2 * tallest
    assert -2 * tallest < low < 0
    assert phases.CUT in words(figure)


def test_what_was_not_judged_has_no_bar_but_a_sentence(folder: Path) -> None:
    write_phases(folder, bad="h1")
    figure = drawn(folder)
    assert len(bars(figure, "fitting_gain")) == 4
    assert "h1, classification: not judged" in words(figure)
    save(figure, folder, "phases")


def test_is_drawn_with_all_figures_and_the_same_each_time(folder: Path, tmp_path: Path) -> None:
    rows = write_phases(folder)
    paths = draw_all(folder, tmp_path / "a")
    assert [path.name for path in paths] == ["phases.png", "phases.svg"]
    again = draw_all(folder, tmp_path / "b")
    assert [sha256_of_file(path) for path in paths] == [sha256_of_file(path) for path in again]
    assert read_table(folder / "phases.csv", PhaseRow)[0].finding == rows[0].finding


def test_an_empty_table_gives_no_figure_and_a_missing_one_is_named(folder: Path) -> None:
    with pytest.raises(UserError, match=r"phases\.csv is missing"):
        list(phases.draw(SavedExperiment(folder)))
    write_table(folder / "phases.csv", PhaseRow, [])
    assert list(phases.draw(SavedExperiment(folder))) == []
