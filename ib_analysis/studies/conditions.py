"""What a study's decoders are conditioned on: a run's activations, as they are or altered on purpose.

An alteration is a function of the experiment and the run. It is known by its name, so that a fit can be handed to
another process and recorded in a manifest.
"""

from __future__ import annotations

from collections.abc import Callable

from ib_analysis.activations import Activations, groups_of
from ib_analysis.experiment import Experiment, Run
from ib_analysis.fits.feed import images_in_order
from ib_analysis.fits.leak_guard import ImageGuard, image_guard
from ib_analysis.records.activations import open_activations
from ib_analysis.records.images import images_of
from ib_analysis.studies.altered import ConstantActivations, ImageItself, ShuffledActivations
from ib_analysis.studies.sign_codes import SignCodes

__all__ = ["CONDITIONS", "conditions_of"]


def _image(experiment: Experiment, run: Run) -> Activations:
    data = images_of(experiment)
    groups = groups_of(data, experiment.config.activations.group_size)
    return ImageItself(images_in_order(data), data.intensities, groups, experiment.epochs)


def _guard(experiment: Experiment) -> ImageGuard:
    return image_guard(images_of(experiment), "a control")


CONDITIONS: dict[str, Callable[[Experiment, Run], Activations]] = {
    "activations": open_activations,
    "shuffled": lambda experiment, run: ShuffledActivations(
        open_activations(experiment, run), guard=_guard(experiment)
    ),
    "constant": lambda experiment, run: ConstantActivations(open_activations(experiment, run), _guard(experiment)),
    "image": _image,
    "signs": lambda experiment, run: SignCodes(
        open_activations(experiment, run), experiment.deepest, guard=_guard(experiment)
    ),
}
"""name -> what stands in for the run's activations."""


def conditions_of(experiment: Experiment, run: Run, name: str) -> Activations:
    """What a decoder is conditioned on.

    Raises:
        ValueError: no such alteration.
    """
    if name not in CONDITIONS:
        raise ValueError(f"there is no condition {name!r}; there are {', '.join(CONDITIONS)}.")
    return CONDITIONS[name](experiment, run)
