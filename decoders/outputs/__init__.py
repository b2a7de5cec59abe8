"""Output distributions: what a decoder says about one pixel. A new one is a file here and a line in OUTPUTS."""

from collections.abc import Callable

from decoders.config import Architecture, ImageSpace
from decoders.outputs.base import OutputDistribution
from decoders.outputs.categorical import Categorical
from decoders.outputs.logistic_mixture import LogisticMixture

__all__ = ["OUTPUTS", "Categorical", "LogisticMixture", "OutputDistribution"]

OUTPUTS: dict[str, Callable[[ImageSpace, Architecture], OutputDistribution]] = {
    "logistic_mixture": lambda image, chosen: LogisticMixture(image, chosen.components, chosen.log_scale_min),
    "categorical": lambda image, chosen: Categorical(image),
}
