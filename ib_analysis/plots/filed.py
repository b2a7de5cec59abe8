"""What figures tell of a user's activations file: what its taps are called, and which images X is."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol, TypeVar

from ib_analysis.artifacts import UserError

__all__ = ["FiledFacts", "read_filed"]


class _OfLayer(Protocol):
    @property
    def layer(self) -> str: ...


Row = TypeVar("Row", bound=_OfLayer)


@dataclass(frozen=True)
class FiledFacts:
    """What ``activations_file.json`` says for figures; of an experiment that trains its networks, nothing.

    Arguments:
        is_filed: whether there is such a file.
        titles: layer -> what it is called in figures, where that is not its name; no two layers have the same.
        original_shape: (C, H, W) of what the network saw, where X are averages of it.
    """

    is_filed: bool = False
    titles: Mapping[str, str] = field(default_factory=dict)
    original_shape: tuple[int, ...] | None = None

    def title(self, layer: str) -> str:
        """What a layer is called."""
        return self.titles.get(layer, layer)

    def titled(self, rows: Sequence[Row]) -> list[Row]:
        """Rows of a table with the titles of their layers in the place of the names."""
        return [replace(row, layer=self.title(row.layer)) for row in rows] if self.titles else list(rows)  # type: ignore[type-var]

    def data_name(self, name: str, image_shape: Sequence[int]) -> str:
        """What X is: the name of the images, and their size where the network may have seen another.

        >>> FiledFacts(True, {}, (3, 224, 224)).data_name("mine", (3, 32, 32))
        'mine (32x32 pixels, area averages of the 224x224 that the network saw)'
        """
        if not self.is_filed:
            return name
        _, height, width = image_shape
        before = ""
        if self.original_shape is not None:
            _, rows, columns = self.original_shape
            before = f", area averages of the {rows}x{columns} that the network saw"
        return f"{name} ({height}x{width} pixels{before})"


def read_filed(folder: Path, printable: Any) -> FiledFacts:
    """The facts of an experiment.

    Arguments:
        folder: of its artifacts.
        printable: what makes a text one that can be drawn.

    Raises:
        UserError: the file is damaged.
    """
    path = folder / "activations_file.json"
    try:
        found = json.loads(path.read_text())
        given = {layer: printable(title) for layer, title in found.get("titles", {}).items()}
        shape = found.get("original_shape")
        return FiledFacts(True, _distinct(given, found["datasets"]), tuple(shape) if shape else None)
    except FileNotFoundError:
        return FiledFacts()
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path} cannot be read; delete it and run the same command again.") from error


def _distinct(titles: Mapping[str, str], datasets: Mapping[str, Any]) -> dict[str, str]:
    """Titles that several layers share, or that are another's name, with the layer's own name behind them."""
    names = {name.partition("/")[2] for name in datasets}
    shown = [titles.get(name, name) for name in names]
    return {
        layer: title if shown.count(title) < 2 else f"{title} ({layer})"
        for layer, title in titles.items()
        if title and layer in names
    }
