"""An experiment whose fits end twice holds, beside its own numbers, those of the experiment of half of the steps."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
import pytest

from ib_analysis.artifacts import UserError, sha256_of_file
from ib_analysis.cli import main
from ib_analysis.experiment import Experiment, ExperimentConfig
from ib_analysis.information.certificates_table import CertificateRow
from ib_analysis.information.change import ABOUT_CODE_LENGTHS
from ib_analysis.information.phases_table import PhaseRow
from ib_analysis.information.table import InformationRow, read_table
from ib_analysis.information.warnings import split_warnings
from ib_analysis.parsing import parse
from ib_analysis.records.decoders import load_halfway_weights

SMALL = [
    "--layers", "[h3, h4]", "--tasks", "[classification]", "--fitting.cooldown_share", "0.5",
    "--fitting.warmup_steps", "2", "--fitting.learning_rate", "0.01",
]  # fmt: skip


def run(name: str, steps: int, *more: str) -> Path:
    assert main(["estimate-mi", "tiny.yaml", "--name", name, "--fitting.steps", str(steps), *SMALL, *more]) == 0
    return Path("checkpoints") / name


def cells(path: Path, group: str = "/") -> dict[str, np.ndarray]:
    """Code lengths of cells by name."""
    found: dict[str, np.ndarray] = {}
    with h5py.File(path / "code_lengths.h5") as file:
        file[group].visititems(
            lambda name, item: (
                found.update({name: item[()]})
                if isinstance(item, h5py.Dataset) and name.startswith("class") and "epoch" in name
                else None
            )
        )
    return found


@pytest.mark.slow
def test_both_ends_are_measured_on_the_same_images(tiny: Path) -> None:
    twice, once, half = run("twice", 40, "--fitting.halfway", "true"), run("once", 40), run("half", 20)
    at_half, at_end = cells(twice, "halfway"), cells(twice)
    assert len(at_end) == len(at_half) == 4
    for name, lengths in cells(half).items():  # bit for bit: the experiments have the same seeds
        np.testing.assert_array_equal(at_half[name], lengths)
    for name, lengths in cells(once).items():
        np.testing.assert_array_equal(at_end[name], lengths)

    found, plain = (read_table(folder / "information.csv", InformationRow) for folder in (twice, once))
    for row, other in zip(found, plain, strict=True):
        name = f"{row.decoder}/epoch_{row.epoch:04d}/{row.layer}"
        change = (at_half[name] - at_end[name]).mean()
        assert row.information_change_bits == pytest.approx(change, rel=1e-6)
        assert row.information_high_with_change == pytest.approx(row.i_xh_bits_high + 1.25 * max(change, 0))
        moving = abs(change) > max((row.i_xh_bits_high - row.i_xh_bits_low) / 2, 0.1 * abs(row.i_xh_bits))
        assert ("information_still_moving" in split_warnings(row.warnings)) == moving
        assert not ABOUT_CODE_LENGTHS & set(split_warnings(row.warnings))
        assert (other.information_change_bits, other.information_high_with_change, other.notes) == (None, None, "")
        assert row.i_xh_bits == other.i_xh_bits
        falling = "validation_code_length_still_falling"
        assert (falling in split_warnings(row.notes)) == (falling in split_warnings(other.warnings))
    assert any(row.notes for row in found)

    phases, earlier = (read_table(folder / "phases.csv", PhaseRow) for folder in (twice, half))
    for row, before in zip(phases, earlier, strict=True):
        assert row.gain_change_bits == pytest.approx(row.fitting_gain_bits - before.fitting_gain_bits, abs=1e-6)
        assert row.loss_change_bits == pytest.approx(row.compression_loss_bits - before.compression_loss_bits, abs=1e-6)
        assert ("verdict_depends_on_budget" in split_warnings(row.warnings)) == (row.verdict != before.verdict)
        for name, low, high, change, names in (
            ("gain_still_moving", row.fitting_gain_bits_low, row.fitting_gain_bits_high,
             row.fitting_gain_bits - (row.gain_change_bits or 0), row.gain_warnings),
            ("loss_still_moving", row.compression_loss_bits_low, row.compression_loss_bits_high,
             row.compression_loss_bits - (row.loss_change_bits or 0), row.loss_warnings),
        ):  # fmt: skip
            assert (name in split_warnings(names)) == (not low <= change <= high)
            assert set(split_warnings(names)) <= set(split_warnings(row.warnings))

    certificates = read_table(twice / "certificates.csv", CertificateRow)
    assert not certificates  # the change is measured; no law has to predict it

    (decoder,) = twice.glob("decoders/*/halfway.pt")
    manifest = json.loads(decoder.with_name("decoder.pt.json").read_text())
    assert manifest["halfway"]["sha256"] == sha256_of_file(decoder)
    experiment = Experiment(
        parse(ExperimentConfig, "estimate-mi", "", ["tiny.yaml", "--name", "twice", "--fitting.steps", "40", *SMALL,
              "--fitting.halfway", "true"])[0]
    )  # fmt: skip
    (other,) = half.glob("decoders/*/decoder.pt")
    assert decoder.read_bytes() == other.read_bytes()
    decoder.write_bytes(decoder.with_name("decoder.pt").read_bytes())
    with pytest.raises(UserError, match="is not what the fit of its decoder wrote"):
        load_halfway_weights(experiment, experiment.fits[0])
