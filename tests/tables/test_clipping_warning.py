"""Clipped conditions, from the measurement to the warning in information.csv."""

from __future__ import annotations

import json
from pathlib import Path

from ib_analysis.cli import main
from ib_analysis.information.table import InformationRow, read_table

CHECKPOINTS = Path("checkpoints/tiny")
COMMAND = ("estimate-mi", "tiny.yaml", "--layers", "[h3]", "--tasks", "[classification]")


def warnings() -> dict[int, list[str]]:
    return {row.epoch: row.warnings.split(";") for row in read_table(CHECKPOINTS / "information.csv", InformationRow)}


def test_manifests_count_what_is_clipped_and_the_table_says_where_it_is_much(tiny: Path) -> None:
    assert main(COMMAND) == 0
    folder = CHECKPOINTS / "code_lengths/classification_float32_seed0_decoder0"
    rows = read_table(CHECKPOINTS / "information.csv", InformationRow)
    units = {row.channels * row.height * row.width for row in rows}
    for epoch in (0, 2):
        record = json.loads((folder / f"epoch_{epoch:04d}_h3.npz.json").read_text())
        assert [record["condition_values"]] == [24 * count for count in units]
        assert record["clipped_values"] <= record["condition_values"] / 1000
    assert "clipped_values" not in json.loads((folder / "null.npz.json").read_text())
    assert not any("conditions_clipped" in names for names in warnings().values())

    path = folder / "epoch_0002_h3.npz.json"
    record = json.loads(path.read_text())
    path.write_text(json.dumps({**record, "clipped_values": record["condition_values"] // 100}))
    earlier = folder / "epoch_0000_h3.npz.json"
    record = json.loads(earlier.read_text())
    del record["clipped_values"], record["condition_values"]  # of a version that did not count
    earlier.write_text(json.dumps(record))
    (CHECKPOINTS / "code_lengths.h5").unlink()
    assert main(COMMAND) == 0
    assert ["conditions_clipped" in names for names in warnings().values()] == [False, True]
