"""Figures: drawn from artifacts alone, complete, with warnings in grey."""

from __future__ import annotations

import dataclasses
import math
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from itertools import islice
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.text import Text
from PIL import Image
from saved_experiments import EPOCHS, FACTORS, LAYERS, TASKS, MakeExperiment

from ib_analysis.artifacts import UserError, sha256_of_file
from ib_analysis.information.table import InformationRow, read_table, write_table
from ib_analysis.plots import (
    conditional_samples,
    draw_all,
    factors_by_epoch,
    information_by_epoch,
    information_plane,
    reconstructions,
    training_curves,
    write_samples_page,
)
from ib_analysis.plots.curves import Curve, rows_of
from ib_analysis.plots.mosaic import displayable
from ib_analysis.plots.saved import SavedExperiment
from ib_analysis.plots.style import INK, WARNED, drawing_style

NAMES = {
    "information_plane", "information_by_epoch", "factors_by_epoch", "training_curves", "reconstructions",
    *(f"conditional_samples_by_epoch_{task}_{layer}" for task in TASKS for layer in LAYERS),
    *(f"conditional_samples_by_layer_{task}_epoch_0100" for task in TASKS),
}  # fmt: skip


def only(drawn) -> Figure:
    ((_, figure),) = drawn
    return figure


def panels(figure: Figure) -> list[Axes]:
    return [axes for axes in figure.findobj(Axes) if axes.get_label() != "<colorbar>"]


def by_gid(figure: Figure, gid: str, kind: type) -> list:
    return [artist for artist in figure.findobj(kind) if artist.get_gid() == gid]


@pytest.fixture(scope="module")
def drawn(experiment: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """What `draw_all` wrote for the usual experiment."""
    return draw_all(experiment, tmp_path_factory.mktemp("figures") / "default")


@pytest.fixture(scope="module")
def saved(experiment: Path) -> SavedExperiment:
    return SavedExperiment(experiment)


@pytest.fixture(scope="module")
def figures(saved: SavedExperiment) -> dict[str, Figure]:
    """The figures of the usual experiment, except those of conditional samples. Not to be changed."""
    modules = (information_plane, information_by_epoch, factors_by_epoch, training_curves, reconstructions)
    with drawing_style():
        return {name: figure for module in modules for name, figure in module.draw(saved)}


@pytest.fixture(scope="module")
def samples_figures(experiment: Path) -> dict[str, Figure]:
    """The figures of conditional samples that the tests look into."""
    looked_at = ("_by_epoch_classification_h3", "_by_epoch_classification_h4", "_by_layer_classification_epoch_0100")
    with drawing_style():
        drawn = islice(conditional_samples.draw(SavedExperiment(experiment)), 5)
        return {name: figure for name, figure in drawn if name.endswith(looked_at)}


def test_everything_is_drawn_once_as_png_and_svg(drawn: list[Path]) -> None:
    expected = {f"{name}.{suffix}" for name in NAMES for suffix in ("png", "svg")} | {"samples.html"}
    assert sorted(path.name for path in drawn) == sorted(expected)
    assert {path.name for path in drawn[0].parent.iterdir()} == expected


def test_png_is_a_page_wide_at_200_dpi_and_not_blank(drawn: list[Path]) -> None:
    for path in drawn:
        if path.suffix == ".png":
            with Image.open(path) as image:
                assert image.width == 1400  # 7 inches
                assert image.height < 11 * 200
                assert np.asarray(image.convert("L")).std() > 5


def test_svg_parses_and_holds_no_date(drawn: list[Path]) -> None:
    for path in drawn:
        if path.suffix == ".svg":
            root = ElementTree.parse(path).getroot()
            assert root.tag == "{http://www.w3.org/2000/svg}svg"
            assert "<dc:date>" not in path.read_text()


def test_equal_artifacts_give_equal_bytes_in_another_process(
    experiment: Path, drawn: list[Path], tmp_path: Path
) -> None:
    code = (
        "import sys; from pathlib import Path; import ib_analysis.plots.information_plane as plane;"
        "from ib_analysis.plots.saved import SavedExperiment; from ib_analysis.plots.style import drawing_style, save\n"
        "saved, folder = SavedExperiment(Path(sys.argv[1])), Path(sys.argv[2])\n"
        "with drawing_style(): [save(figure, folder, name) for name, figure in plane.draw(saved)]"
    )
    subprocess.run([sys.executable, "-c", code, str(experiment), str(tmp_path)], check=True, timeout=120)
    for suffix in ("png", "svg"):
        again = tmp_path / f"information_plane.{suffix}"
        assert sha256_of_file(again) == sha256_of_file(drawn[0].with_name(again.name))


def test_a_users_own_matplotlib_settings_change_nothing_and_stay(experiment: Path) -> None:
    with matplotlib.rc_context({"font.size": 31.0, "axes.grid": True}):
        with drawing_style():
            assert matplotlib.rcParams["font.size"] < 10
            assert not matplotlib.rcParams["axes.grid"]
        assert matplotlib.rcParams["font.size"] == 31.0


def test_no_font_is_smaller_than_8_points(figures: dict[str, Figure]) -> None:
    for figure in figures.values():
        for text in figure.findobj(Text):
            assert text.get_fontsize() >= 8 or not text.get_text(), text


@pytest.mark.parametrize(
    ("name", "count"),
    [("information_plane", 2), ("information_by_epoch", 4), ("factors_by_epoch", 8), ("training_curves", 4)],
)
def test_number_of_panels_and_none_is_empty(figures: dict[str, Figure], name: str, count: int) -> None:
    found = panels(figures[name])
    assert len(found) == count
    assert all(axes.has_data() or axes.patches for axes in found)


def test_titles_and_notes_stay_inside_the_figure_and_apart(figures: dict[str, Figure]) -> None:
    for name in ("information_plane", "information_by_epoch", "factors_by_epoch", "training_curves"):
        figure = figures[name]
        figure.draw_without_rendering()
        page = figure.bbox
        boxes = [text.get_window_extent() for text in figure.texts if text.get_text()]
        for box in boxes:
            assert page.x0 <= box.x0 <= box.x1 <= page.x1, name
            assert page.y0 <= box.y0 <= box.y1 <= page.y1, name
        for axes in panels(figure):
            assert not any(box.overlaps(axes.get_tightbbox()) for box in boxes), name


def test_plane_shows_every_cell_and_greys_those_with_warnings(
    saved: SavedExperiment, figures: dict[str, Figure]
) -> None:
    figure = figures["information_plane"]
    warned, calm = by_gid(figure, "warned", Line2D), by_gid(figure, "cell", Line2D)
    assert len(warned) == 4
    assert len(calm) == 2 * len(LAYERS) * len(EPOCHS) - 4
    for marker in warned:
        assert to_hex(marker.get_markeredgecolor()) == WARNED
        assert to_hex(marker.get_markerfacecolor()) == "#ffffff"
    assert all(to_hex(marker.get_markerfacecolor()) not in (WARNED, "#ffffff") for marker in calm)
    assert {marker.get_marker() for marker in calm} == {"o", "s", "^", "D"}
    rows = [row for row in saved.information if not row.warnings]
    drawn = sorted((marker.get_xdata()[0], marker.get_ydata()[0]) for marker in calm)
    assert drawn == pytest.approx(np.array(sorted((row.i_xh_bits, row.i_hy_bits) for row in rows)))


def test_plane_without_warnings_has_nothing_grey(make_experiment: MakeExperiment) -> None:
    folder = make_experiment(warned=lambda task, epoch, layer: False)
    with drawing_style():
        figure = only(information_plane.draw(SavedExperiment(folder)))
    assert not by_gid(figure, "warned", Line2D)
    assert not any("warning" in text.get_text() for text in figure.texts)


@pytest.mark.parametrize("module", [information_plane, information_by_epoch])
def test_truth_lines_are_there_where_the_truth_is_known(make_experiment: MakeExperiment, module) -> None:
    for h_x, per_pair in ((271.3, 2), (None, 1)):
        folder = make_experiment(f"truth_{h_x}", h_x=h_x, factors=False)
        with drawing_style():
            figure = only(module.draw(SavedExperiment(folder)))
        assert len(by_gid(figure, "truth", Line2D)) == 2 * per_pair
        told = " ".join(text.get_text() for text in figure.texts)
        assert "Shannon's I(X;H) is H(X)" in " ".join(told.split())


def test_curves_mark_the_peak_and_grey_where_it_has_a_warning(make_experiment: MakeExperiment) -> None:
    def warned(task: str, epoch: int, layer: str) -> bool:
        return epoch == 100

    saved = SavedExperiment(make_experiment(warned=warned))
    with drawing_style():
        figure = only(information_by_epoch.draw(saved))
    peaks = by_gid(figure, "peak", Line2D)
    assert len(peaks) == 4 * len(LAYERS)
    values = [row.i_xh_bits for row in saved.information] + [row.i_hy_bits for row in saved.information]
    for peak in peaks:
        last = peak.get_xdata()[0] == len(EPOCHS) - 1
        assert to_hex(peak.get_markeredgecolor()) == to_hex(WARNED if last else INK)
        assert any(np.isclose(peak.get_ydata()[0], value) for value in values)
    highest = max(row.i_xh_bits for row in saved.information)
    assert any(np.isclose(peak.get_ydata()[0], highest) for peak in peaks)
    assert len(by_gid(figure, "warned", Line2D)) == 4 * len(LAYERS)


def test_curves_are_means_over_seeds_and_bands_span_them(make_experiment: MakeExperiment) -> None:
    rows = SavedExperiment(make_experiment(seeds=(0, 1, 2))).information
    chosen = rows_of(rows, ("classification", "float32"), "h2")
    curve = Curve.of(chosen, "i_xh")
    first = [row for row in chosen if row.epoch == 0]
    assert len(first) == 3
    assert curve.epochs == EPOCHS
    assert curve.value[0] == pytest.approx(sum(row.i_xh_bits for row in first) / 3)
    assert curve.low[0] == min(row.i_xh_bits_low for row in first)
    assert curve.high[0] == max(row.i_xh_bits_high for row in first)
    assert sorted(curve.runs[:, 0]) == sorted(row.i_xh_bits for row in first)


def test_factors_show_shares_of_the_true_bits(saved: SavedExperiment, figures: dict[str, Figure]) -> None:
    figure = figures["factors_by_epoch"]
    fields = by_gid(figure, "cell", Rectangle)
    warned = by_gid(figure, "warned", Rectangle)
    assert len(fields) + len(warned) == 2 * len(LAYERS) * len(EPOCHS) * (len(FACTORS) + 1)
    assert len(warned) == 4
    assert {to_hex(field.get_edgecolor()) for field in warned} == {WARNED}
    axes = panels(figure)[0]
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert labels[0] == "shape, 3.32 bits"
    assert labels[-2:] == ["noise, 256 bits", "whole image, 271.3 bits"]
    row = next(row for row in saved.factors if (row.layer, row.epoch, row.factor) == ("h1", 0, "shape"))
    assert axes.texts[0].get_text() == f"{100 * row.bits / row.true_bits:.0f}"


def test_training_curves_mark_the_checkpoints(figures: dict[str, Figure]) -> None:
    found = by_gid(figures["training_curves"], "checkpoints", Line2D)
    assert len(found) == 4
    for marks in found:
        assert tuple(marks.get_xdata()) == EPOCHS


def test_samples_figures_show_the_stored_pixels(saved: SavedExperiment, samples_figures: dict[str, Figure]) -> None:
    figure = samples_figures["conditional_samples_by_epoch_classification_h3"]
    pictures = [picture for axes in panels(figure) for picture in axes.images]
    assert len(pictures) == 3 * (2 + len(EPOCHS))
    assert {picture.get_interpolation() for picture in pictures} == {"nearest"}
    originals = displayable(saved.samples.originals[:3], saved.samples.intensities)
    for picture, original in zip(pictures[:3], originals, strict=True):
        assert np.array_equal(picture.get_array(), original)
    heading = {text.get_text() for text in figure.findobj(Text)}
    assert {"original", "null", *(str(epoch) for epoch in EPOCHS)} <= heading


def test_heading_of_a_sampled_cell_with_a_warning_is_grey(samples_figures: dict[str, Figure]) -> None:
    figure = samples_figures["conditional_samples_by_epoch_classification_h4"]
    grey = [text for text in figure.findobj(Text) if text.get_gid() == "warned"]
    assert {text.get_text() for text in grey} >= {"1", "2"}
    assert {text.get_color() for text in grey} == {WARNED}


def test_only_existing_artifacts_are_drawn(make_experiment: MakeExperiment, tmp_path: Path) -> None:
    folder = make_experiment(h_x=None, factors=False, channels=3, size=8, intensities=256, seeds=(0, 1))
    (folder / "samples.h5").unlink()
    names = {path.stem for path in draw_all(folder, tmp_path / "figures")}
    assert names == {"information_plane", "information_by_epoch", "training_curves"}


def test_artifacts_are_only_read(experiment: Path, drawn: list[Path]) -> None:
    assert drawn
    names = {path.name for path in experiment.iterdir()}
    assert names == {"data.json", "information.csv", "factors.csv", "encoders", "samples.h5"}


def test_a_cell_that_is_not_finite_is_left_out_and_the_rest_is_drawn(
    make_experiment: MakeExperiment, tmp_path: Path
) -> None:
    folder = make_experiment(size=8)
    path = folder / "information.csv"
    rows = read_table(path, InformationRow)
    ill = {"i_xh_bits": math.nan, "i_xh_bits_low": -math.inf, "i_xh_bits_high": math.inf, "code_length_bits": math.inf}
    rows[5] = dataclasses.replace(rows[5], **ill, warnings="not_finite")
    write_table(path, InformationRow, rows)
    with drawing_style():
        for module in (information_plane, information_by_epoch, factors_by_epoch):
            figure = only(module.draw(SavedExperiment(folder)))
            figure.draw_without_rendering()
            assert all(np.isfinite([*axes.get_xlim(), *axes.get_ylim()]).all() for axes in panels(figure))
    text = write_samples_page(folder, tmp_path).read_text()
    assert "NaN" not in text.partition("application/json")[2].partition("</script>")[0]
    assert "Infinity" not in text


def test_one_task_alone(make_experiment: MakeExperiment) -> None:
    folder = make_experiment()
    path = folder / "information.csv"
    rows = [row for row in read_table(path, InformationRow) if row.task == "autoencoding"]
    write_table(path, InformationRow, rows)
    shutil.rmtree(folder / "encoders/classification_float32_seed0")
    with drawing_style():
        saved = SavedExperiment(folder)
        counts = [len(panels(only(m.draw(saved)))) for m in (information_plane, information_by_epoch, training_curves)]
    assert counts == [1, 2, 2]


@pytest.mark.parametrize(
    ("module", "missing"),
    [
        (information_plane, "information.csv"), (information_by_epoch, "data.json"), (factors_by_epoch, "factors.csv"),
        (reconstructions, "samples.h5"), (conditional_samples, "samples.h5"), (training_curves, "encoders"),
    ],
)  # fmt: skip
def test_a_missing_artifact_is_one_clear_sentence(make_experiment: MakeExperiment, module, missing: str) -> None:
    folder = make_experiment()
    shutil.rmtree(folder / missing) if (folder / missing).is_dir() else (folder / missing).unlink()
    with pytest.raises(UserError, match=rf"{missing}.* is missing.*run `ib ") as caught:
        list(module.draw(SavedExperiment(folder)))
    assert "\n" not in str(caught.value)


def test_a_damaged_artifact_is_named(make_experiment: MakeExperiment) -> None:
    folder = make_experiment()
    (folder / "samples.h5").write_bytes((folder / "samples.h5").read_bytes()[:3000])
    (folder / "data.json").write_text("{")
    for name in ("samples", "data"):
        with pytest.raises(UserError, match=rf"{name}\..* cannot be read"):
            getattr(SavedExperiment(folder), name)


def test_nothing_to_draw_is_said(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="holds nothing to draw"):
        draw_all(tmp_path / "empty", tmp_path / "figures")


def test_what_longer_fits_have_found_more_is_a_lighter_band_on_top(experiment: Path, tmp_path: Path) -> None:
    folder = tmp_path / "default"
    shutil.copytree(experiment, folder)
    path = folder / "information.csv"
    rows = [
        dataclasses.replace(
            row, information_change_bits=5.0, information_high_with_change=row.i_xh_bits_high + (row.layer == "h1") * 5
        )
        for row in read_table(path, InformationRow)
    ]
    curve = Curve.of(rows_of(rows, (TASKS[0], "float32"), "h1"), "i_xh")
    np.testing.assert_allclose(curve.high_with_change, curve.high + 5)
    assert np.isnan(Curve.of(rows_of(rows, (TASKS[0], "float32"), "h1"), "i_hy").high_with_change).all()
    write_table(path, InformationRow, rows)
    with drawing_style():
        figure = only(information_by_epoch.draw(SavedExperiment(folder)))
        bands = by_gid(figure, "change", PolyCollection)
    assert len(bands) == len(TASKS) * len(LAYERS)  # of I(X;H) alone
    heights = sorted(float(np.ptp(band.get_paths()[0].vertices[[1, -2], 1])) for band in bands)
    assert heights[-len(TASKS) :] == pytest.approx([5.0] * len(TASKS), abs=1e-6)
    assert "Lighter bands on top" in " ".join(text.get_text() for text in figure.findobj(Text)).replace("\n", " ")
