"""The examples of docs/own_networks.md run as they stand, and what they write can be measured."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ib_analysis.activations_file import contents_of
from ib_analysis.data import DataConfig, load_data

TEXT = (Path(__file__).parents[2] / "docs" / "own_networks.md").read_text()
EXAMPLES = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)


@pytest.mark.parametrize(
    ("place", "taps"), [(0, {"early": (64, 8, 8), "late": (512,)}), (2, {"hidden": (20,), "map": (1, 4, 4)})]
)
def test_an_example_writes_a_file_that_can_be_read(
    place: int, taps: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    exec(EXAMPLES[place], {})
    contents = contents_of(tmp_path / "mine.h5")
    assert {name: tap.shape for name, tap in contents.taps.items()} == taps
    data = load_data(DataConfig(source="activations_file", folder=str(contents.path)))
    assert len(data.decoder) + len(data.evaluation) == 300
    assert data.h_y_bits > 1


def test_the_lines_that_measure_name_what_can_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    exec(EXAMPLES[2], {})
    assert EXAMPLES[1].rstrip().endswith(".figures()")  # which takes long
    names: dict = {}
    exec(EXAMPLES[1].replace("study(", "mine = study(").replace(".figures()", ""), names)
    assert names["mine"].config.activations_file == "mine.h5"


def test_there_are_no_other_examples() -> None:
    assert len(EXAMPLES) == 3
