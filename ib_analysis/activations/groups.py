"""Which images are evaluated together."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Literal

from ib_analysis.data.interface import ImageData

__all__ = ["Groups", "Part", "groups_of"]

Part = Literal["train", "validation", "evaluation"]


@dataclass(frozen=True)
class Groups:
    """The fixed batches in which activations are computed, read and kept.

    The images are the decoder split (training part, then validation slice) followed by the evaluation split.
    A group is always evaluated as one batch, because a convolution's last bits may depend on the batch size:
    that is why dumped and recomputed activations agree bit for bit. Groups end at every multiple of
    `group_size` (so that each lies in one chunk of the file) and where a part ends (so that no group mixes
    parts).

    Arguments:
        n_train: decoder images that fit decoders and probes.
        n_validation: decoder images of the validation slice.
        n_evaluation: evaluation images.
        group_size: images of a group; groups beside a boundary are smaller.

    >>> groups = Groups(n_train=10, n_validation=2, n_evaluation=5, group_size=4)
    >>> groups.bounds
    ((0, 4), (4, 8), (8, 10), (10, 12), (12, 16), (16, 17))
    >>> groups.part("validation"), groups.part("evaluation")
    (range(3, 4), range(4, 6))
    """

    n_train: int
    n_validation: int
    n_evaluation: int
    group_size: int

    @property
    def n_images(self) -> int:
        """All images: decoder split and evaluation split."""
        return self.n_train + self.n_validation + self.n_evaluation

    @cached_property
    def bounds(self) -> tuple[tuple[int, int], ...]:
        """(start, stop) of each group among all images."""
        cuts = {*range(0, self.n_images, self.group_size), self.n_images}
        cuts |= {self.n_train, self.n_train + self.n_validation}
        ordered = sorted(cuts)
        return tuple(pairwise(ordered))

    def __len__(self) -> int:
        return len(self.bounds)

    def images(self, part: Part) -> range:
        """Indices of a part's images among all images."""
        ends = {
            "train": self.n_train,
            "validation": self.n_train + self.n_validation,
            "evaluation": self.n_images,
        }
        starts = {"train": 0, "validation": ends["train"], "evaluation": ends["validation"]}
        return range(starts[part], ends[part])

    def part(self, part: Part) -> range:
        """Indices of the groups that make up a part."""
        images = self.images(part)
        return range(bisect_left(self.bounds, (images.start,)), bisect_left(self.bounds, (images.stop,)))


def groups_of(data: ImageData, group_size: int) -> Groups:
    """The groups of a data set's decoder and evaluation images."""
    n_decoder = len(data.decoder.images)
    return Groups(n_decoder - data.n_validation, data.n_validation, len(data.evaluation.images), group_size)
