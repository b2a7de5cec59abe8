"""What a user chooses for `ib record` and `ib taps`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from ib_analysis.artifacts import UserError
from ib_analysis.data import DataConfig
from ib_analysis.recording.held_out import Overlap
from ib_analysis.recording.record import DECODER_RESOLUTION

__all__ = ["RecordConfig", "TapsConfig"]


@dataclass(frozen=True)
class RecordConfig:
    """What a network of torchvision or timm makes of a data set's images, at the epochs of saved weights."""

    network: str = ""
    """torchvision/NAME or timm/NAME: a model of one of these two registries."""
    taps: dict[str, str] = field(default_factory=dict)
    """Name of a tap -> path of a module or node, from input to output; `ib taps torchvision/NAME` lists them."""
    weights: str | None = None
    """Files of state dicts (torch or safetensors), as a pattern such as 'runs/epoch_*.pt': the whole number after
    "epoch" in a name is the epoch, else the last one. `pretrained`: those that the registry offers, downloaded. Null:
    random ones, as epoch 0."""
    options: dict[str, Any] = field(default_factory=dict)
    """Arguments of the model, such as {num_classes: 10}; outputs are as many as the data's classes if not said."""
    data: DataConfig = field(default_factory=DataConfig)
    """Images, in the form in which the network sees them."""
    splits: tuple[Literal["encoder", "decoder", "evaluation"], ...] = ("decoder", "evaluation")
    """Which of the data's splits are recorded. A network that was trained here on the encoder split has not seen these
    two; of one that was trained on all training images of CIFAR, say, only `evaluation` is held out."""
    trained_on: str | None = None
    """Images that the network was trained on, which are not measured: a .npy file of images (M, C, H, W) or of their
    hashes (M, 32), both in uint8, or a text file with a hash in hexadecimal in each line."""
    overlap: Overlap = "drop"
    """What becomes of images that are among those: left out, and counted (`drop`), or the command ends (`refuse`)."""
    resolution: int | None = None
    """Side in pixels to which images are resized for the network (bilinear, antialiased); null: as they are, or what
    a network of one size asks for."""
    mean: tuple[float, ...] = ()
    """Subtracted from each channel of the images, which are scaled to 0..1 before; empty: nothing, or with
    `weights: pretrained` what these were trained with."""
    std: tuple[float, ...] = ()
    """What each channel is divided by then."""
    axes: dict[str, str] = field(default_factory=dict)
    """Axes of taps that cannot be recognised, such as {steps: BNC}."""
    titles: dict[str, str] = field(default_factory=dict)
    """What taps are called in figures."""
    decoder_resolution: int = DECODER_RESOLUTION
    """Pixels of the longer side of what decoders see, at most: larger images are averaged over areas for them."""
    seed: int = 0
    """Seed of random weights."""
    batch_size: int = 64
    """Images that go through the network at once."""
    mixed_precision: bool = False
    """Run in bfloat16 where torch's autocast does."""
    threads: int = 0
    """Threads of torch; 0: as many as it takes."""

    def __post_init__(self) -> None:
        if not self.network:
            raise UserError("network is missing; name a model, such as --network torchvision/resnet18.")
        if not self.taps:
            raise UserError(
                f'taps is missing; name some, such as --taps "{{h1: layer1}}" (ib taps {self.network} lists them).'
            )
        if not self.splits or len(set(self.splits)) < len(self.splits):
            raise UserError(f"splits is {list(self.splits)}; name at least one, each once.")
        if len(self.mean) != len(self.std) or any(value <= 0 for value in self.std):
            raise UserError("mean and std must have as many numbers, and those of std must be above 0.")
        for name in ("batch_size", "resolution"):
            found = getattr(self, name)
            if found is not None and found < 1:
                raise UserError(f"{name} is {found}; it must be at least 1.")
        if self.threads < 0:
            raise UserError(f"threads is {self.threads}; give how many, or 0 for as many as torch takes.")


@dataclass(frozen=True)
class TapsConfig:
    """How taps of a network are listed."""

    options: dict[str, Any] = field(default_factory=dict)
    """Arguments of a model of torchvision or timm."""
    image_shape: tuple[int, int, int] | None = None
    """(C, H, W) of what it is given; null: what it asks for, else (3, 224, 224)."""
    nodes: bool = False
    """Whether nodes between modules (additions, a flattening) are listed too; only of networks that can be traced."""
