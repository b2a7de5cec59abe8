"""Train the encoders: one per task, number format and seed; those that others learn from first."""

from __future__ import annotations

from ib_analysis.binary import Phase, check_products
from ib_analysis.encoders import BinaryNetwork
from ib_analysis.engines.local import Progress, Unit
from ib_analysis.experiment import Experiment, ExperimentConfig, Run
from ib_analysis.quantization import number_format
from ib_analysis.records.encoders import course_of, encoder_recipe, new_encoder, teacher_of
from ib_analysis.records.images import images_of
from ib_analysis.training import is_complete, train

__all__ = ["teacher_units", "train_units"]


def teacher_units(experiment: Experiment) -> list[Unit]:
    """The units of the encoders that others are to learn from."""
    if experiment.contents is not None:
        return []
    teachers = {teacher_of(experiment, run) for run in experiment.runs if not _is_trained(experiment, run)}
    return [unit for run, unit in _units(experiment) if run in teachers]


def train_units(experiment: Experiment) -> list[Unit]:
    """One unit per encoder of which a checkpoint or the history is missing."""
    return [unit for _, unit in _units(experiment)]


def _units(experiment: Experiment) -> list[tuple[Run, Unit]]:
    if experiment.contents is not None:
        return []  # trained elsewhere
    return [
        (run, Unit(run.key, _train, (experiment.config, run)))
        for run in experiment.runs
        if not _is_trained(experiment, run)
    ]


def _is_trained(experiment: Experiment, run: Run) -> bool:
    return is_complete(
        experiment.encoder_folder(run),
        experiment.epochs,
        recipe=encoder_recipe(experiment, run),
        data_sha256=images_of(experiment).sha256,
        seed=run.encoder_seed,
    )


def _train(config: ExperimentConfig, run: Run, progress: Progress) -> None:
    experiment = Experiment(config)
    encoder = new_encoder(experiment, run)
    if number_format(run.number_format).is_binary:
        _check_binary(experiment, run)
    train(
        encoder,
        run.trained_for,
        images_of(experiment),
        config.training,
        seed=run.encoder_seed,
        folder=experiment.encoder_folder(run),
        recipe=encoder_recipe(experiment, run),
        course=course_of(experiment, run),
        progress=progress,
    )


def _check_binary(experiment: Experiment, run: Run) -> None:
    """Refuse a network that would not be binary in the end, before it is trained.

    Raises:
        UserError: it multiplies real numbers.
    """
    encoder, data = new_encoder(experiment, run), images_of(experiment)
    assert isinstance(encoder, BinaryNetwork)
    check_products(encoder.set_phase(Phase.BINARY), data.image_shape, data.intensities)
