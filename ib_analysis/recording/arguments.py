"""What a user gives to `record`, checked before any network runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor

from ib_analysis.activations_file import numbered, parts
from ib_analysis.artifacts import UserError

__all__ = ["Values", "check_numbers", "check_taps", "chosen_device", "columns_of", "epochs_of", "preprocessing"]

Values: TypeAlias = "np.ndarray | Tensor | Sequence[int] | Sequence[str]"
"""A value for each image."""


def epochs_of(networks: object) -> list[int]:
    """The epochs, ascending.

    Raises:
        UserError: these are no networks by epoch.
    """
    if not isinstance(networks, Mapping):
        raise UserError(
            f"networks is a {type(networks).__name__}; give the network of each epoch, such as {{0: network}}."
        )
    for epoch in networks:
        if isinstance(epoch, bool) or not isinstance(epoch, int | np.integer) or epoch < 0:
            raise UserError(f"networks names the epoch {epoch!r}; epochs are whole numbers from 0 on.")
    if not networks:
        raise UserError("networks is empty; give at least one, such as {0: network}.")
    return sorted(int(epoch) for epoch in networks)


def check_taps(taps: object, titles: Mapping[str, str]) -> None:
    """Refuse what is no mapping of names to addresses, and titles of others.

    Raises:
        UserError: see above.
    """
    if not isinstance(taps, Mapping) or not all(isinstance(word, str) for pair in taps.items() for word in pair):
        raise UserError(f"taps is {taps!r}; give each a name and its address, such as {{'early': 'layer1'}}.")
    for name in titles:
        if name not in taps:
            raise UserError(f"titles names {name!r}, which is no tap; the taps are {', '.join(taps)}.")


def check_numbers(decoder_resolution: int, batch_size: int, intensities: int) -> None:
    """Refuse sizes that cannot be.

    Raises:
        UserError: one is too small or too large.
    """
    if decoder_resolution < 4:
        raise UserError(f"decoder_resolution is {decoder_resolution}; choose at least 4 pixels.")
    if batch_size < 1:
        raise UserError(f"batch_size is {batch_size}; it must be at least 1.")
    if not 2 <= intensities <= 256:
        raise UserError(f"intensities is {intensities}; it must be 2 to 256.")


def columns_of(
    labels: Values | None, split: Values | None, class_names: Sequence[str] | None, kept: np.ndarray, n_images: int
) -> dict[str, np.ndarray]:
    """Labels and split of the images that are kept, as they are written: name -> shape (len(kept),).

    Raises:
        UserError: there is not one for each image, or they cannot be used when the file is measured.
    """
    found = {}
    if labels is not None:
        found["labels"] = _column("labels", labels, n_images)[kept]
        numbered(found["labels"], class_names, "labels")
    if split is not None:
        found["split"] = _column("split", split, n_images)[kept]
        parts(found["split"], "split")
    return found


def chosen_device(device: str | torch.device | None) -> torch.device:
    """The device; without a choice the GPU, if there is one.

    Raises:
        UserError: torch has none such here.
    """
    try:
        found = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        torch.empty(1, device=found)
    except (RuntimeError, AssertionError, NotImplementedError, TypeError) as error:
        raise UserError(
            f"device is {str(device)!r}, which torch cannot use here; leave it out, or give cpu or cuda."
        ) from error
    return found


def preprocessing(given: Callable[[Tensor], Tensor] | None, intensities: int) -> Callable[[Tensor], Tensor]:
    """From integer images to the network's input; what fails there becomes a sentence."""
    if given is None:
        return lambda images: images.float() / (intensities - 1)

    def prepared(images: Tensor) -> Tensor:
        shape = "x".join(map(str, images.shape))
        try:
            found = given(images)
        except Exception as error:  # it is the user's function
            what = " ".join(f"{type(error).__name__}: {error}".split())
            raise UserError(f"preprocess fails on integer images of shape {shape}: {what[:300]}") from error
        if not isinstance(found, Tensor):
            raise UserError(f"preprocess gives a {type(found).__name__}; it must give a tensor, the network's input.")
        return found

    return prepared


def _column(name: str, values: Values, n_images: int) -> np.ndarray:
    try:
        found = values.cpu().numpy() if isinstance(values, Tensor) else np.asarray(values)
        found = np.array(found.tolist()) if found.dtype.kind == "O" else found  # as tables keep words
    except (ValueError, TypeError) as error:
        raise UserError(f"{name} is no list of values, one for each image.") from error
    if found.shape != (n_images,):
        raise UserError(f"{name} has shape {found.shape}, and there are {n_images} images; give a value for each.")
    if found.dtype.kind not in "fiubUS":
        raise UserError(f"{name} has the type {found.dtype}; give numbers{' or words' if name == 'split' else ''}.")
    return np.char.encode(found, "utf-8") if found.dtype.kind == "U" else found
