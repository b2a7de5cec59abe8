"""Which decoders an audit fits beside the experiment's own, and how long each is fitted."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import cached_property

from decoders.config import Architecture, ReaderArchitecture
from decoders.fitting.fit import FittingConfig
from ib_analysis.artifacts import UserError
from ib_analysis.experiment import Experiment, Fit
from ib_analysis.records.decoders import decoder_artifact
from ib_analysis.studies.audit.config import AuditConfig
from ib_analysis.studies.audit.sample import SharedCell, sample_cells
from ib_analysis.studies.extra_fits import ExtraFit, ExtraFits

__all__ = ["BACKWARD", "FINE_TUNE", "FORWARD", "Plan", "check", "scaled_fitting"]

FINE_TUNE = "fine_tune"
"""The remedy of a warm start: the shared decoder, fitted further to one cell."""
FORWARD, BACKWARD = "forward", "backward"
"""Directions of the sweeps through the epochs."""

Size = Architecture | ReaderArchitecture
_FEWEST_VALIDATIONS = 10
_BEFORE_COOLDOWN = 6
"""Validations before the learning rate begins to fall: judging a fit takes 5, and rounding may cost one."""


def check(experiment: Experiment, settings: AuditConfig) -> None:
    """Refuse what cannot be audited, before anything runs.

    Raises:
        UserError: no decoders that several cells of one run share, fewer cells than asked for, a layer that is not
            measured, or spike-ins.
    """
    config = experiment.config
    ExtraFits(experiment, "audit", ())
    if config.sharing not in ("shared", "layer"):
        raise UserError(
            f"sharing is {config.sharing!r}: an audit compares decoders that cells of one run share with dedicated "
            "ones; use it on an experiment with --sharing layer or --sharing shared."
        )
    there = sum(len(fit.cells) for fit in experiment.fits)
    if settings.cells > there:
        raise UserError(f"audit.cells is {settings.cells}, but {config.name} has {there} cells; ask for fewer.")
    adapters, longer = config.decoder.cell_adapters, config.fitting.cooldown_share < 0.5
    if experiment.has_base and {"cell_adapters", "no_cell_adapters"} & set(settings.remedies):
        raise UserError(
            f"audit.remedies names cell adapters, which the readers of {config.name} do not have (each cell has an "
            "entry of its own); leave it out."
        )
    pointless = {"cell_adapters" if adapters else "no_cell_adapters", *([] if longer else ["longer_cooldown"])}
    if pointless & set(settings.remedies):
        raise UserError(
            f"audit.remedies names {', '.join(sorted(pointless & set(settings.remedies)))}, which {config.name} has "
            "already; leave it out."
        )
    if settings.hysteresis is not None and settings.hysteresis not in experiment.layers:
        raise UserError(
            f"audit.hysteresis is {settings.hysteresis!r}, which is not measured; choose from "
            f"{', '.join(experiment.layers)}."
        )
    if settings.hysteresis is not None and len(experiment.epochs) < 2:
        raise UserError("audit.hysteresis sweeps through epochs, and the experiment has one; leave it out.")


def scaled_fitting(fitting: FittingConfig, steps: int, learning_rate: float) -> FittingConfig:
    """The experiment's fit with another number of steps.

    The cool-down keeps its share, the warm-up takes at most a tenth of the steps, and there are at least ten
    validations, six of them before the cool-down where the steps allow it, so that short fits can be judged. The
    average of the weights adapts by itself (`FittingConfig.averaging_power`). Never stopped early, so that a fit costs
    what it is said to cost; the best validation still counts.

    >>> fitting = FittingConfig(warmup_steps=50, cooldown_share=0.35, validate_every=450, patience=3)
    >>> short = scaled_fitting(fitting, 375, 0.001)
    >>> short.warmup_steps, short.validate_every, short.patience
    (37, 37, 0)
    """
    before = 1 - fitting.cooldown_share
    validations = max(_FEWEST_VALIDATIONS, math.ceil(_BEFORE_COOLDOWN / before) if before > 0 else 0)
    return replace(
        fitting,
        steps=steps,
        learning_rate=learning_rate,
        warmup_steps=min(fitting.warmup_steps, steps // 10),
        validate_every=max(1, min(fitting.validate_every, steps // validations)),
        patience=0,
        halfway=False,  # nothing is made of it here
    )


def _larger(network: Size) -> Size:
    """Half as wide again."""
    if isinstance(network, ReaderArchitecture):
        width, largest = (math.ceil(1.5 * value) for value in (network.width, network.largest_width))
        return replace(network, width=width, largest_width=largest)
    return replace(network, filters=math.ceil(1.5 * network.filters))


class Plan:
    """The decoders of one audit; the experiment's own must be finished.

    Arguments:
        experiment: with decoders that cells of one run share.
        settings: what is compared.
    """

    def __init__(self, experiment: Experiment, settings: AuditConfig) -> None:
        self.experiment, self.settings = experiment, settings
        self.cells = sample_cells(experiment.fits, settings.cells, settings.seed)

    @cached_property
    def fits(self) -> ExtraFits:
        """All of them, the longest first."""
        found = [self.dedicated(cell, multiple) for cell in self.cells for multiple in self.settings.multiples]
        found += [self.remedied(name, fit) for name in self.remedies for fit in self.shared_fits]
        if FINE_TUNE in self.settings.remedies:
            found += [self.fine_tuned(cell) for cell in self.cells]
        found += [extra for sweep in self.sweeps for extra in self.sweep(*sweep).values()]
        found.sort(key=lambda extra: -extra.fitting.steps)
        return ExtraFits(self.experiment, "audit", found)

    @cached_property
    def shared_fits(self) -> list[Fit]:
        """The shared decoders that the sampled cells belong to."""
        return list(dict.fromkeys(cell.fit for cell in self.cells))

    def shared_steps(self, fit: Fit) -> int:
        """Steps that a shared fit has done; fewer than planned where it stopped early."""
        manifest = decoder_artifact(self.experiment, fit).manifest()
        assert manifest is not None
        return int(manifest["steps_done"])

    # ------------------------------------------------------------------ dedicated decoders

    def steps(self, fit: Fit, multiple: int) -> int:
        """Steps of a dedicated fit that costs a multiple of what the shared one spends on each of its cells."""
        return max(1, round(multiple * self.shared_steps(fit) / len(fit.cells)))

    def dedicated(self, cell: SharedCell, multiple: int) -> ExtraFit:
        """A decoder of this cell alone, with the shared one's architecture and its share of images without condition:
        by that share it has a null condition of its own, which stands for the unconditional network that the protocol
        of Darlow & Storkey (2020) fits beside each decoder."""
        chosen, own = self.experiment.fitting_for(cell.fit), self.settings.learning_rate
        rate = chosen.learning_rate if own is None else own
        name = f"dedicated_x{multiple}" + ("" if own is None else f"_rate{own:g}")
        return self._of_cell(name, cell, scaled_fitting(chosen, self.steps(cell.fit, multiple), rate), None)

    def _of_cell(self, name: str, cell: SharedCell, fitting: FittingConfig, start: Fit | ExtraFit | None) -> ExtraFit:
        return ExtraFit(
            key=f"{name}/{cell.fit.key}/{cell.name.replace('/', '_')}",
            run=cell.fit.run,
            cells=((cell.epoch, cell.layer),),
            architecture=self.experiment.decoder_size_for(cell.fit),
            fitting=fitting,
            decoder_seed=cell.fit.decoder_seed,
            start=start,
        )

    # ------------------------------------------------------------------ remedies

    @property
    def remedies(self) -> dict[str, Callable[[Size, FittingConfig], tuple[Size, FittingConfig]]]:
        """The chosen attempts at a better shared fit of as many steps: name -> what becomes of network and fit."""
        known: dict[str, Callable[[Size, FittingConfig], tuple[Size, FittingConfig]]] = {
            "larger_trunk": lambda network, fit: (_larger(network), fit),
            "half_learning_rate": lambda network, fit: (network, replace(fit, learning_rate=fit.learning_rate / 2)),
        }
        size = self.experiment.decoder_size
        if isinstance(size, Architecture):
            other = replace(size, cell_adapters=not size.cell_adapters)
            known["no_cell_adapters" if size.cell_adapters else "cell_adapters"] = lambda network, fit: (other, fit)
        if self.experiment.config.fitting.cooldown_share < 0.5:
            known["longer_cooldown"] = lambda network, fit: (network, replace(fit, cooldown_share=0.5))
        return {name: change for name, change in known.items() if name in self.settings.remedies}

    def remedied(self, remedy: str, fit: Fit) -> ExtraFit:
        """Another decoder for all cells of a shared one."""
        fitting = replace(self.experiment.fitting_for(fit), steps=self.shared_steps(fit), patience=0, halfway=False)
        architecture, fitting = self.remedies[remedy](self.experiment.decoder_size_for(fit), fitting)
        return ExtraFit(f"{remedy}/{fit.key}", fit.run, fit.cells, architecture, fitting, fit.decoder_seed)

    def fine_tuned(self, cell: SharedCell) -> ExtraFit:
        """The shared decoder, fitted to one cell for as long again as it was fitted per cell."""
        return self._of_cell(f"{FINE_TUNE}_{self.settings.fine_tune_rate:g}", cell, self._short(cell.fit), cell.fit)

    def _short(self, fit: Fit) -> FittingConfig:
        chosen = self.experiment.fitting_for(fit)
        return scaled_fitting(chosen, self.steps(fit, 1), chosen.learning_rate * self.settings.fine_tune_rate)

    # ------------------------------------------------------------------ hysteresis

    @cached_property
    def sweeps(self) -> list[tuple[Fit, str]]:
        """(shared decoder, direction) of every sweep: for the first seeds of every task."""
        if self.settings.hysteresis is None:
            return []
        first: dict[str, Fit] = {}
        for fit in self.experiment.fits:
            if fit.run is not None and self.settings.hysteresis in {layer for _, layer in fit.cells}:
                first.setdefault(fit.run.task, fit)
        return [(fit, direction) for fit in first.values() for direction in (FORWARD, BACKWARD)]

    def sweep(self, fit: Fit, direction: str) -> dict[int, ExtraFit]:
        """Epoch -> decoder, fine-tuned from that of the epoch before it on the way; the first from the shared one."""
        layer = self.settings.hysteresis
        assert layer is not None
        found: dict[int, ExtraFit] = {}
        last: Fit | ExtraFit = fit
        for epoch in self.experiment.epochs if direction == FORWARD else self.experiment.epochs[::-1]:
            name = f"{direction}_{self.settings.fine_tune_rate:g}"
            last = found[epoch] = self._of_cell(name, SharedCell(fit, epoch, layer), self._short(fit), last)
        return found
