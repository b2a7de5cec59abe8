"""Names of data sets, classes and experiments are the user's: text in every figure and in the page, never markup."""

from __future__ import annotations

import html
import json
import os
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import h5py
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text
from saved_experiments import MakeExperiment, write_mean_maps

from ib_analysis.plots import draw_all, style, write_samples_page
from ib_analysis.plots.style import drawing_style, save

NAMES = ["$1_to_$5", "_caf\udce9\x01\n&--<b>", r"\$_x$ %", r"\frac{1}", "50 % <b>&", "US$ and $EUR_"]
DRAWN = ["$1_to_$5", "_caf\ufffd\ufffd &--<b>", r"\$_x$ %", r"\frac{1}", "50 % <b>&", "US$ and $EUR_"]


def with_names(make_experiment: MakeExperiment, name: str = "$x^$ & <i>_%") -> Path:
    """The usual experiment, with maps, and `NAMES` for the data set and the classes of its images."""
    folder = make_experiment(name, size=8)
    write_mean_maps(folder, size=8)
    facts = json.loads((folder / "data.json").read_text())
    (folder / "data.json").write_text(json.dumps({**facts, "name": "$10_to_$50 \\% <b>&", "class_names": NAMES}))
    with h5py.File(folder / "samples.h5", "r+") as file:
        file["labels"][...] = [0, 1, 2, 3, 4, 5]
    return folder


def test_every_figure_shows_them_as_they_are(
    make_experiment: MakeExperiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: dict[str, set[str]] = {}
    sampled = "conditional_samples_by_epoch_classification_h3"

    def laid_out(figure: Figure, folder: Path, name: str) -> list[Path]:
        figure.draw_without_rendering()  # a formula that is none would raise here
        texts = figure.findobj(Text)
        assert not any(text.get_parse_math() for text in texts), name
        told[name] = {text.get_text() for text in texts}
        return save(figure, folder, name) if name == sampled else []

    monkeypatch.setattr(style, "save", laid_out)
    draw_all(with_names(make_experiment), tmp_path / "figures")
    for name in ("information_plane", "information_by_epoch", "phases", "information_maps_classification"):
        assert any("$10_to_$50 \\% <b>&" in text for text in told[name]), name
    assert set(DRAWN[:3]) <= told[sampled]  # three images to a figure
    ElementTree.parse(tmp_path / "figures" / f"{sampled}.svg")  # texts stand in comments there


def test_a_name_is_drawn_as_wide_as_its_characters() -> None:
    """What matplotlib took for a formula is narrower than its text: dollars gone, spaces swallowed."""
    with drawing_style():
        figure = Figure()
        whole = figure.text(0, 0, "US$ and $EUR_")
        parts = [figure.text(0, 0, part) for part in ("US", "$", " and", " $", "EUR_")]
        width = whole.get_window_extent().width
        assert width == pytest.approx(sum(part.get_window_extent().width for part in parts), rel=0.1)


def test_the_page_holds_them_as_text(make_experiment: MakeExperiment, tmp_path: Path) -> None:
    folder = with_names(make_experiment)
    page = write_samples_page(folder, tmp_path / "page").read_text(encoding="utf-8")
    before, _, rest = page.partition('<script type="application/json" id="data">')
    payload, _, after = rest.partition("</script>")
    assert json.loads(payload)["labels"] == DRAWN
    assert html.escape("$10_to_$50 \\% <b>&") in before
    assert html.escape("$x^$ & <i>_%") in before
    assert "<b>&" not in page
    assert "<i>_" not in page
    assert after.count("</script>") == 1


@pytest.mark.parametrize("backend", ["a_backend_that_is_not_here", "svg"])
def test_the_environments_backend_does_not_matter(tmp_path: Path, backend: str) -> None:
    """As inherited from a notebook whose kernel has a backend of its own."""
    code = (
        "import os, sys; from pathlib import Path; from ib_analysis.plots.style import drawing_style, framed, save\n"
        "with drawing_style(): save(framed('title', 'subtitle', (), 1.0)[0], Path(sys.argv[1]), 'figure')\n"
        "import matplotlib; print(os.environ['MPLBACKEND'], matplotlib.rcParams._get('backend'))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        env={**os.environ, "MPLBACKEND": backend}, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"figure.png", "figure.svg"}
    chosen, kept = done.stdout.split()[:2]
    assert chosen == backend
    assert (kept == backend) == (backend == "svg")  # a backend that works stays the user's
