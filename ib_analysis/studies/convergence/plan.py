"""Which decoders of an experiment are fitted again for longer, and which of their cells are compared."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ib_analysis.artifacts import UserError
from ib_analysis.experiment import Experiment, Fit, Run
from ib_analysis.stages.fit import fit_seed
from ib_analysis.studies.convergence.config import ConvergenceConfig
from ib_analysis.studies.extra_fits import ExtraFit, ExtraFits
from ib_analysis.studies.schedules import stretched

__all__ = ["LongerFit", "longer_fits", "study_of"]


@dataclass(frozen=True)
class LongerFit:
    """A decoder of the experiment and the same, fitted for longer.

    Arguments:
        own: the experiment's.
        longer: the study's: the same cells, network, base, minibatch size and seed.
        cells: (epoch, layer) of those that are compared; a shared decoder has others too, and is fitted to all.
    """

    own: Fit
    longer: ExtraFit
    cells: tuple[tuple[int, str], ...]

    @property
    def run(self) -> Run:
        """Whose layers they read."""
        assert self.own.run is not None
        return self.own.run


def longer_fits(experiment: Experiment, settings: ConvergenceConfig) -> tuple[LongerFit, ...]:
    """Every longer fit of the study, in the experiment's order.

    Random numbers are those of the experiment's fit: the same first weights and, step by step, the same minibatches, so
    that what is added comes from the steps and not from another draw.

    Raises:
        UserError: spike-ins, fits that end once or start from another experiment's, or something that is not there.
    """
    config = experiment.config
    ExtraFits(experiment, "convergence", ())
    if not config.fitting.halfway:
        raise UserError(
            f"{config.name}'s fits end once, so that no change is measured that a longer fit could be held against; "
            "set fitting.halfway to true (--fitting.halfway true --name ANOTHER)."
        )
    if config.sharing == "across_runs":
        raise UserError(
            f"{config.name}'s readers read several runs each, and the study fits longer ones of single runs only; use "
            "an experiment with --sharing layer."
        )
    if config.start_from is not None:
        raise UserError(
            f"{config.name}'s fits start from those of {config.start_from}, and have had its steps already; use an "
            "experiment without start_from."
        )
    runs, seed = _runs(experiment, settings), _decoder_seed(experiment, settings)
    layers = settings.layers or experiment.layers
    _require("layers", settings.layers, experiment.layers, config.name)
    found = []
    for own in experiment.fits:
        cells = tuple(cell for cell in own.cells if cell[1] in layers)
        if own.run not in runs or own.decoder_seed != seed or not cells:
            continue
        longer = ExtraFit(
            key=f"{own.key}_x{settings.factor:g}",
            run=own.run,
            cells=own.cells,
            architecture=experiment.decoder_size_for(own),
            fitting=stretched(experiment.fitting_for(own), settings.factor),
            decoder_seed=seed,
            seed=fit_seed(experiment, own),
        )
        found.append(LongerFit(own, longer, cells))
    return tuple(found)


def study_of(experiment: Experiment, plan: Iterable[LongerFit]) -> ExtraFits:
    """The study's decoders, those of most cells first."""
    return ExtraFits(experiment, "convergence", sorted((item.longer for item in plan), key=lambda fit: -len(fit.cells)))


def _runs(experiment: Experiment, settings: ConvergenceConfig) -> list[Run]:
    first, name = experiment.runs[0], experiment.config.name
    number_format = first.number_format if settings.number_format is None else settings.number_format
    seed = first.encoder_seed if settings.encoder_seed is None else settings.encoder_seed
    tasks = settings.tasks or (first.task,)
    _require("tasks", tasks, {run.task for run in experiment.runs}, name)
    _require("number_format", [number_format], {run.number_format for run in experiment.runs}, name)
    _require("encoder_seed", [seed], {run.encoder_seed for run in experiment.runs}, name)
    return [
        run
        for run in experiment.runs
        if run.task in tasks and run.number_format == number_format and run.encoder_seed == seed
    ]


def _decoder_seed(experiment: Experiment, settings: ConvergenceConfig) -> int:
    known = experiment.config.decoder_seeds
    seed = known[0] if settings.decoder_seed is None else settings.decoder_seed
    _require("decoder_seed", [seed], known, experiment.config.name)
    return seed


def _require(field: str, wanted: Iterable[object], known: Iterable[object], name: str) -> None:
    """Refuse what an experiment does not have."""
    there = list(known)
    for value in wanted:
        if value not in there:
            choices = ", ".join(sorted(map(str, there)))
            raise UserError(f"convergence.{field} asks for {value}, which {name} does not have; choose from {choices}.")
