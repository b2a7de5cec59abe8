"""What a study's decoders are conditioned on: a run's activations, as they are or altered on purpose.

An alteration is a function of the experiment and the run. It is known by its name, so that a fit can be handed to
another process and recorded in a manifest.
"""

from __future__ import annotations

from collections.abc import Callable

from ib_analysis.activations import Activations
from ib_analysis.experiment import Experiment, Run
from ib_analysis.stages.dump import open_activations

__all__ = ["CONDITIONS", "conditions_of"]

CONDITIONS: dict[str, Callable[[Experiment, Run], Activations]] = {"activations": open_activations}
"""name -> what stands in for the run's activations."""


def conditions_of(experiment: Experiment, run: Run, name: str) -> Activations:
    """What a decoder is conditioned on.

    Raises:
        ValueError: no such alteration.
    """
    if name not in CONDITIONS:
        raise ValueError(f"there is no condition {name!r}; there are {', '.join(CONDITIONS)}.")
    return CONDITIONS[name](experiment, run)
