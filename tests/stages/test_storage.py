"""A layer that float16 cannot hold, through the real command line: kept when it may be, else named in the tables."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import h5py
import pytest

from ib_analysis.cli import main
from ib_analysis.encoders import ResNetClassifier

OPTIONS = ["--layers", "[h3]", "--tasks", "[classification]", "--fitting.steps", "6"]
LOST = "activations_lose_precision"


@pytest.fixture
def shifted(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The network's h3 is 100 + 0.01 h3."""
    taps = ResNetClassifier.taps
    monkeypatch.setattr(
        ResNetClassifier,
        "taps",
        lambda self, images: {layer: 100 + 0.01 * h if layer == "h3" else h for layer, h in taps(self, images).items()},
    )


def rows(name: str) -> list[dict]:
    with (Path("checkpoints") / name / "information.csv").open() as file:
        found = list(csv.DictReader(file))
    return [{key: value for key, value in row.items() if key not in ("seconds", "experiment")} for row in found]


def warned(name: str) -> dict[tuple[str, str], bool]:
    return {(row["epoch"], row["layer"]): LOST in row["warnings"].split(";") for row in rows(name)}


@pytest.mark.usefixtures("shifted")
def test_what_is_mapped_has_no_warning_and_is_recomputed_alike() -> None:
    assert main(["estimate-mi", "tiny.yaml", *OPTIONS]) == 0
    assert not any(warned("tiny").values())
    with h5py.File("checkpoints/tiny/activations/classification_float32_seed0.h5") as file:
        assert {"offset", "scale"} <= set(file["epoch_0002/h3"].attrs)
    assert main(["estimate-mi", "tiny.yaml", *OPTIONS, "--activations.mode", "recompute", "--name", "again"]) == 0
    assert rows("again") == rows("tiny")


def test_manifests_of_before_mean_float16(tiny: Path) -> None:
    """They tell which values lay beyond its range, and nothing of bits."""
    assert main(["estimate-mi", "tiny.yaml", *OPTIONS]) == 0
    written = rows("tiny")
    path = Path("checkpoints/tiny/activations/classification_float32_seed0.h5.json")
    record = json.loads(path.read_text())
    del record["bits_of_numbers"], record["losing_precision"]
    path.write_text(json.dumps(record | {"values_beyond_float16": {"epoch_0002/h3": 7}}))
    Path("checkpoints/tiny/information.csv").unlink()
    assert main(["estimate-mi", "tiny.yaml", *OPTIONS]) == 0
    assert warned("tiny") == {("0", "h3"): False, ("2", "h3"): True}
    same = [{key: value for key, value in row.items() if key != "warnings"} for row in rows("tiny")]
    assert same == [{key: value for key, value in row.items() if key != "warnings"} for row in written]


@pytest.mark.usefixtures("shifted")
@pytest.mark.filterwarnings("ignore:Activations of h3")
def test_plain_float16_on_demand_is_named_in_the_table_either_way() -> None:
    plain = [*OPTIONS, "--activations.storage", "float16"]
    assert main(["estimate-mi", "tiny.yaml", *plain]) == 0
    assert warned("tiny") == {("0", "h3"): True, ("2", "h3"): True}
    assert main(["estimate-mi", "tiny.yaml", *plain, "--activations.mode", "recompute", "--name", "again"]) == 0
    assert rows("again") == rows("tiny")
    assert main(["estimate-mi", "tiny.yaml", *OPTIONS]) == 2  # another storage is another experiment


def test_another_storage_is_refused(tiny: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["estimate-mi", "tiny.yaml", "--activations.storage", "float8"]) == 2
    assert "storage" in capsys.readouterr().err
