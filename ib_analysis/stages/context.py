"""What every stage starts from: the images, and where each encoder's record is found."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Any, Literal

from ib_analysis.artifacts import Artifact, UserError, plain
from ib_analysis.data import DataConfig, ImageData, Space, Split, load_data
from ib_analysis.encoders import TappedNetwork, build_encoder
from ib_analysis.experiment import Experiment, Run
from ib_analysis.quantization import CodedTaps, number_format, quantize, start_step
from ib_analysis.spike_ins import SpikeInConfig, coin_pixels, draw_coins, overwrite
from ib_analysis.training import checkpoint_artifact, load_encoder

__all__ = [
    "data_section",
    "encoder_artifacts",
    "encoder_at",
    "encoder_identities",
    "encoder_recipe",
    "images_of",
    "initial_encoder",
    "measured_encoder",
    "measured_images",
    "new_encoder",
]


@lru_cache(maxsize=2)
def _load(config: DataConfig) -> ImageData:
    return load_data(config)


def images_of(experiment: Experiment) -> ImageData:
    """The experiment's images; loaded once per process."""
    return _load(experiment.config.data)


@lru_cache(maxsize=2)
def _overwritten(config: DataConfig, count: int, options: SpikeInConfig) -> ImageData:
    data = _load(config)
    _, height, width = data.image_shape
    pixels = coin_pixels(count, height, width, options.seed)

    def with_coins(split: Split, name: Literal["decoder", "evaluation"]) -> Split:
        coins = draw_coins(len(split), count, name, options.seed)
        return replace(split, images=overwrite(split.images, coins, pixels, data.intensities, options.shown_as))

    # Noise may share symbols between pixels, so that H(X) is no longer known exactly.
    return replace(
        data,
        decoder=with_coins(data.decoder, "decoder"),
        evaluation=with_coins(data.evaluation, "evaluation"),
        h_x_bits=None,
    )


def measured_images(experiment: Experiment) -> ImageData:
    """The images that decoders are fitted to and evaluated on: those of `images_of`, with the coins of spike-ins."""
    config = experiment.config
    return (
        _overwritten(config.data, config.spike_in, config.spike_in_options) if config.spike_in else _load(config.data)
    )


def data_section(experiment: Experiment) -> dict[str, Any]:
    """The data config without places: where a data set lies does not change what it is."""
    section = plain(experiment.config.data)
    return {name: value for name, value in section.items() if name not in ("root", "folder")}


def encoder_recipe(experiment: Experiment, run: Run) -> dict[str, Any]:
    """Everything chosen by the user that one encoder depends on."""
    return {
        "task": run.task,
        "number_format": run.number_format,
        **(experiment.section("quantization") if number_format(run.number_format).is_quantized else {}),
        **experiment.section("encoder", "training"),
        "data": data_section(experiment),
    }


def new_encoder(experiment: Experiment, run: Run) -> TappedNetwork:
    """The run's network at its initialisation."""
    data = images_of(experiment)
    space = Space(data.image_shape, data.intensities, len(data.class_names))
    return initial_encoder(experiment, run, space, len(data.encoder))


def initial_encoder(experiment: Experiment, run: Run, space: Space, n_images: int) -> TappedNetwork:
    """The run's network at its initialisation, for images that need not be loaded.

    Arguments:
        space: of the images.
        n_images: how many train the encoder.

    Raises:
        UserError: the quantization names a layer that does not exist, or would begin after the last training step.
    """
    config = experiment.config
    network = build_encoder(config.encoder, run.task, *space, run.encoder_seed)
    if number_format(run.number_format).is_quantized:
        steps = config.training.epochs * -(-n_images // config.training.batch_size)
        start = start_step(steps)
        if steps <= start:
            raise UserError(
                f"Activations of {run.number_format} are quantized from training step {start + 1} on, and the training "
                f"has only {steps} steps; raise training.epochs or lower training.batch_size."
            )
        quantize(
            network,
            run.number_format,
            space.image_shape,
            start=start,
            overrides=config.quantization.overrides,
            granularity=config.quantization.granularity,
        )
    return network


def encoder_artifacts(experiment: Experiment, run: Run) -> dict[int, Artifact]:
    """The run's checkpoints: epoch -> record."""
    folder, made_from = experiment.encoder_folder(run), encoder_recipe(experiment, run)
    sha256, seed = images_of(experiment).sha256, run.encoder_seed
    return {
        epoch: checkpoint_artifact(folder, epoch, recipe=made_from, data_sha256=sha256, seed=seed)
        for epoch in experiment.epochs
    }


def encoder_identities(experiment: Experiment, run: Run) -> dict[int, str]:
    """The run's checkpoints: epoch -> hash.

    Raises:
        UserError: the run is not trained yet.
    """
    return {epoch: artifact.identity for epoch, artifact in encoder_artifacts(experiment, run).items()}


def encoder_at(experiment: Experiment, run: Run, epoch: int) -> TappedNetwork:
    """The run's network as it was after an epoch, in evaluation mode."""
    return load_encoder(experiment.encoder_folder(run), epoch, new_encoder(experiment, run))


def measured_encoder(experiment: Experiment, run: Run, epoch: int) -> TappedNetwork:
    """The same, with codes for taps where a quantized network has them."""
    encoder = encoder_at(experiment, run, epoch)
    if not number_format(run.number_format).is_quantized:
        return encoder
    return CodedTaps(encoder, images_of(experiment).image_shape).eval()
