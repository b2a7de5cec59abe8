"""On images of exactly 8 bits, an L0 that was fitted too briefly is flagged, and one that was fitted longer is not."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import pytest

from decoders.config import Architecture
from decoders.fitting.certificate import ASYMPTOTE_NOT_IDENTIFIED, Certificate
from decoders.fitting.fit import FittingConfig
from ib_analysis.information.certificates_table import CONVERGED_BITS
from ib_analysis.information.table import read_table
from ib_analysis.studies.calibration import CalibrationConfig, calibrate
from ib_analysis.studies.calibration.rows import CalibrationRow
from ib_analysis.studies.calibration.sources import SplitSizes
from ib_analysis.tables.certificates import NULL_CONDITION, certificates_of

H_X = 8.0
"""Four pixels, each a coin and a bit of noise: every image that can occur has the probability 2^-8."""
CONFIG = CalibrationConfig(
    coins=(4,),
    factors=False,
    erasure_rates=(1.0,),  # the condition tells nothing: what a cell codes is the null condition's task as well
    flip_probabilities=(),
    noise_bits=1,
    least_side=2,
    splits=SplitSizes(4000, 512, 512),
    decoder=Architecture(blocks=1, filters=8, output="categorical", dropout=0.0, condition_filters=4),
    resamples=100,
    workers=1,
)
FITTING = FittingConfig(
    batch_size=32, betas=(0.9, 0.99), averaging=0.98, warmup_steps=10, validation_images=512, null_share=0.5
)


def calibrated(name: str, **fitting) -> tuple[CalibrationRow, dict[str, Certificate]]:
    calibrate(dataclasses.replace(CONFIG, name=name, fitting=dataclasses.replace(FITTING, **fitting)))
    folder = Path("checkpoints") / name
    (row,) = read_table(folder / "calibration.csv", CalibrationRow)
    (decoder,) = folder.glob("decoders/*/decoder.pt")
    return row, certificates_of(decoder)


def test_an_undertrained_l0_is_flagged_and_a_converged_one_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    row, found = calibrated("brief", steps=12, validate_every=1, learning_rate=0.02)
    null = found[NULL_CONDITION]
    assert row.null_code_length_error_bits > 0.4  # so much every I would be overstated
    assert "common_null_not_converged" in row.warnings
    assert null.bits_to_gain is None
    assert null.bits_to_gain_high == math.inf
    assert ASYMPTOTE_NOT_IDENTIFIED in null.warnings

    row, found = calibrated("long", steps=120, validate_every=10, learning_rate=0.006)
    assert row.null_code_length_error_bits < 0.1
    assert row.warnings == ""
    for certificate in found.values():
        assert certificate.warnings == ()
        assert certificate.bits_to_gain_high < CONVERGED_BITS
        # What an endless fit would gain is known: all that is above the entropy.
        assert certificate.bits_to_gain_low <= certificate.reached_bits - H_X <= certificate.bits_to_gain_high


def test_between_the_two_the_interval_holds_what_there_is_to_gain(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    _, found = calibrated("middling", steps=40, validate_every=2, learning_rate=0.008)
    null = found[NULL_CONDITION]
    assert null.reached_bits > H_X + 0.1
    assert null.bits_to_gain_low > 0
    assert null.bits_to_gain_low <= null.reached_bits - H_X <= null.bits_to_gain_high
    assert null.bits_to_gain_high > CONVERGED_BITS  # not certified
