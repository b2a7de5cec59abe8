"""What tests put into a small activations file."""

from __future__ import annotations

from collections.abc import Callable

import h5py

__all__ = ["N_IMAGES", "Change", "replace"]

N_IMAGES = 60
Change = Callable[[h5py.File], object]


def replace(place: str, values: object, **attributes: object) -> Change:
    """Put another dataset in the place of one."""

    def change(file: h5py.File) -> None:
        del file[place]
        if values is not None:
            file[place] = values
            file[place].attrs.update(attributes)

    return change
