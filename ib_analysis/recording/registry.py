"""Networks that a command line or config may name: models of torchvision and of timm, and nothing else."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from ib_analysis.artifacts import UserError

__all__ = ["REGISTRIES", "Model", "build_model"]

REGISTRIES = ("torchvision", "timm")
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
"""Mean and standard deviation of the channels, scaled to 0..1, with which torchvision's models are trained."""


@dataclass(frozen=True)
class Model:
    """A model as its registry gives it.

    Arguments:
        network: in evaluation mode.
        resolution: the only side in pixels that it takes; None where it takes others.
        mean, std: of the channels, as its pretrained weights were trained.
    """

    network: nn.Module
    resolution: int | None
    mean: tuple[float, ...]
    std: tuple[float, ...]


def build_model(name: str, options: Mapping[str, Any], pretrained: bool = False, seed: int = 0) -> Model:
    """A model by its name; the global random state is left as it was.

    Arguments:
        name: ``torchvision/NAME`` or ``timm/NAME``.
        options: arguments of the model, plain values.
        pretrained: with the weights that the registry offers, which are downloaded once.
        seed: of random weights.

    Raises:
        UserError: another registry, an unknown name (the nearest are told) or argument, timm is not installed, or
            weights cannot be had.
    """
    registry, _, model = name.partition("/")
    if registry not in REGISTRIES or not model:
        raise UserError(
            f"network is {name!r}; name a model of torchvision or timm, such as torchvision/resnet18 or "
            "timm/vit_tiny_patch16_224, or use ib_analysis.record from Python for a network of your own."
        )
    make = _torchvision if registry == "torchvision" else _timm
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        try:
            return make(model, dict(options), pretrained)
        except UserError:
            raise
        except OSError as error:  # of a download
            raise UserError(
                f"The pretrained weights of {name} cannot be had ({error}); give files of weights."
            ) from error
        except Exception as error:  # models refuse arguments in any way
            raise UserError(f"{name} cannot be made with options {dict(options)}: {error}") from error


def _torchvision(name: str, options: dict[str, Any], pretrained: bool) -> Model:
    from torchvision import models

    _check(name, models.list_models(module=models), "torchvision")
    network = models.get_model(name, weights="DEFAULT" if pretrained else None, **options).eval()
    size = getattr(network, "image_size", None)  # of vision transformers
    return Model(network, size if isinstance(size, int) else None, *IMAGENET)


def _timm(name: str, options: dict[str, Any], pretrained: bool) -> Model:
    try:
        import timm
    except ImportError as error:
        raise UserError("timm is not installed; pip install 'ib-analysis[timm]', or use torchvision/NAME.") from error

    _check(name.partition(".")[0], timm.list_models(), "timm")  # behind the point: which weights
    network = timm.create_model(name, pretrained=pretrained, **options).eval()
    known: Any = network.pretrained_cfg
    size = options.get("img_size", known["input_size"][-1] if known.get("fixed_input_size") else None)
    return Model(network, size if isinstance(size, int) else None, tuple(known["mean"]), tuple(known["std"]))


def _check(name: str, known: Sequence[str], registry: str) -> None:
    if name not in known:
        near = ", ".join(difflib.get_close_matches(name, known, n=3, cutoff=0.0))
        raise UserError(f"{registry} has no model {name!r}; the nearest names are {near}.")
