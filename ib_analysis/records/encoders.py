"""What every stage starts from: the images, and where each encoder's record is found."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from ib_analysis.artifacts import Artifact, UserError, settings_of
from ib_analysis.data import DataConfig, Space, image_space
from ib_analysis.encoders import (
    BinaryNetwork,
    EncoderConfig,
    TappedNetwork,
    build_encoder,
    expect_steps,
    tap_shapes,
)
from ib_analysis.encoders import Task as TrainedTask
from ib_analysis.experiment import Experiment, Run
from ib_analysis.quantization import CodedTaps, number_format, quantize, start_step
from ib_analysis.records.filed import epoch_identities
from ib_analysis.records.images import data_section, images_of
from ib_analysis.training import (
    Course,
    Distillation,
    binary_course,
    checkpoint_artifact,
    first_phase,
    load_encoder,
    ordinary_course,
)

__all__ = [
    "course_of",
    "encoder_artifacts",
    "encoder_at",
    "encoder_identities",
    "encoder_recipe",
    "initial_encoder",
    "later_layers",
    "layer_shapes",
    "measured_encoder",
    "new_encoder",
    "teacher_of",
]


def encoder_recipe(experiment: Experiment, run: Run) -> dict[str, Any]:
    """Everything chosen by the user that one encoder depends on."""
    chosen = number_format(run.number_format)
    own = ("binary_training",) if chosen.is_binary else ("quantization",) if chosen.is_quantized else ()
    return {
        "task": run.task,
        "number_format": run.number_format,
        **(experiment.section(*own) if own else {}),
        **experiment.section("encoder", "training"),
        **_of_joint(experiment, run),
        "data": data_section(experiment),
    }


def _of_joint(experiment: Experiment, run: Run) -> dict[str, Any]:
    """How a trade-off is kept to; which one it is, the task tells: a run does not depend on the others in the list."""
    own = {"exact": ("average", "tolerance"), "linear": (), "limit": ("average", "restoration")}
    return {} if run.trade_off is None else {"joint": settings_of(experiment.config.joint, *own[run.trade_off.kind])}


def new_encoder(experiment: Experiment, run: Run) -> TappedNetwork:
    """The run's network at its initialisation."""
    data = images_of(experiment)
    space = Space(data.image_shape, data.intensities, len(data.class_names))
    return initial_encoder(experiment, run, space, len(data.encoder))


def initial_encoder(
    experiment: Experiment, run: Run, space: Space, n_images: int, start: int | None = None
) -> TappedNetwork:
    """The run's network at its initialisation, for images that need not be loaded.

    Arguments:
        space: of the images.
        n_images: how many train the encoder.
        start: training steps before activations are quantized; None: as the length of the training has it.

    Raises:
        UserError: the quantization names a layer that does not exist, or would begin after the last training step; or
            there is no network but a file of its activations.
    """
    config = experiment.config
    network = build_encoder(config.encoder, run.trained_for, *space, run.encoder_seed)
    chosen = number_format(run.number_format)
    steps = config.training.epochs * -(-n_images // config.training.batch_size)
    expect_steps(network, steps)
    if chosen.is_binary:
        assert isinstance(network, BinaryNetwork)
        network.set_phase(first_phase(config.binary_training))
    elif chosen.is_quantized:
        start = start_step(steps) if start is None else start
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


def teacher_of(experiment: Experiment, run: Run) -> Run | None:
    """The run that a run's network learns from beside the labels, and that has to be trained before it."""
    is_binary = number_format(run.number_format).is_binary
    if not is_binary or run.task != "classification" or experiment.config.binary_training.teacher == "none":
        return None
    return Run(run.task, "float32", run.encoder_seed)


def course_of(experiment: Experiment, run: Run) -> Course:
    """The steps of a run's training, and its teacher.

    Raises:
        UserError: the teacher is not trained yet, or there are fewer epochs than steps.
    """
    config = experiment.config
    if not number_format(run.number_format).is_binary:
        return ordinary_course(config.training, run.trade_off, config.joint)
    teacher, own = teacher_of(experiment, run), config.binary_training
    distillation = None
    if teacher is not None:
        trained = encoder_at(experiment, teacher, experiment.epochs[-1])
        distillation = Distillation(trained, own.teacher_share, own.temperature)
    return binary_course(own, config.training, distillation)


def encoder_artifacts(experiment: Experiment, run: Run) -> dict[int, Artifact]:
    """The run's checkpoints: epoch -> record."""
    folder, made_from = experiment.encoder_folder(run), encoder_recipe(experiment, run)
    sha256, seed = images_of(experiment).sha256, run.encoder_seed
    return {
        epoch: checkpoint_artifact(folder, epoch, recipe=made_from, data_sha256=sha256, seed=seed)
        for epoch in experiment.epochs
    }


def encoder_identities(experiment: Experiment, run: Run) -> dict[int, str]:
    """The run's checkpoints, or what a user's file holds of them: epoch -> hash.

    Raises:
        UserError: the run is not trained yet.
    """
    if experiment.contents is not None:
        return epoch_identities(experiment)
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


def layer_shapes(experiment: Experiment, run: Run) -> dict[str, tuple[int, ...]]:
    """Shapes of one image's activations by layer; no image is loaded."""
    if experiment.contents is not None:
        return {layer: tap.shape for layer, tap in experiment.contents.taps.items()}
    return dict(_layer_shapes(experiment.config.encoder, experiment.config.data, run.trained_for))


def later_layers(experiment: Experiment, run: Run) -> dict[str, tuple[str, ...]]:
    """Measured layer -> the measured layers behind it that are functions of it, through however many others.

    Of what the network hands on from a tap, that is; where codes are measured, only of all that goes on
    (`CodedTaps.codes`).
    """
    if experiment.contents is not None:
        return dict.fromkeys(experiment.layers, ())  # a file does not tell what is a function of what
    determined_by = _determined_by(experiment.config.encoder, experiment.config.data, run.trained_for)

    def before(layer: str) -> list[str]:
        found = []
        while layer in determined_by:
            layer = determined_by[layer]
            found.append(layer)
        return found

    layers = experiment.layers
    return {layer: tuple(later for later in layers if layer in before(later)) for layer in layers}


@lru_cache(maxsize=8)
def _determined_by(encoder: EncoderConfig, data: DataConfig, task: TrainedTask) -> dict[str, str]:
    return dict(build_encoder(encoder, task, *image_space(data, recheck=False), seed=0).determined_by)


@lru_cache(maxsize=8)
def _layer_shapes(encoder: EncoderConfig, data: DataConfig, task: TrainedTask) -> dict[str, tuple[int, ...]]:
    image_shape, intensities, n_classes = image_space(data, recheck=False)
    return tap_shapes(build_encoder(encoder, task, image_shape, intensities, n_classes, seed=0), image_shape)
