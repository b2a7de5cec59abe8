"""The images of an experiment: loaded once per process, with the coins of spike-ins where they are measured."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Any, Literal

from ib_analysis.artifacts import settings_of
from ib_analysis.data import PLACES, DataConfig, ImageData, Split, load_data
from ib_analysis.experiment import Experiment
from ib_analysis.spike_ins import SpikeInConfig, draw_coins

__all__ = ["data_section", "forget_images", "images_of", "measured_images"]


@lru_cache(maxsize=2)
def _load(config: DataConfig) -> ImageData:
    return load_data(config, recheck=False)


def forget_images() -> None:
    """A command begins: in a notebook, the files of the one before may have been written anew."""
    _load.cache_clear()
    _overwritten.cache_clear()


def images_of(experiment: Experiment) -> ImageData:
    """The experiment's images; loaded once per process."""
    return _load(experiment.config.data)


@lru_cache(maxsize=2)
def _overwritten(config: DataConfig, count: int, options: SpikeInConfig) -> ImageData:
    data = _load(config)
    coins = options.coins(count)

    def with_coins(split: Split, name: Literal["decoder", "evaluation"]) -> Split:
        fallen = draw_coins(len(split), count, name, options.seed)
        return replace(split, images=coins.shown(split.images, fallen, data.intensities))

    # Noise may share symbols between pixels, so that H(X) is no longer known exactly.
    return replace(
        data,
        decoder=with_coins(data.decoder, "decoder"),
        evaluation=with_coins(data.evaluation, "evaluation"),
        h_x_bits=None,
    )


def measured_images(experiment: Experiment) -> ImageData:
    """The images that decoders are fitted to and evaluated on: those of `images_of`, with the coins of spike-ins."""
    config = experiment.config
    return (
        _overwritten(config.data, config.spike_in, config.spike_in_options) if config.spike_in else _load(config.data)
    )


def data_section(experiment: Experiment) -> dict[str, Any]:
    """The data config without places: where a data set lies does not change what it is."""
    section = settings_of(experiment.config.data)
    return {name: value for name, value in section.items() if name not in PLACES}
