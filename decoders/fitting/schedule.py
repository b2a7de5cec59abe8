"""How a decoder is fitted: the settings, and the learning rate they give at each step."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

__all__ = ["FittingConfig", "cooldown_start", "halfway_config", "learning_rate", "steps_in_all"]


@dataclass(frozen=True)
class FittingConfig:
    """Settings of one maximum likelihood fit. Budgets count steps, never time, so that runs repeat exactly.

    Raises:
        ValueError: a value is outside its range.
    """

    steps: int = 10_000
    """Optimiser steps of the whole fit, unless it stops early."""
    batch_size: int = 64
    """Images per step over all processes, read by whoever draws the minibatches. Memory is no reason to lower
    it: a minibatch that does not fit on the GPU is computed in parts."""
    learning_rate: float = 1e-3
    """Adam's learning rate after the warm-up (PixelCNN++, Salimans et al. 2017, openai/pixel-cnn)."""
    optimiser: Literal["adam", "muon"] = "adam"
    """What moves weight matrices and kernels: `adam`, as in the paper, or `muon`, momentum made orthogonal (Jordan et
    al. 2024), which needs a fraction of the images. Gains, biases and embeddings are Adam's in either case."""
    matrix_learning_rate: float = 0.02
    """Muon's learning rate after the warm-up: the angle in radians by which a row of unit norm turns in a step."""
    matrix_momentum: float = 0.95
    """Decay rate of Muon's momentum (Jordan et al. 2024)."""
    betas: tuple[float, float] = (0.95, 0.9995)
    """Adam's decay rates of the first and second moment (openai/pixel-cnn)."""
    lr_decay_per_step: float = 0.999995
    """The learning rate is multiplied by this at every step (openai/pixel-cnn)."""
    warmup_steps: int = 0
    """Steps over which the learning rate rises linearly to its value; the paper uses none."""
    cooldown_share: float = 0.0
    """Share of the steps, at the end, over which the learning rate falls linearly to zero: worth some bits in
    short fits. 0 = none, as in the paper."""
    averaging: float = 0.9995
    """Decay per step of the exponential average of the weights that is evaluated (openai/pixel-cnn)."""
    averaging_power: float = 8.0
    """How fast the average forgets the start of a short fit: after t steps a new weight counts at least
    (power + 1) / (power + t) (Shamir & Zhang 2013, arXiv 1212.1824). 0 = only the exponential average with
    bias correction, which is a plain mean of all steps until about 1 / (1 - averaging) of them are done."""
    null_share: float = 0.1
    """Probability that a training image sees the null condition instead of its own (as in Ho & Salimans 2022,
    arXiv 2207.12598); without effect on a decoder that has no cells, and on readers, whose null is their base."""
    validate_every: int = 500
    """Steps between two validations; the last step is always validated. Judging a fit takes 6 before the cool-down:
    with fewer, 1000 steps or more are refused, and a shorter trial ends with a warning."""
    validation_images: int = 1000
    """Number of validation images, read by whoever draws the validation minibatches."""
    patience: int = 0
    """Stop after so many validations in a row without a new best one; 0 = never stop early."""
    gradient_clip: float | None = None
    """Largest gradient norm of the loss in nats per dimension; None = no clipping, as in the paper."""
    save_every: int = 500
    """Steps between two checkpoints. A fit that meets a non-finite number goes back to the last of them."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Arithmetic of the training steps: auto is bfloat16 autocast on a GPU that has it and float32 elsewhere. A CPU
    with instructions for bfloat16 does the steps of a reader of 32x32 images in about seven tenths of the time if
    bfloat16 is asked for. Evaluation is always in the precision of the parameters."""
    halfway: bool = False
    """Whether the fit also ends once at half of its steps, with a cool-down of its own, after which it goes on as if
    nothing had been: what a number changes from there to the end tells whether a longer fit would change it."""

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size", "validate_every", "validation_images", "save_every"):
            _require(getattr(self, name) >= 1, name, getattr(self, name), "at least 1")
        for name in ("warmup_steps", "patience", "averaging_power"):
            _require(getattr(self, name) >= 0, name, getattr(self, name), "at least 0")
        for name in ("cooldown_share", "null_share"):
            _require(0 <= getattr(self, name) <= 1, name, getattr(self, name), "between 0 and 1")
        for name in ("learning_rate", "matrix_learning_rate"):
            _require(getattr(self, name) > 0, name, getattr(self, name), "above 0")
        _require(0 <= self.matrix_momentum < 1, "matrix_momentum", self.matrix_momentum, "in [0, 1)")
        _require(self.optimiser in ("adam", "muon"), "optimiser", self.optimiser, "one of adam, muon")
        _require(0 < self.lr_decay_per_step <= 1, "lr_decay_per_step", self.lr_decay_per_step, "in (0, 1]")
        _require(0 <= self.averaging < 1, "averaging", self.averaging, "in [0, 1)")
        _require(all(0 <= beta < 1 for beta in self.betas), "betas", self.betas, "both in [0, 1)")
        _require(
            self.gradient_clip is None or self.gradient_clip > 0,
            "gradient_clip",
            self.gradient_clip,
            "above 0",
        )
        known = ("auto", "float32", "bfloat16")
        _require(self.precision in known, "precision", self.precision, f"one of {', '.join(known)}")
        if self.halfway:
            _require_halfway(self)


def cooldown_start(config: FittingConfig) -> int:
    """The first step whose learning rate the cool-down lowers; ``config.steps`` if there is none."""
    return config.steps - round(config.cooldown_share * config.steps)


def halfway_config(config: FittingConfig) -> FittingConfig:
    """The fit of half of the steps, which a fit with `FittingConfig.halfway` is until this one's cool-down begins.

    Example:
        >>> half = halfway_config(FittingConfig(steps=100, cooldown_share=0.3, halfway=True))
        >>> half.steps, cooldown_start(half)
        (50, 35)
    """
    return replace(config, steps=config.steps // 2, halfway=False)


def steps_in_all(config: FittingConfig) -> int:
    """Steps that are computed: those of the fit, and those of the cool-down at half of them if it has one.

    Example:
        >>> steps_in_all(FittingConfig(steps=100, cooldown_share=0.3, halfway=True))
        115
    """
    if not config.halfway:
        return config.steps
    half = halfway_config(config)
    return config.steps + half.steps - cooldown_start(half)


def learning_rate(config: FittingConfig, step: int) -> float:
    """Adam's learning rate of step ``step`` (0 is the first); Muon's has the same course.

    lr(s) = learning_rate * min(1, (s + 1) / warmup) * decay^s * min(1, (steps - s) / cool-down steps).

    Example:
        >>> config = FittingConfig(steps=100, warmup_steps=4, cooldown_share=0.5, lr_decay_per_step=1.0)
        >>> [learning_rate(config, step) for step in (0, 3, 50, 75)]
        [0.00025, 0.001, 0.001, 0.0005]
    """
    rate = config.learning_rate * config.lr_decay_per_step**step
    if step < config.warmup_steps:
        rate *= (step + 1) / config.warmup_steps
    start = cooldown_start(config)
    if step >= start:
        rate *= max(config.steps - step, 0) / (config.steps - start)
    return rate


def _require(holds: bool, name: str, value: object, rule: str) -> None:
    if not holds:
        raise ValueError(f"The fitting setting {name} is {value}: it has to be {rule}.")


def _require_halfway(config: FittingConfig) -> None:
    """Refuse a schedule that cannot end at half of its steps as it does at the end."""
    half = halfway_config(config)
    rule = "an even number of at least 4 for a fit that also ends halfway (fitting setting halfway)"
    _require(config.steps % 2 == 0 and config.steps >= 4, "steps", config.steps, rule)
    rule = (
        f"above 0 and below 1, such that half of the {config.steps} steps has some before its cool-down and some in "
        "it, for a fit that also ends halfway (fitting setting halfway)"
    )
    _require(0 < cooldown_start(half) < half.steps, "cooldown_share", config.cooldown_share, rule)
