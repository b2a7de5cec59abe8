"""Which end a fit is on its way to: that at half of its steps (`FittingConfig.halfway`), or the last one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from decoders.fitting.schedule import FittingConfig, cooldown_start, halfway_config
from decoders.fitting.state import Snapshot

__all__ = ["Course", "Fork"]


@dataclass(frozen=True)
class Fork:
    """Where a fit goes on once it has ended halfway; on the CPU, as it is needed once.

    The fit without a halfway end would go back to `good` from a number that is not finite: `state` alone would not do.
    """

    state: Snapshot
    """Of the step at which the halfway cool-down began."""
    good: Snapshot
    """What could be gone back to then."""


class Course:
    """The schedule that a fit follows now, and what it needs to change over to the next.

    With a halfway end, the fit is at first the one of half of the steps. When that one's cool-down begins, which is
    where the two schedules part, the state is forked; when it has ended, its state is kept and the fork taken up.

    Arguments:
        config: the settings of the whole fit.
    """

    def __init__(self, config: FittingConfig) -> None:
        self._config = config
        self._half = halfway_config(config) if config.halfway else None
        self.fork: Fork | None = None
        """Set during the halfway cool-down alone."""
        self.halfway: Snapshot | None = None
        """The state at the halfway end (its numbers and its best weights), once that is reached."""

    @property
    def schedule(self) -> FittingConfig:
        """What tells the learning rate and the last step now."""
        return self._config if self._half is None or self.halfway is not None else self._half

    def forks_at(self, step: int) -> bool:
        """Whether the halfway cool-down begins at a step, and has not begun before."""
        return self._on_the_way and self.fork is None and step == cooldown_start(self.schedule)

    def steps_computed(self, step: int) -> int:
        """Steps that were computed when ``step`` of the present schedule are done, a halfway cool-down included."""
        if self._half is None or self.halfway is None:
            return step
        return step + self._half.steps - cooldown_start(self._half)

    def end_halfway(self, state: Snapshot) -> Fork:
        """Keep how the halfway fit ended, and return from where the whole one goes on."""
        assert self.fork is not None
        assert "best" in state.tensors
        fork, self.fork = self.fork, None
        self.halfway = Snapshot(state.numbers, {"best": state.tensors["best"]}).to("cpu")
        return fork

    def plain(self) -> dict[str, Any]:
        """For a checkpoint.

        Of a fork only the good state is kept: whoever goes on does the few steps to the fork again.
        """
        found = {"fork": self.fork.good if self.fork else None, "halfway": self.halfway}
        return {name: snapshot.plain() for name, snapshot in found.items() if snapshot is not None}

    def restore(self, state: dict[str, Any]) -> None:
        """Take up what `plain` told."""
        cpu = torch.device("cpu")
        if "fork" in state:
            good = Snapshot.from_plain(state["fork"], cpu)
            self.fork = Fork(good, good)
        if "halfway" in state:
            self.halfway = Snapshot.from_plain(state["halfway"], cpu)

    @property
    def _on_the_way(self) -> bool:
        return self._half is not None and self.halfway is None
