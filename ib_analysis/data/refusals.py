"""What is wrong with which image, told of all images together: a user need not mend them one run at a time."""

from __future__ import annotations

from pathlib import Path

from ib_analysis.artifacts import UserError
from ib_analysis.data.wording import SHOWN, enumerated, printable

__all__ = ["Refusals"]

MAX_SIDE = 256
MOST_UNUSABLE = 1000


class Refusals:
    """What was found wrong with which image; true as soon as there is anything.

    Arguments:
        path: of the tree or tar, for messages.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.unusable: dict[str, str] = {}
        self.sizes: dict[tuple[int, int], list[str]] = {}

    def __bool__(self) -> bool:
        return bool(self.unusable) or len(self.sizes) > 1

    def add(self, name: str, reason: str) -> None:
        """Note an image that cannot be used, and why (see `UnusableError`).

        Raises:
            UserError: these are so many that to read on would tell nothing new.
        """
        self.unusable[name] = reason
        if len(self.unusable) >= MOST_UNUSABLE:
            self.tell()

    def add_size(self, name: str, height: int, width: int) -> None:
        """Note the size of an image, in pixels, which must be that of all others.

        Raises:
            UserError: no image may have this size, or more than a few differ from the others.
        """
        self.sizes.setdefault((height, width), []).append(name)
        if max(height, width) > MAX_SIDE or min(height, width) < 4:
            raise UserError(
                f"{self.path}: the image {printable(name)} has {width}x{height} pixels; set data.resolution (for "
                f"instance 32) to resize all images, since sides of 4 to {MAX_SIDE} pixels are supported."
            )
        counts = [len(names) for names in self.sizes.values()]
        if sum(counts) - max(counts) > SHOWN:
            self.tell()  # it is not the files, most likely, but the resolution that was forgotten

    def tell(self) -> None:
        """Refuse the images if something is wrong with one of them.

        Raises:
            UserError: some image is unusable, or has another size than most.
        """
        if self.unusable:
            told = [f"{name} {reason}" for name, reason in sorted(self.unusable.items())]
            count = f"{len(told)} images" if len(told) > 1 else "an image"
            least = "at least " if len(told) >= MOST_UNUSABLE else ""
            raise UserError(
                f"{self.path} holds {least}{count} that cannot be used: {enumerated(told, '; ')}; replace or remove "
                f"{'them' if len(told) > 1 else 'it'}."
            )
        if others := self._others:
            height, width = self._usual
            raise UserError(
                f"{self.path}: the image {others[0]} pixels where the others have {width}x{height}"
                f"{f' (also {enumerated(others[1:])})' if others[1:] else ''}; set data.resolution to resize all "
                "images, or replace or remove those of another size."
            )

    @property
    def _usual(self) -> tuple[int, int]:
        return max(self.sizes, key=lambda size: len(self.sizes[size]))

    @property
    def _others(self) -> list[str]:
        usual = self._usual if self.sizes else None
        return sorted(
            f"{printable(name)} has {width}x{height}"
            for (height, width), names in self.sizes.items()
            for name in names
            if (height, width) != usual
        )
