"""Figures of a user's activations file: taps by their titles, in every figure what X is, files by the taps' names."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text
from saved_experiments import MakeExperiment, write_mean_maps

from ib_analysis.artifacts import UserError
from ib_analysis.plots import draw_all, style
from ib_analysis.plots.saved import SavedExperiment

TITLES = {"h1": "stem/first", "h2": "twin", "h3": "twin"}
SHOWN = ("stem/first", "twin (h2)", "twin (h3)", "h4")


@pytest.fixture
def filed(make_experiment: MakeExperiment) -> Path:
    folder = make_experiment("mine", size=8)
    write_mean_maps(folder, size=8)
    facts = json.loads((folder / "data.json").read_text())
    (folder / "data.json").write_text(json.dumps({**facts, "name": "mine", "image_shape": [1, 8, 8]}))
    record = {
        "datasets": {f"epoch_0000/h{k}": {} for k in (1, 2, 3, 4)},
        "titles": TITLES,
        "original_shape": [1, 64, 48],
    }
    (folder / "activations_file.json").write_text(json.dumps(record))
    return folder


def test_titles_and_what_x_is(filed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: dict[str, str] = {}

    def note(figure: Figure, folder: Path, name: str) -> list[Path]:
        told[name] = "\n".join(" ".join(text.get_text().split()) for text in figure.findobj(Text))
        return []

    monkeypatch.setattr(style, "save", note)
    (page,) = draw_all(filed, tmp_path / "figures")
    x = "mine (8x8 pixels, area averages of the 64x48 that the network saw)"
    kinds = ("information_plane", "information_by_epoch", "phases", "information_maps_classification")
    for name in (*kinds, "conditional_samples_by_layer_classification_epoch_0100"):
        found = [text for start, text in told.items() if start.startswith(name.partition("_epoch_")[0])]
        assert found, name
        for text in found:
            assert x in text, name
            assert all(title in text for title in SHOWN), name
            assert "h1" not in text.replace("(h2)", ""), name
    assert any(name.endswith("classification_h1") for name in told)  # a title need be no name of a file
    assert x in page.read_text()
    assert "stem/first" in page.read_text()


def test_a_damaged_record_is_told(filed: Path) -> None:
    (filed / "activations_file.json").write_text("{")
    with pytest.raises(UserError, match=r"activations_file\.json cannot be read"):
        _ = SavedExperiment(filed).data
