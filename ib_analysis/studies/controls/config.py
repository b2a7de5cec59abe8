"""What can be chosen about controls."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Literal

from ib_analysis.artifacts import UserError

__all__ = ["Control", "ControlsConfig"]

Control = Literal["shuffled", "constant", "image", "untrained", "permuted_labels", "data_processing", "bottleneck"]


@dataclass(frozen=True)
class ControlsConfig:
    """Which controls, of which encoder, at what price."""

    only: Control | tuple[Control, ...] = ()
    """The controls to run: a name, or a list of them ([shuffled,image]); none: all."""
    task: str | None = None
    """Task of the encoder whose layers are used; none: the experiment's first."""
    encoder_seed: int | None = None
    """Its seed; none: the experiment's first."""
    layers: tuple[str, ...] = ()
    """Layers that are shuffled, made constant and probed with permuted labels; none: all of the experiment."""
    epoch: int | None = None
    """The encoder's checkpoint; none: the last."""
    steps: int = 0
    """Optimiser steps of each control's decoder; 0: as many as a reader of the experiment has, a third of its gated
    decoder's."""
    null_share: float = 0.0
    """Share of training images under the null condition; 0: the experiment's. With 0.5 the null is fitted to as many
    images as the conditions: a control that fails with the experiment's share and passes with 0.5 failed because the
    null lags behind."""
    bottleneck_units: tuple[int, ...] = (2, 4, 8)
    """Sizes of the binary layers, in units of one bit; one decoder serves all."""

    def __post_init__(self) -> None:
        if self.steps < 0:
            raise UserError(f"controls.steps is {self.steps}; give a number of steps, or 0 for the usual number.")
        if not 0 <= self.null_share < 1:
            raise UserError(f"controls.null_share is {self.null_share}; give a share below 1, or 0 for the fit's own.")
        if len(set(self.chosen)) != len(self.chosen):
            raise UserError(f"controls.only is {list(self.chosen)}; name each control once.")

    @property
    def chosen(self) -> tuple[Control, ...]:
        """The controls that were asked for by name.

        >>> ControlsConfig(only="image").chosen, ControlsConfig().chosen
        (('image',), ())
        """
        return (self.only,) if isinstance(self.only, str) else tuple(self.only)

    def command(self, experiment: str, control: str) -> str:
        """What to type for one control with these settings.

        >>> ControlsConfig(steps=60).command("digits", "image")
        'ib controls digits --controls.only image --controls.steps 60'
        """
        words = [f"ib controls {experiment} --controls.only {control}"]
        for name, value in self.changed().items():
            shown = f"[{','.join(map(str, value))}]" if isinstance(value, tuple) else value
            words.append(f"--controls.{name} {shown}")
        return " ".join(words)

    def changed(self) -> dict[str, Any]:
        """The settings, beside the choice of controls, that are not the default ones.

        >>> ControlsConfig(only="image", steps=60).changed()
        {'steps': 60}
        """
        values = {field.name: (getattr(self, field.name), field.default) for field in fields(self)}
        return {name: value for name, (value, default) in values.items() if name != "only" and value != default}
