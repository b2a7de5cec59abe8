"""The figure of maps: the stored maps minus those of L0, their sums, the peak's change, and grey warnings."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import Rectangle
from matplotlib.text import Text
from saved_experiments import LAYERS, TASKS, MakeExperiment, write_mean_maps

from ib_analysis.artifacts import UserError, sha256_of_file
from ib_analysis.information.phases_table import PhaseRow
from ib_analysis.information.table import InformationRow, read_table, write_table
from ib_analysis.plots import draw_all, information_maps
from ib_analysis.plots.saved import SavedExperiment
from ib_analysis.plots.style import WARNED, drawing_style, save


@pytest.fixture
def folder(make_experiment: MakeExperiment) -> Path:
    made = make_experiment()
    write_mean_maps(made)
    return made


def drawn(folder: Path) -> dict[str, Figure]:
    with drawing_style():
        return dict(information_maps.draw(SavedExperiment(folder)))


def pictures(figure: Figure, gid: str) -> list[AxesImage]:
    """One per layer, in their order."""
    return [picture for picture in figure.findobj(AxesImage) if picture.get_gid() == gid]


def titles(figure: Figure) -> list[str]:
    return [axes.get_title(loc="left") for axes in figure.findobj(Axes) if axes.images]


def mean_difference(folder: Path, task: str, layer: str, epoch: int, rows: list[InformationRow]) -> np.ndarray:
    """L0 - L of a cell, summed over channels, mean over its rows: straight from the file."""
    chosen = [row for row in rows if (row.task, row.layer, row.epoch) == (task, layer, epoch)]
    with h5py.File(folder / "code_lengths.h5") as file:
        maps = [file[f"maps/{row.decoder}/epoch_{epoch:04d}/{layer}"][:] for row in chosen]
        return (file["maps/null"][:] - sum(maps) / len(maps)).sum(0)


def peak_of(folder: Path, task: str, layer: str) -> int:
    rows = [r for r in read_table(folder / "phases.csv", PhaseRow) if (r.task, r.layer) == (task, layer)]
    over_seeds = [row for row in rows if row.encoder_seed is None]
    return (over_seeds or rows)[0].peak_epoch


@pytest.mark.parametrize(("channels", "seeds"), [(1, (0,)), (3, (0, 1))])
def test_panels_show_the_stored_maps_and_their_sums(
    make_experiment: MakeExperiment, channels: int, seeds: tuple[int, ...]
) -> None:
    folder = make_experiment(channels=channels, seeds=seeds)
    write_mean_maps(folder, channels)
    rows = read_table(folder / "information.csv", InformationRow)
    figures = drawn(folder)
    assert list(figures) == [f"information_maps_{task}" for task in TASKS]
    for task in TASKS:
        figure = figures[f"information_maps_{task}"]
        found = titles(figure)
        for place, layer in enumerate(LAYERS):
            epochs = (0, peak_of(folder, task, layer), 100)
            wanted = [mean_difference(folder, task, layer, epoch, rows) for epoch in epochs]
            for what, values, epoch in zip(("first", "peak", "last"), wanted, epochs, strict=True):
                np.testing.assert_allclose(pictures(figure, what)[place].get_array(), values, atol=1e-9)
                usable = [r.i_xh_bits for r in rows if (r.task, r.layer, r.epoch) == (task, layer, epoch)]
                assert values.sum() == pytest.approx(np.mean(usable))
                digits = 2 if np.mean(usable) < 10 else 1
                assert f"epoch {epoch}: {np.mean(usable):.{digits}f}" in found[4 * place : 4 * place + 3]
            change = wanted[2] - wanted[1]
            np.testing.assert_allclose(pictures(figure, "change")[place].get_array(), change, atol=1e-9)
            digits = 2 if abs(change.sum()) < 10 else 1
            assert found[4 * place + 3] == (
                "peak = last" if epochs[1] == 100 else f"{change.sum():+.{digits}f}".replace("-", "−")
            )
        bars = [bar for bar in figure.findobj(Rectangle) if bar.get_gid() == "channel_last"]
        assert len(bars) == (channels * len(LAYERS) if channels > 1 else 0)
        last = mean_difference(folder, task, "h4", 100, rows).sum()
        assert sum(bar.get_height() for bar in bars[-channels:]) == pytest.approx(last if channels > 1 else 0)
        told = " ".join(text.get_text() for text in figure.findobj(Text))
        assert ("Means over 2 pairs" in told) == (len(seeds) == 2)
    assert "peak = last" in titles(figures["information_maps_autoencoding"])
    assert "peak = last" not in titles(figures["information_maps_classification"])


def test_scales_are_shared_and_change_is_symmetric(folder: Path) -> None:
    for figure in drawn(folder).values():
        limits = {picture.get_clim() for what in ("first", "peak", "last") for picture in pictures(figure, what)}
        assert len(limits) == 1
        ((low, high),) = limits
        assert low <= 0 < high
        ((below, above),) = {picture.get_clim() for picture in pictures(figure, "change")}
        assert below == -above
        values = [picture.get_array() for picture in pictures(figure, "change")]
        assert max(np.abs(value).max() for value in values) <= above * (1 + 1e-9)


def test_titles_of_cells_with_warnings_are_grey(make_experiment: MakeExperiment) -> None:
    folder = make_experiment(warned=lambda task, epoch, layer: (task, epoch, layer) == ("classification", 100, "h2"))
    write_mean_maps(folder)
    figures = drawn(folder)
    grey = [text for text in figures["information_maps_classification"].findobj(Text) if text.get_gid() == "warned"]
    assert len(grey) == 2  # the last map, and the change to it
    assert {to_hex(text.get_color()) for text in grey} == {WARNED}
    told = " ".join(text.get_text() for text in figures["information_maps_classification"].texts)
    assert "1 of" in told
    assert not [text for text in figures["information_maps_autoencoding"].findobj(Text) if text.get_gid() == "warned"]


def test_what_is_not_finite_is_said_and_the_rest_is_drawn(folder: Path, tmp_path: Path) -> None:
    with h5py.File(folder / "code_lengths.h5", "a") as file:
        file["maps/classification_float32_seed0_decoder0/epoch_0100/h1"][0, 3, 4] = np.inf
    figure = drawn(folder)["information_maps_classification"]
    assert titles(figure)[2:4] == ["epoch 100: not finite", "not finite"]
    assert np.isfinite(pictures(figure, "last")[0].get_clim()).all()
    save(figure, tmp_path, "maps")


def test_nothing_touches_or_sticks_out(make_experiment: MakeExperiment) -> None:
    for channels in (1, 3):
        folder = make_experiment(f"colours{channels}", channels=channels)
        write_mean_maps(folder, channels)
        for figure in drawn(folder).values():
            figure.draw_without_rendering()
            page = figure.bbox
            boxes = [text.get_window_extent() for text in figure.texts if text.get_text()]
            for text in figure.findobj(Text):
                assert text.get_fontsize() >= 8 or not text.get_text(), text
            panels = figure.findobj(Axes)
            assert all(axes.has_data() or axes.get_label() == "<colorbar>" for axes in panels)
            tight = [axes.get_tightbbox() for axes in panels]
            for box in [*boxes, *tight]:
                assert page.x0 <= box.x0 <= box.x1 <= page.x1
                assert page.y0 <= box.y0 <= box.y1 <= page.y1
            assert not any(box.overlaps(other) for box in boxes for other in tight)
            for index, box in enumerate(tight):
                assert not any(box.overlaps(other) for other in tight[index + 1 :])


def test_is_drawn_with_all_figures_and_the_same_each_time(folder: Path, tmp_path: Path) -> None:
    for path in (*folder.glob("encoders/*/training.csv"), folder / "samples.h5", folder / "factors.csv"):
        path.unlink()
    names = {f"information_maps_{task}" for task in TASKS}
    first, again = ([p for p in draw_all(folder, tmp_path / k) if p.stem in names] for k in "ab")
    assert len(first) == 4
    assert [sha256_of_file(path) for path in first] == [sha256_of_file(path) for path in again]


def test_without_maps_there_is_no_figure_and_missing_or_damaged_files_are_named(folder: Path) -> None:
    path = folder / "code_lengths.h5"
    with h5py.File(path, "a") as file:
        del file["maps/classification_float32_seed0_decoder0/epoch_0001/h3"]
    with pytest.raises(UserError, match=r"code_lengths\.h5 cannot be read"):
        drawn(folder)
    with h5py.File(path, "a") as file:
        del file["maps/null"]
    assert drawn(folder) == {}
    path.unlink()
    with pytest.raises(UserError, match=r"code_lengths\.h5 is missing.*run `ib figures"):
        drawn(folder)
    write_mean_maps(folder)
    write_table(folder / "phases.csv", PhaseRow, [])
    assert drawn(folder) == {}
    (folder / "phases.csv").unlink()
    with pytest.raises(UserError, match=r"phases\.csv"):
        drawn(folder)
