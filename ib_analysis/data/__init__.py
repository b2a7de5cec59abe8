"""Images: sources, splits and transforms; everything after this sees integer pixels, labels and three
splits."""

from ib_analysis.data.area import area_average, size_within
from ib_analysis.data.config import PLACES, DataConfig, FactorsConfig
from ib_analysis.data.factors import draw as draw_factors
from ib_analysis.data.image_hashes import ImageHashes
from ib_analysis.data.interface import ImageData, Progress, Space, Split
from ib_analysis.data.records import facts, save_splits
from ib_analysis.data.sources import image_space, load_data, split_sizes
from ib_analysis.data.splits import pixel_digests as image_digests
from ib_analysis.data.verified import forget

__all__ = [
    "PLACES",
    "DataConfig",
    "FactorsConfig",
    "ImageData",
    "ImageHashes",
    "Progress",
    "Space",
    "Split",
    "area_average",
    "draw_factors",
    "facts",
    "forget",
    "image_digests",
    "image_space",
    "load_data",
    "save_splits",
    "size_within",
    "split_sizes",
]
