"""The schedule of a fit, stretched to other steps: what studies of longer and shorter fits have in common."""

from __future__ import annotations

from dataclasses import replace

from decoders.fitting.schedule import FittingConfig

__all__ = ["scaled", "stretched"]


def scaled(fitting: FittingConfig, factor: float) -> FittingConfig:
    """The same schedule stretched to other steps: as many validations, the same share of warm-up and cool-down.

    Without a halfway end: the study itself tells what other steps would change.

    >>> short = scaled(FittingConfig(steps=1000, warmup_steps=40, validate_every=100), 0.25)
    >>> short.steps, short.warmup_steps, short.validate_every
    (250, 10, 25)
    """
    return replace(
        fitting,
        steps=max(1, round(factor * fitting.steps)),
        warmup_steps=round(factor * fitting.warmup_steps),
        validate_every=max(1, round(factor * fitting.validate_every)),
        halfway=False,
    )


def stretched(fitting: FittingConfig, factor: float) -> FittingConfig:
    """The same, with the decay per step stretched too: at each share of its steps it has the same learning rate.

    >>> stretched(FittingConfig(steps=1000, lr_decay_per_step=0.81), 2).lr_decay_per_step
    0.9
    """
    return replace(scaled(fitting, factor), lr_decay_per_step=fitting.lr_decay_per_step ** (1 / factor))
