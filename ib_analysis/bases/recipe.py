"""What a base depends on: the images, the network, how it is fitted. Whoever asks for the same gets the same file."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from decoders.config import Architecture, ImageSpace, PixelCNNPPConfig
from decoders.fitting.schedule import FittingConfig
from ib_analysis.artifacts import Artifact, Setting, plain, settings_of, sha256_of_plain
from ib_analysis.spike_ins import Coins

__all__ = ["FILE_NAME", "SHIPPED", "BaseRecipe"]

FILE_NAME = "base.safetensors"
SHIPPED = Path(__file__).parent / "shipped"
"""Bases that are part of the package, a folder each."""


@dataclass(frozen=True)
class BaseRecipe:
    """Everything that a base's weights depend on.

    Arguments:
        images: hash of the images it may learn from and of those it must not see, or of the distribution that they are
            drawn from (`BaseFeed.sha256`).
        space: the images.
        architecture: the network.
        fitting: how it is fitted.
        seed: of the weights and of everything random in the fit.
        coins: that are written over the images, falling anew each time (spike-ins).
    """

    images: str
    space: ImageSpace
    architecture: Architecture
    fitting: FittingConfig
    seed: int
    coins: Coins | None = None

    @property
    def network(self) -> PixelCNNPPConfig:
        """The base as a decoder without conditions."""
        marked = self.coins.pixels(self.space.height, self.space.width) if self.coins else ()
        return PixelCNNPPConfig(self.space, self.architecture, marked_pixels=marked)

    @property
    def key(self) -> str:
        """Name of its folder. Settings at their defaults do not enter: a new one does not rename what is there."""
        chosen = {name: _chosen(getattr(self, name)) for name in ("architecture", "fitting")}
        images = {"space": self.space, "images": self.images, **self._shown}
        return sha256_of_plain({**chosen, **images, "seed": self.seed})[:12]

    @property
    def _shown(self) -> dict[str, Any]:
        return {"coins": self.coins} if self.coins else {}

    def at(self, folder: Path) -> Artifact:
        """Its record in a folder of its own."""
        config = {"space": self.space, **settings_of(self, "architecture", "fitting"), **self._shown}
        return Artifact(folder / FILE_NAME, "base", config, {"images": self.images}, self.seed)

    def shipped(self) -> Artifact | None:
        """The base of this recipe that is part of the package, if there is one."""
        return next((found for found in map(self.at, _shipped_folders()) if found.is_whole), None)

    @property
    def ships(self) -> bool:
        """Whether a base of this recipe is part of the package, whatever the images that it was fitted to."""
        for folder in _shipped_folders():
            found = self.at(folder).manifest() or {}
            images = found.get("recipe", {}).get("inputs", {}).get("images", "")
            if replace(self, images=images).at(folder).is_whole:
                return True
        return False


def _shipped_folders() -> list[Path]:
    return sorted(SHIPPED.iterdir()) if SHIPPED.is_dir() else []


def _chosen(config: Any) -> dict[str, Any]:
    """What of a config is not what its absence means (see `ib_analysis.artifacts.settings`), as plain data."""
    found = {}
    for name, setting in settings_of(config).items():
        value = plain(setting)
        if not isinstance(setting, Setting) or value != plain(setting.absent):
            found[name] = value
    return found
