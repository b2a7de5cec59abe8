"""Measure: code lengths of the evaluation images under every decoder, and probes of every cell.

Each cell's result is a small file of its own, which is result, cache and resume point in one; `collate` makes one
HDF5 file and the tables of them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor

from decoders import Decoder, Minibatch, code_lengths_and_mean_map_bits, code_lengths_bits
from ib_analysis.activations import Part
from ib_analysis.artifacts import Artifact
from ib_analysis.engines.local import Progress, Unit
from ib_analysis.experiment import Experiment, ExperimentConfig, Fit
from ib_analysis.fits.feed import CellFeed, Reading
from ib_analysis.records.arrays import load_arrays, save_arrays
from ib_analysis.records.code_lengths import NULL_VALIDATION, code_length_artifacts
from ib_analysis.records.decoders import decoder_artifact, feed_for, load_decoder, load_halfway_weights

__all__ = ["code_length_units", "measure_code_lengths"]


def code_length_units(experiment: Experiment) -> list[Unit]:
    """One unit per decoder that has not yet measured all its cells."""
    return [
        Unit(fit.key, _measure, (experiment.config, fit))
        for fit in experiment.fits
        if any(item.status() != "complete" for item in code_length_artifacts(experiment, fit).values())
    ]


def _measure(config: ExperimentConfig, fit: Fit, progress: Progress) -> None:
    experiment = Experiment(config)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    decoder = load_decoder(experiment, fit, device)
    record = decoder_artifact(experiment, fit).manifest() or {}
    feed = feed_for(experiment, fit, record.get("spike_in_scales"))
    readings = {reading.name: reading for reading in feed.readings}
    artifacts = code_length_artifacts(experiment, fit)
    halfway = load_halfway_weights(experiment, fit)
    measure_code_lengths(decoder, feed, artifacts, readings, progress, mean_maps=True, halfway=halfway)


def measure_code_lengths(
    decoder: Decoder,
    feed: CellFeed,
    artifacts: Mapping[str, Artifact],
    readings: Mapping[str, Reading],
    progress: Progress,
    beside: Callable[[tuple[int, str], Part], dict[str, np.ndarray]] | None = None,
    mean_maps: bool = False,
    halfway: Mapping[str, Tensor] | None = None,
) -> None:
    """Measure what is not complete of a decoder's code lengths, each into its small file as ``bits``, shape (N,).

    Manifests tell how many values of the conditions the decoder clipped (`decoders.readings.LARGEST`), as
    ``clipped_values`` of ``condition_values``.

    Arguments:
        artifacts: `NULL_VALIDATION`, `NULL` or a reading's name -> the record of its file.
        readings: name -> what the images are conditioned on.
        beside: (cell, part) -> further arrays that are kept with the cell's code lengths.
        mean_maps: keep also the mean over the evaluation images of each pixel's and channel's bits, as
            ``mean_map_bits``, shape (C, H, W).
        halfway: a state dict, the decoder's when its fit ended halfway: code lengths under these weights of what is
            conditioned on activations (of an unconditional decoder, of the evaluation images) are kept too, as
            ``halfway_bits``, shape (N,), of the same images.
    """
    progress(0, len(artifacts), {})
    for done, (name, artifact) in enumerate(artifacts.items(), start=1):
        if artifact.status() != "complete":
            artifact.begin()
            start = time.perf_counter()
            part: Part = "validation" if name == NULL_VALIDATION else "evaluation"
            reading = readings.get(name)
            counted = _Clipped(decoder)
            minibatches = feed.part(part, None) if reading is None else feed.part(part, *reading)
            minibatches = counted.count(minibatches)
            if mean_maps and part == "evaluation":
                bits, mean_map = code_lengths_and_mean_map_bits(decoder, minibatches)
                arrays = {"bits": bits, "mean_map_bits": mean_map}
            else:
                arrays = {"bits": code_lengths_bits(decoder, minibatches)}
            if halfway is not None and part == "evaluation" and (reading is not None or not readings):
                with _holding(decoder, halfway):
                    again = feed.part(part, None) if reading is None else feed.part(part, *reading)
                    arrays["halfway_bits"] = code_lengths_bits(decoder, again)
            if beside is not None and reading is not None:
                arrays |= beside(reading.cell, part)
            save_arrays(artifact, arrays, seconds=time.perf_counter() - start, **counted.facts)
        progress(done, len(artifacts), {"bits": float(load_arrays(artifact)["bits"].mean())})


@contextmanager
def _holding(decoder: Decoder, weights: Mapping[str, Tensor]) -> Iterator[None]:
    """Let a decoder have other weights inside a ``with`` block."""
    kept = {name: tensor.clone() for name, tensor in decoder.state_dict().items()}
    decoder.load_state_dict(weights)
    try:
        yield
    finally:
        decoder.load_state_dict(kept)


class _Clipped:
    """Counts the values of conditions that a decoder clips, as minibatches go by."""

    def __init__(self, decoder: Decoder) -> None:
        self._conditioning = decoder.conditioning
        self._found = self._total = 0

    def count(self, minibatches: Iterable[Minibatch]) -> Iterator[Minibatch]:
        """Hand on the minibatches."""
        for minibatch in minibatches:
            if self._conditioning is not None and minibatch.condition:
                found, total = self._conditioning.clipped(minibatch.condition)
                self._found, self._total = self._found + found, self._total + total
            yield minibatch

    @property
    def facts(self) -> dict[str, int]:
        """For the manifest; nothing where nothing was conditioned on."""
        return {"clipped_values": self._found, "condition_values": self._total} if self._total else {}
