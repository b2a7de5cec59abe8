"""What can be chosen about controls."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Literal

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
    """Optimiser steps of each control's decoder; 0: a third of the experiment's."""
    bottleneck_units: tuple[int, ...] = (2, 4, 8)
    """Sizes of the binary layers, in units of one bit; one decoder serves all."""

    def __post_init__(self) -> None:
        if self.steps < 0:
            raise UserError(f"controls.steps is {self.steps}; give a number of steps, or 0 for a third of the fit's.")
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
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name != "only" and value != field.default:
                shown = f"[{','.join(map(str, value))}]" if isinstance(value, tuple) else value
                words.append(f"--controls.{field.name} {shown}")
        return " ".join(words)
