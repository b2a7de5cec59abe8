"""Which decoders the budget curves are made of."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from decoders.config import Architecture
from decoders.fitting.fit import FittingConfig
from ib_analysis.artifacts import UserError
from ib_analysis.experiment import Experiment, Run
from ib_analysis.studies.budget.config import BudgetConfig
from ib_analysis.studies.extra_fits import ExtraFit, ExtraFits
from ib_analysis.studies.schedules import scaled

__all__ = ["Budget", "budgets", "study_of"]


@dataclass(frozen=True)
class Budget:
    """One decoder of the study.

    Arguments:
        fit: the decoder.
        architecture: its size.
        against_steps: whether it is a point of the curves against steps.
        against_size: whether it is a point of the curves against size.
    """

    fit: ExtraFit
    architecture: Architecture
    against_steps: bool
    against_size: bool


def budgets(experiment: Experiment, settings: BudgetConfig) -> tuple[Budget, ...]:
    """Every decoder of the study, each once.

    Raises:
        UserError: no such encoder, a null condition that is not fitted, or a decoder that cannot be.
    """
    if experiment.has_base:
        raise UserError(
            f"{experiment.config.name} has deep readers, and a budget study is about filters and blocks of gated "
            "decoders; use it on an experiment with --reader gated."
        )
    if experiment.config.fitting.null_share == 0:
        raise UserError(
            "fitting.null_share is 0, so that the decoders of a budget study would have no L0; choose a share above 0."
        )
    run, config = _run(experiment, settings), experiment.config
    found: dict[tuple[Architecture, FittingConfig], Budget] = {}
    points = [(config.decoder, scaled(config.fitting, factor), True, False) for factor in settings.step_factors]
    points += [(size, scaled(config.fitting, 1), False, True) for size in _sizes(config.decoder, settings)]
    for architecture, fitting, steps, size in points:
        key = f"{run.key}_{fitting.steps}steps_{architecture.filters}filters_{architecture.blocks}blocks"
        key += f"_decoder{settings.decoder_seed}"
        fit = ExtraFit(key, run, experiment.cells, architecture, fitting, settings.decoder_seed)
        known = found.get((architecture, fitting), Budget(fit, architecture, False, False))
        found[architecture, fitting] = Budget(
            fit, architecture, known.against_steps or steps, known.against_size or size
        )
    return tuple(found.values())


def study_of(experiment: Experiment, plan: tuple[Budget, ...]) -> ExtraFits:
    """The study's decoders, the costliest first."""

    def price(budget: Budget) -> float:
        return budget.fit.fitting.steps * budget.architecture.blocks * budget.architecture.filters**2

    return ExtraFits(experiment, "budget", [budget.fit for budget in sorted(plan, key=price, reverse=True)])


def _run(experiment: Experiment, settings: BudgetConfig) -> Run:
    for run in experiment.runs:
        if settings.task in (None, run.task) and settings.encoder_seed in (None, run.encoder_seed):
            return run
    known = ", ".join(run.key for run in experiment.runs)
    raise UserError(
        f"budget.task and budget.encoder_seed ask for {settings.task}, {settings.encoder_seed}, which "
        f"{experiment.config.name} does not have; choose from {known}."
    )


def _sizes(base: Architecture, settings: BudgetConfig) -> Iterator[Architecture]:
    for factor in settings.filter_factors:
        for blocks in settings.blocks:
            yield replace(base, filters=max(1, round(factor * base.filters)), blocks=blocks)
