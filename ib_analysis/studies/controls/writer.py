"""What the rows of one control have in common: code lengths, intervals, warnings, and the columns that are alike."""

from __future__ import annotations

from typing import Any

import numpy as np

from ib_analysis.experiment import Run
from ib_analysis.information.intervals import Bootstrap, Interval, paired_bootstrap_interval
from ib_analysis.information.warnings import join_warnings, not_finite, split_warnings
from ib_analysis.results import load_results
from ib_analysis.studies.controls.plan import Controls
from ib_analysis.studies.controls.row import ControlRow

__all__ = ["Writer", "of_the_fit"]

_ABOUT_COMMON_NULL = ("common_null_not_converged", "common_null_rising")


class Writer:
    """Makes the rows of one control.

    Arguments:
        controls: whose decoders and probes are finished.
        name: of the control.
    """

    def __init__(self, controls: Controls, name: str) -> None:
        self.controls, self.name = controls, name
        estimation = controls.experiment.config.estimation
        self.bootstrap = Bootstrap(estimation.confidence, estimation.resamples)
        config = controls.experiment.config
        self.results = load_results(config.name, config.checkpoints)
        self.common_null = self.results.null_code_lengths()
        self.h_x_bits = controls.h_x_bits
        known = {name for row in self.results.information for name in split_warnings(row.warnings)}
        self.null_warnings = [name for name in _ABOUT_COMMON_NULL if name in known]
        self.fit = controls.fits.get(name)

    def bits(self, what: str) -> np.ndarray:
        """Code lengths of the control's own decoder, shape (N,)."""
        assert self.fit is not None
        return self.controls.extra.code_lengths(self.fit, what)

    def mean(self, values: np.ndarray) -> Interval:
        return paired_bootstrap_interval(values, self.bootstrap.confidence, self.bootstrap.n_resamples)

    def row(self, layer: str, quantity: str, found: Interval, rule: str, passed: str, **given: Any) -> ControlRow:
        """A row of the control's own decoder, or of none; ``given`` replaces or adds columns."""
        controls, run, fit = self.controls, self.controls.run, self.fit
        known: dict[str, Any] = {
            "experiment": controls.experiment.config.name,
            "control": self.name,
            "task": run.task,
            "encoder_seed": run.encoder_seed,
            "decoder_seed": None if fit is None else fit.decoder_seed,
            "epoch": controls.epoch,
            "layer": layer,
            "quantity": quantity,
            "bits": found.estimate,
            "low": found.low,
            "high": found.high,
            "allowed_low": None,
            "allowed_high": None,
            "rule": rule,
            "passed": passed,
            "n_images": len(self.common_null),
            "null_code_length_bits": float(self.common_null.mean()),
            "h_x_bits": self.h_x_bits,
            "decoder": "" if fit is None else fit.key,
            "decoder_steps": None if fit is None else int(controls.extra.record(fit)["steps_done"]),
            "command": controls.settings.command(controls.experiment.config.name, self.name),
        }
        given["warnings"] = join_warnings(
            [*given.pop("warnings", ()), *(["not_finite"] if not_finite([found]) else [])]
        )
        return ControlRow(**{**known, **given})

    def fit_warnings(self, cell: str) -> list[str]:
        """What the fit of the control's decoder says of a cell."""
        assert self.fit is not None
        return list(self.controls.extra.record(self.fit)["cell_warnings"][cell])

    def warnings(self, run: Run, epoch: int, layer: str, decoder_seed: int) -> list[str]:
        """The warnings of a cell of the experiment itself."""
        for row in self.results.information:
            if (row.task, row.encoder_seed, row.epoch, row.layer, row.decoder_seed) == (
                run.task, run.encoder_seed, epoch, layer, decoder_seed,
            ):  # fmt: skip
                return list(split_warnings(row.warnings))
        return []


def of_the_fit(names: list[str]) -> list[str]:
    """Warnings that also touch a difference of code lengths, which contains no L0."""
    about_l0 = (*_ABOUT_COMMON_NULL, "own_null_much_worse_than_common", "information_above_upper_bound")
    return [name for name in names if name not in about_l0]
