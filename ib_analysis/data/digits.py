"""Real handwritten digits, 8x8 with 17 intensities, that come with scikit-learn: no file and no network
needed.

Source: E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning Repository
(1998); scikit-learn's copy holds the 1,797 images of its test set.
"""

from __future__ import annotations

import numpy as np

from ib_analysis.data.collection import Collection, choose, collection_of_arrays, divide
from ib_analysis.data.config import DataConfig
from ib_analysis.data.interface import ImageData, Progress, Source, Space
from ib_analysis.data.transforms import transformed_space

__all__ = ["SOURCE"]

NATIVE = Space((1, 8, 8), 17, 10)


def collect() -> Collection:
    """All 1,797 digits; there is no official test set."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    return collection_of_arrays(
        name="digits",
        images=digits.images.astype(np.uint8)[:, None],
        labels=digits.target,
        class_names=tuple(str(name) for name in digits.target_names),
        intensities=NATIVE.intensities,
    )


def load(config: DataConfig, progress: Progress | None = None, recheck: bool = True) -> ImageData:
    """Stratified 40/40/20; a mirrored digit is another sign, so there is no augmentation by default."""
    return divide(collect(), config)


def space(config: DataConfig, recheck: bool = True) -> Space:
    """One channel, 8x8, 17 intensities, unless the config says otherwise."""
    return transformed_space(NATIVE, config)


def sizes(config: DataConfig, recheck: bool = True) -> dict[str, int]:
    """The sizes of the three splits."""
    return {name: len(positions) for name, positions in choose(collect(), config)[0].items()}


SOURCE = Source(load=load, space=space, sizes=sizes)
