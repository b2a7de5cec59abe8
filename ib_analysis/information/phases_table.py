"""phases.csv: what became of each layer's information, in bits and in words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from ib_analysis.information.change import moved_beyond
from ib_analysis.information.intervals import Bootstrap, Interval
from ib_analysis.information.phases import Phases, phases_over_images
from ib_analysis.information.phases_in_words import finding, verdict
from ib_analysis.information.seeds import phases_over_seeds, seed_interval_method
from ib_analysis.information.variance import VarianceSplit, variance_split
from ib_analysis.information.warnings import (
    COMMON_NULL_WARNINGS,
    INFORMATION_STILL_MOVING,
    join_warnings,
    split_warnings,
)

__all__ = ["CurveKey", "Phase", "PhaseRow", "phase_rows"]

Phase = Literal["fitting_gain", "compression_loss"]


@dataclass(frozen=True)
class PhaseRow:
    """Fitting and compression of one layer, a row of phases.csv: of one run and decoder, or over all seeds."""

    experiment: str
    """Name of the experiment."""
    task: str
    """What the encoder was trained for."""
    number_format: str
    """Number format of the encoder."""
    layer: str
    """The tap."""
    encoder_seed: int | None
    """Seed of the encoder; empty in a row over seeds."""
    decoder_seed: int | None
    """Seed of the decoder; empty in a row over seeds."""
    n_encoder_seeds: int
    """Encoders that the row is over."""
    n_decoder_seeds: int
    """Decoders per encoder that the row is over."""
    n_images: int
    """Evaluation images."""
    n_checkpoints: int
    """Checkpoints of the curve, among which the peak was found."""
    first_epoch: int
    """Where fitting is counted from."""
    peak_epoch: int
    """Where the mean code length was shortest."""
    peak_epoch_low: int
    """First checkpoint that may be the true peak, at the confidence of the intervals."""
    peak_epoch_high: int
    """Last checkpoint that may be the true peak."""
    last_epoch: int
    """Where compression is counted to."""
    fitting_gain_bits: float
    """Usable information gained from the first checkpoint to the peak: a mean difference of code lengths."""
    fitting_gain_bits_low: float
    """Lower end of its interval, which allows for the choice of the peak."""
    fitting_gain_bits_high: float
    """Upper end of its interval."""
    compression_loss_bits: float
    """Usable information lost from the peak to the last checkpoint: a mean difference of code lengths."""
    compression_loss_bits_low: float
    """Lower end of its interval, which allows for the choice of the peak; above 0 exactly if the layer compresses."""
    compression_loss_bits_high: float
    """Upper end of its interval."""
    p_value: float
    """Of the test against a curve that never ends below its peak."""
    verdict: str
    """compresses, no compression found, or not judged (code lengths that are not finite)."""
    fitting_gain_variance_images: float
    """Variance of one run's gain, in bits squared, from the choice of images."""
    fitting_gain_variance_encoder_seeds: float | None
    """From the encoder's seed, at the peak of the row; below zero: not seen."""
    fitting_gain_variance_decoder_seeds: float | None
    """From the decoder's seed, given the encoder."""
    compression_loss_variance_images: float
    """Variance of one run's loss, in bits squared, from the choice of images."""
    compression_loss_variance_encoder_seeds: float | None
    """From the encoder's seed, at the peak of the row; below zero: not seen."""
    compression_loss_variance_decoder_seeds: float | None
    """From the decoder's seed, given the encoder."""
    interval: str
    """What intervals are made over, and how."""
    warnings: str
    """Names of all warnings of gain and loss, joined by semicolons."""
    finding: str
    """The finding in words."""
    gain_change_bits: float | None = None
    """fitting_gain_bits minus what it is, with a peak of its own, when the decoders' fits had ended at half of their
    steps; empty where they ended once. It may have either sign, and widens the interval to both sides by its size."""
    loss_change_bits: float | None = None
    """The same of compression_loss_bits."""
    gain_warnings: str = ""
    """Names of warnings of the first and the peak cell, and of the gain, joined by semicolons. Where the gain's change
    is measured, that the information of a cell still moves is none of them: whether the difference does is known."""
    loss_warnings: str = ""
    """The same of the peak and the last cell, and of the loss and the verdict on it."""

    def doubts(self, phase: Phase) -> str:
        """Names of warnings of one of the two; of tables from before they were told apart, of both together."""
        told_apart = self.gain_warnings or self.loss_warnings
        if not told_apart:
            return self.warnings
        return self.gain_warnings if phase == "fitting_gain" else self.loss_warnings


@dataclass(frozen=True)
class CurveKey:
    """One layer of one run under one decoder."""

    task: str
    number_format: str
    layer: str
    encoder_seed: int
    decoder_seed: int


def phase_rows(
    experiment: str,
    code_lengths: Mapping[CurveKey, Mapping[int, np.ndarray]],
    warnings: Mapping[tuple[CurveKey, int], str] | None = None,
    bootstrap: Bootstrap | None = None,
    halfway: Mapping[CurveKey, Mapping[int, np.ndarray]] | None = None,
) -> list[PhaseRow]:
    """All rows of phases.csv: those of single runs and, where a layer was measured with several seeds, one over them.

    Layers keep the order in which they first appear; a layer's seeds ascend, and the row over them comes last. Curves
    of a single checkpoint have no phases and no row.

    Arguments:
        code_lengths: curve -> epoch -> L in bits, shape (N,), of the same images throughout a task and layer.
        warnings: (curve, epoch) -> names of the cell's warnings, joined by semicolons.
        halfway: as `code_lengths`, when the decoders' fits had ended at half of their steps. Rows whose curves are all
            in it tell how far they moved since, and warn if it is too far.

    Raises:
        ValueError: the runs of a layer differ in their epochs or images, or not all encoder seeds have the same
            decoder seeds.
    """
    settings, named = bootstrap or Bootstrap(), warnings or {}
    layers: dict[tuple[str, str, str], list[CurveKey]] = {}
    for key in code_lengths:
        layers.setdefault((key.task, key.number_format, key.layer), []).append(key)
    rows = []
    for keys in layers.values():
        keys.sort(key=lambda key: (key.encoder_seed, key.decoder_seed))
        epochs, grid = _grid(keys, code_lengths)
        if len(epochs) < 2:
            continue
        n_decoders = grid.shape[1]
        for place, key in enumerate(keys):
            encoder, decoder = divmod(place, n_decoders)
            one = grid[encoder, decoder][None, None]
            found = _Twice.of([key], one, epochs, halfway or {}, settings)
            rows.append(_row(experiment, [key], epochs, one, found, named, len(keys) > 1))
        if len(keys) > 1:
            found = _Twice.of(keys, grid, epochs, halfway or {}, settings)
            rows.append(_row(experiment, keys, epochs, grid, found, named, True))
    return rows


@dataclass(frozen=True)
class _Twice:
    """Phases at the end of the fits and, where it was measured, at half of their steps."""

    end: Phases
    halfway: Phases | None

    @classmethod
    def of(
        cls,
        keys: Sequence[CurveKey],
        grid: np.ndarray,
        epochs: Sequence[int],
        halfway: Mapping[CurveKey, Mapping[int, np.ndarray]],
        settings: Bootstrap,
    ) -> _Twice:
        def phases(lengths: np.ndarray) -> Phases:
            over_seeds = len(keys) > 1
            return phases_over_seeds(lengths, settings) if over_seeds else phases_over_images(lengths[0, 0], settings)

        if not all(epoch in halfway.get(key, {}) for key in keys for epoch in epochs):
            return cls(phases(grid), None)
        before = np.array([[halfway[key][epoch] for epoch in epochs] for key in keys], dtype=np.float64)
        return cls(phases(grid), phases(before.reshape(grid.shape)))

    @property
    def columns(self) -> dict[str, float]:
        if self.halfway is None:
            return {}
        return {
            "gain_change_bits": self.end.fitting_gain.estimate - self.halfway.fitting_gain.estimate,
            "loss_change_bits": self.end.compression_loss.estimate - self.halfway.compression_loss.estimate,
        }

    @property
    def gain_warnings(self) -> list[str]:
        """What the change says against the gain."""
        if self.halfway is None or not self.end.finite:  # the latter is warned of already
            return []
        return ["gain_still_moving"] * moved_beyond(self.end.fitting_gain, self.halfway.fitting_gain)

    @property
    def loss_warnings(self) -> list[str]:
        """What the change says against the loss, and the verdict on it."""
        if self.halfway is None or not self.end.finite:
            return []
        flipped = verdict(self.end) != verdict(self.halfway)
        moved = moved_beyond(self.end.compression_loss, self.halfway.compression_loss)
        return ["loss_still_moving"] * moved + ["verdict_depends_on_budget"] * flipped

    def of_cells(self, warnings: Iterable[str]) -> list[str]:
        """Which warnings of cells are warnings of a difference between them."""
        found = [name for cell in warnings for name in split_warnings(cell) if name not in COMMON_NULL_WARNINGS]
        return [name for name in found if self.halfway is None or name != INFORMATION_STILL_MOVING]


def _grid(
    keys: Sequence[CurveKey], code_lengths: Mapping[CurveKey, Mapping[int, np.ndarray]]
) -> tuple[list[int], np.ndarray]:
    """Epochs, and the code lengths of a layer's runs (sorted by their seeds), shape (E, D, T, N)."""
    epochs = sorted(code_lengths[keys[0]])
    encoders = sorted({key.encoder_seed for key in keys})
    decoders = sorted({key.decoder_seed for key in keys})
    where = f"{keys[0].task}, {keys[0].layer}"
    if [(key.encoder_seed, key.decoder_seed) for key in keys] != [(e, d) for e in encoders for d in decoders]:
        raise ValueError(f"{where}: every encoder seed must be measured with the same decoder seeds.")
    if any(sorted(code_lengths[key]) != epochs for key in keys):
        raise ValueError(f"{where}: all runs must be measured at the same epochs.")
    if len({np.shape(lengths) for key in keys for lengths in code_lengths[key].values()}) != 1:
        raise ValueError(f"{where}: all cells must be measured on the same images.")
    stacked = np.array([[code_lengths[key][epoch] for epoch in epochs] for key in keys], dtype=np.float64)
    return epochs, stacked.reshape(len(encoders), len(decoders), *stacked.shape[1:])


def _row(
    experiment: str,
    keys: Sequence[CurveKey],
    epochs: Sequence[int],
    lengths: np.ndarray,
    twice: _Twice,
    warnings: Mapping[tuple[CurveKey, int], str],
    several: bool,
) -> PhaseRow:
    found = twice.end
    first, over_seeds = keys[0], len(keys) > 1
    n_encoders, n_decoders, n_checkpoints, n_images = lengths.shape
    peak = lengths[:, :, found.peak]
    with np.errstate(invalid="ignore"):  # infinite code lengths: the row says that it is not judged
        gain, loss = variance_split(lengths[:, :, 0] - peak), variance_split(lengths[:, :, -1] - peak)

    def of_cells(*used: int) -> list[str]:
        return twice.of_cells(warnings.get((key, epoch), "") for key in keys for epoch in used)

    of_gain = join_warnings([*of_cells(epochs[0], epochs[found.peak]), *twice.gain_warnings])
    of_loss = join_warnings([*of_cells(epochs[found.peak], epochs[-1]), *twice.loss_warnings])
    subject = ", ".join(_subject(first, n_encoders, n_decoders, several))
    return PhaseRow(
        experiment=experiment,
        task=first.task,
        number_format=first.number_format,
        layer=first.layer,
        encoder_seed=None if over_seeds else first.encoder_seed,
        decoder_seed=None if over_seeds else first.decoder_seed,
        n_encoder_seeds=n_encoders,
        n_decoder_seeds=n_decoders,
        n_images=n_images,
        n_checkpoints=n_checkpoints,
        first_epoch=epochs[0],
        peak_epoch=epochs[found.peak],
        peak_epoch_low=epochs[found.peak_low],
        peak_epoch_high=epochs[found.peak_high],
        last_epoch=epochs[-1],
        **_columns("fitting_gain", found.fitting_gain, gain),
        **_columns("compression_loss", found.compression_loss, loss),
        p_value=found.p_value,
        verdict=verdict(found),
        interval=seed_interval_method(n_encoders, n_decoders) if over_seeds else "bootstrap over images",
        warnings=join_warnings([*split_warnings(of_gain), *split_warnings(of_loss)]),
        finding=finding(subject, found, epochs, split_warnings(of_loss)),
        **twice.columns,
        gain_warnings=of_gain,
        loss_warnings=of_loss,
    )


def _columns(name: str, interval: Interval, split: VarianceSplit) -> dict[str, Any]:
    return {
        f"{name}_bits": interval.estimate,
        f"{name}_bits_low": interval.low,
        f"{name}_bits_high": interval.high,
        f"{name}_variance_images": split.images,
        f"{name}_variance_encoder_seeds": split.encoder_seeds,
        f"{name}_variance_decoder_seeds": split.decoder_seeds,
    }


def _subject(key: CurveKey, n_encoders: int, n_decoders: int, several: bool) -> list[str]:
    words = [key.layer, key.task] if key.number_format == "float32" else [key.layer, key.task, key.number_format]
    if n_encoders * n_decoders > 1:
        counts = [f"{n} {kind}" for n, kind in ((n_encoders, "encoder"), (n_decoders, "decoder")) if n > 1]
        words.append(f"mean of {' x '.join(counts)} seeds")
    elif several:
        words.append(f"seeds {key.encoder_seed}/{key.decoder_seed}")
    return words
