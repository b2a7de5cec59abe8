"""Keeping an unfinished fit, and refusing to go on with the checkpoint of another one."""

from __future__ import annotations

import dataclasses
from typing import Any, Protocol

from torch import nn

from decoders.fitting.course import Course
from decoders.fitting.flat_parameters import FlatParameters
from decoders.fitting.schedule import FittingConfig
from decoders.fitting.state import Snapshot

__all__ = ["Checkpoint", "FitCheckpoint"]


_UNSAID = {
    field.name: field.metadata.get("absent", field.default)
    for field in dataclasses.fields(FittingConfig)
    if field.name != "betas"  # a list in states, and always said
}
"""What a state means that does not name a setting, which is new since it was saved."""


class Checkpoint(Protocol):
    """Where an unfinished fit is kept. Whoever implements it makes ``save`` atomic."""

    def load(self) -> dict[str, Any] | None:
        """What was saved last, or None. Of several processes each calls it, before anything is saved."""
        ...

    def save(self, state: dict[str, Any]) -> None:
        """Keep a state: dicts, lists, strings, numbers, None, CPU tensors. Only the main process calls it."""
        ...


class FitCheckpoint:
    """Turns snapshots of one fit into plain states and back.

    Args:
        decoder: the network; its buffers (e.g. the standardisation of activations) are kept too.
        flat: its parameters.
        config: the settings of the fit.
        seed: the seed of the fit.
    """

    def __init__(self, decoder: nn.Module, flat: FlatParameters, config: FittingConfig, seed: int) -> None:
        self._buffers = dict(decoder.named_buffers())
        self._device = flat.weights.device
        settings = dataclasses.asdict(config)
        self._identity = {
            "settings": {**settings, "betas": list(config.betas)},
            "seed": seed,
            "parameters": flat.layout,
        }

    def state(self, snapshot: Snapshot, course: Course | None = None) -> dict[str, Any]:
        """A plain state for :meth:`Checkpoint.save`."""
        buffers = {name: buffer.detach().cpu().clone() for name, buffer in self._buffers.items()}
        beside = course.plain() if course is not None else {}
        return {"of": self._identity, "buffers": buffers, **snapshot.plain(), **beside}

    def snapshot(self, state: dict[str, Any]) -> Snapshot:
        """The snapshot of a state that was loaded; sets the decoder's buffers.

        Raises:
            ValueError: the state belongs to another fit.
        """
        of = {**state.get("of", {})}
        if isinstance(of.get("settings"), dict):
            of["settings"] = _UNSAID | of["settings"]
        differing = [name for name, value in self._identity.items() if of.get(name) != value]
        if differing or set(state["buffers"]) != set(self._buffers):
            raise ValueError(
                f"The checkpoint belongs to another fit ({', '.join(differing) or 'buffers'} differ): "
                "delete it to start anew, or go back to the settings that it was made with."
            )
        for name, buffer in self._buffers.items():
            buffer.copy_(state["buffers"][name])
        return Snapshot.from_plain(state, self._device)
