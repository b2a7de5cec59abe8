"""Sample images from what each layer still knows, and map where its bits are; reconstruct with the autoencoders."""

from __future__ import annotations

import h5py
import numpy as np
import torch

from decoders import Condition, Decoder, Minibatch, code_length_maps_bits
from ib_analysis.artifacts import Artifact, sha256_of_plain
from ib_analysis.encoders import reconstruct
from ib_analysis.engines.local import Progress, Unit
from ib_analysis.experiment import Experiment, ExperimentConfig, Fit, Run, cell_name
from ib_analysis.hdf5 import write_hdf5
from ib_analysis.records.arrays import load_arrays, save_arrays
from ib_analysis.records.common_null import common_null_source
from ib_analysis.records.decoders import decoder_artifact, feed_for, load_decoder
from ib_analysis.records.encoders import encoder_at, encoder_identities
from ib_analysis.records.images import data_section, images_of, measured_images

_MAP = "map"
"""Prefix of the names of maps in a decoder's part."""

__all__ = ["chosen_images", "merge_samples", "sample_units", "samples_artifact"]


def chosen_images(experiment: Experiment) -> np.ndarray:
    """Indices among the evaluation images that are shown: as many classes as possible, in turn."""
    labels = images_of(experiment).evaluation.labels
    by_class = [list(np.flatnonzero(labels == label)) for label in np.unique(labels)]
    chosen: list[int] = []
    while len(chosen) < min(experiment.config.sampling.images, len(labels)):
        for members in by_class:
            if members and len(chosen) < experiment.config.sampling.images:
                chosen.append(int(members.pop(0)))
    return np.array(chosen)


def _sampled_fits(experiment: Experiment) -> list[Fit]:
    """The decoders of the first decoder seed, as samples of further seeds would show the same, and the common L0's."""
    first, common = experiment.config.decoder_seeds[0], common_null_source(experiment)
    return [fit for fit in experiment.fits if fit.decoder_seed == first or fit.key == common]


def _part(experiment: Experiment, fit: Fit) -> Artifact:
    path = experiment.folder / "samples" / f"{fit.key.replace('/', '_')}.npz"
    inputs = {"data": measured_images(experiment).sha256, "decoder": decoder_artifact(experiment, fit).identity}
    # As an input and not as config: with other settings the samples are drawn again, which costs little.
    inputs["sampling"] = sha256_of_plain(experiment.section("sampling"))
    inputs["content"] = "samples, maps"  # parts of before, without maps, are made again
    return Artifact(path, "samples", {"data": data_section(experiment)}, inputs, fit.decoder_seed)


def sample_units(experiment: Experiment) -> list[Unit]:
    """One unit per decoder that has not been sampled from."""
    return [
        Unit(fit.key, _sample, (experiment.config, fit))
        for fit in _sampled_fits(experiment)
        if _part(experiment, fit).status() != "complete"
    ]


def _sample(config: ExperimentConfig, fit: Fit, progress: Progress) -> None:
    experiment = Experiment(config)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    decoder = load_decoder(experiment, fit, device)
    artifact = _part(experiment, fit)
    artifact.begin()
    uniforms = _uniforms(experiment, decoder, fit.decoder_seed)
    images, draws = uniforms.shape[:2]
    originals = _chosen_originals(experiment)
    arrays = {
        "null": _draw(decoder, [], uniforms[0]),
        f"{_MAP}/null": code_length_maps_bits(decoder, [Minibatch(originals)], null=True),
    }
    feed = feed_for(experiment, fit)
    chosen = chosen_images(experiment) + feed.groups.images("evaluation").start
    # Many cells at once: the sampler's cost is by the pixel, hardly by the image.
    at_once = max(1, config.sampling.batch_size // (images * draws))
    progress(0, len(fit.cells), {})
    for start in range(0, len(fit.cells), at_once):
        cells = fit.cells[start : start + at_once]
        conditions = []
        for cell in cells:
            activations = feed.select(cell, chosen.tolist()).to(device)
            conditions.append(Condition(activations.repeat_interleave(draws, 0), cell_name(*cell)))
            given = Minibatch(originals, (Condition(activations, cell_name(*cell)),))
            arrays[f"{_MAP}/{cell_name(*cell)}"] = code_length_maps_bits(decoder, [given])
        repeated = uniforms.flatten(0, 1).repeat(len(cells), *[1] * (uniforms.ndim - 2))
        drawn = _draw(decoder, conditions, repeated)
        drawn = drawn.reshape(len(cells), images, draws, *drawn.shape[1:])
        arrays |= {cell_name(*cell): drawn[k] for k, cell in enumerate(cells)}
        progress(start + len(cells), len(fit.cells), {})
    save_arrays(artifact, arrays)


def _chosen_originals(experiment: Experiment) -> torch.Tensor:
    """The images that are shown: (images, C, H, W), uint8."""
    return torch.from_numpy(images_of(experiment).evaluation.images[chosen_images(experiment)])


def _uniforms(experiment: Experiment, decoder: Decoder, seed: int) -> torch.Tensor:
    """Random numbers of every image and draw, the same for all cells: (images, draws, H, W, K)."""
    image = decoder.config.image
    count = len(chosen_images(experiment))
    shape = (count, experiment.config.sampling.draws, image.height, image.width, decoder.output.n_uniforms)
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def _draw(decoder: Decoder, conditions: list[Condition], uniforms: torch.Tensor) -> np.ndarray:
    device = next(decoder.parameters()).device
    distribution = decoder(conditions) if conditions else decoder(batch_size=len(uniforms))
    return distribution.sample(uniforms=uniforms.to(device)).cpu().numpy()


# ---------------------------------------------------------------------------------------------- one file


def samples_artifact(experiment: Experiment) -> Artifact:
    """The file that figures and page read: originals, samples and reconstructions."""
    inputs = {fit.key: _part(experiment, fit).identity for fit in _sampled_fits(experiment)}
    inputs["common null"] = common_null_source(experiment)
    common = _common_null_fit(experiment)
    if common is not None:
        inputs["common null's decoder"] = decoder_artifact(experiment, common).identity
    for run in _autoencoders(experiment):
        inputs |= {f"{run.key} epoch {e}": sha for e, sha in encoder_identities(experiment, run).items()}
    return Artifact(experiment.folder / "samples.h5", "samples", {"data": data_section(experiment)}, inputs)


def merge_samples(experiment: Experiment) -> None:
    """Write ``samples.h5`` from the decoders' parts and the autoencoders' checkpoints."""
    artifact = samples_artifact(experiment)
    if artifact.status() == "complete":
        return
    artifact.begin()
    data, chosen = images_of(experiment), chosen_images(experiment)
    with write_hdf5(artifact.path) as file:
        file.attrs.update({"intensities": data.intensities, "n_draws": experiment.config.sampling.draws})
        file["originals"] = data.evaluation.images[chosen]
        file["labels"] = data.evaluation.labels[chosen]
        file["evaluation_index"] = chosen
        parts = {fit: load_arrays(_part(experiment, fit)) for fit in _sampled_fits(experiment)}
        # The null's samples are those of the common L0 where that is one of these decoders.
        null = next((fit for fit in parts if fit.key == common_null_source(experiment)), next(iter(parts)))
        file["samples/null"] = parts[null]["null"]
        first = {fit: arrays for fit, arrays in parts.items() if fit.decoder_seed == experiment.config.decoder_seeds[0]}
        for fit, arrays in first.items():
            for name, drawn in arrays.items():
                if name != "null" and not name.startswith(f"{_MAP}/") and fit.run is not None:
                    file[f"samples/{fit.run.key}/{name}"] = drawn
        _write_maps(experiment, file, first)
        for run in _autoencoders(experiment):
            for epoch in experiment.epochs:
                encoder = encoder_at(experiment, run, epoch)
                with torch.no_grad():
                    images = torch.from_numpy(data.evaluation.images[chosen])
                    pictures = reconstruct(encoder, images, data.intensities)
                file[f"reconstructions/{run.key}/epoch_{epoch:04d}"] = pictures.numpy()
    artifact.finish()


def _write_maps(experiment: Experiment, file: h5py.File, parts: dict[Fit, dict[str, np.ndarray]]) -> None:
    """Where each image's L0 - L is, ``maps/<run>/<cell>``: shape (n_images, C, H, W), float32, bits.

    L0 is the common one, or the decoder's own where the common one is another experiment's: the file's attribute
    ``maps_of_common_null`` says which, each map's attribute ``null`` names the decoder. Without either (an own null
    that was never fitted) there are no maps.
    """
    common = _common_null_fit(experiment)
    file.attrs["maps_of_common_null"] = common is not None
    common_map: np.ndarray | None = None
    if common is not None:
        decoder = load_decoder(experiment, common, torch.device("cpu"))
        common_map = code_length_maps_bits(decoder, [Minibatch(_chosen_originals(experiment))], null=True)
    elif experiment.fitting.null_share == 0:
        return
    for fit, arrays in parts.items():
        if fit.run is None:
            continue
        null = arrays[f"{_MAP}/null"] if common_map is None else common_map
        for cell in fit.cells:
            name = f"maps/{fit.run.key}/{cell_name(*cell)}"
            file[name] = (null - arrays[f"{_MAP}/{cell_name(*cell)}"]).astype(np.float32)
            file[name].attrs["null"] = fit.key if common is None else common.key


def _common_null_fit(experiment: Experiment) -> Fit | None:
    """The decoder whose null condition is the common L0, where it is one of this experiment's."""
    source = common_null_source(experiment)
    return next((fit for fit in experiment.fits if fit.key == source), None)


def _autoencoders(experiment: Experiment) -> list[Run]:
    return [run for run in experiment.runs if run.reconstructs]
