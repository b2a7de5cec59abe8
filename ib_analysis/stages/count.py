"""Count the values of layers of at most 12 bits over all images of the source."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch

from decoders.precision import full_precision
from ib_analysis.brackets.plug_in import MOST_IMAGES, count_codes
from ib_analysis.data import ImageData, image_space, load_data, split_sizes
from ib_analysis.engines.local import Progress, Unit
from ib_analysis.experiment import Experiment, ExperimentConfig, Run
from ib_analysis.records.arrays import save_arrays
from ib_analysis.records.counts import CountedCell, counted_cells
from ib_analysis.records.encoders import measured_encoder
from ib_analysis.records.images import images_of

__all__ = ["count_units", "images_to_count"]

BATCH = 512


def count_units(experiment: Experiment) -> list[Unit]:
    """One unit per run that has not yet counted all its small layers."""
    missing = {found.run: None for found in counted_cells(experiment) if found.counts.status() != "complete"}
    return [Unit(run.key, _count, (experiment.config, run)) for run in missing]


def _count(config: ExperimentConfig, run: Run, progress: Progress) -> None:
    experiment = Experiment(config)
    missing: defaultdict[int, list[CountedCell]] = defaultdict(list)
    for found in counted_cells(experiment):
        if found.run == run and found.counts.status() != "complete":
            missing[found.cell[0]].append(found)
    data = images_to_count(experiment)
    for done, (epoch, cells) in enumerate(missing.items()):
        start = time.perf_counter()
        codes = _codes(experiment, run, epoch, [found.cell[1] for found in cells], data)
        for found in cells:
            values = codes[found.cell[1]]
            found.counts.begin()
            counts = count_codes(values - values.min(initial=0), found.bits)
            save_arrays(found.counts, {"counts": counts}, seconds=time.perf_counter() - start)
        progress(done + 1, len(missing), {})


def images_to_count(experiment: Experiment) -> ImageData:
    """All images of the source in the experiment's form, also those that `data.per_class` leaves out: an encoder's pass
    is cheap, and the bias of a count falls with their number. Where there are more than are counted, fewer are loaded.
    """
    own = experiment.config.data
    everything = replace(own, per_class=None, evaluation_per_class=None)
    if everything == own:
        return images_of(experiment)
    if sum(split_sizes(everything, recheck=False).values()) > MOST_IMAGES:
        of_split = MOST_IMAGES // (3 * max(1, image_space(own, recheck=False).n_classes))
        caps = {name: max(of_split, own.cap_per_class(name) or 0) for name in ("encoder", "evaluation")}
        everything = replace(own, per_class=max(caps.values()), evaluation_per_class=caps["evaluation"])
    return load_data(everything, recheck=False)


@full_precision()
@torch.inference_mode()
def _codes(experiment: Experiment, run: Run, epoch: int, layers: list[str], data: ImageData) -> dict[str, np.ndarray]:
    """The codes of every image, (N, units) a layer."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    encoder = measured_encoder(experiment, run, epoch).to(device)
    parts: dict[str, list[np.ndarray]] = {layer: [] for layer in layers}
    for images in _batches(data):
        taps = encoder.taps(images.to(device))
        for layer in layers:
            parts[layer].append(taps[layer].flatten(1).cpu().numpy().astype(np.int16))
    return {layer: np.concatenate(found) for layer, found in parts.items()}


def _batches(data: ImageData) -> Iterator[torch.Tensor]:
    """All of these images, those that the encoder was not trained on first, up to `MOST_IMAGES`."""
    left = MOST_IMAGES
    for split in (data.evaluation, data.decoder, data.encoder):
        chosen = split.images[:left]
        left -= len(chosen)
        for start in range(0, len(chosen), BATCH):
            yield torch.as_tensor(chosen[start : start + BATCH])
