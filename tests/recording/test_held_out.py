"""Images that a network was trained on: found among others however they are given, left out or refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ib_analysis.artifacts import UserError
from ib_analysis.data import image_digests
from ib_analysis.recording.held_out import held_out

PIXELS = np.random.default_rng(0).integers(0, 256, (40, 3, 5, 4), dtype=np.uint8)
SEEN = PIXELS[[3, 17, 39]]


@pytest.mark.parametrize(
    "given",
    [
        SEEN,
        torch.from_numpy(SEEN),
        image_digests(SEEN),
        [digest.tobytes().hex() for digest in image_digests(SEEN)],
    ],
    ids=["images", "tensor", "hashes", "hexadecimal"],
)
def test_they_are_left_out_and_counted_or_refused(given, caplog: pytest.LogCaptureFixture) -> None:
    assert held_out(PIXELS, given).tolist() == [k for k in range(40) if k not in (3, 17, 39)]
    assert "3 of 40 images are among those of trained_on and are left out." in caplog.text
    with pytest.raises(UserError, match="3 of 40 images are among those of trained_on"):
        held_out(PIXELS, given, "refuse")


def test_images_of_another_size_are_refused() -> None:
    with pytest.raises(UserError, match="trained_on has images of 9x4 and images are of 5x4"):
        held_out(PIXELS, np.zeros((3, 3, 9, 4), np.uint8))


def test_others_are_kept(caplog: pytest.LogCaptureFixture) -> None:
    assert held_out(PIXELS, image_digests(PIXELS ^ 2)).tolist() == list(range(40))
    assert "None of the 40 images is among those of trained_on." in caplog.text
    assert held_out(PIXELS, PIXELS[:5] ^ 1, "refuse").tolist() == list(range(40))
    grey = np.repeat(PIXELS[:2, :1], 3, axis=1)  # a grey image is what it is in colour
    assert held_out(grey, PIXELS[:1, :1]).tolist() == [1]


@pytest.mark.parametrize("given", [np.zeros(3), ["abc"], np.zeros((3, 32)), np.zeros((2, 3, 5, 4))])
def test_what_is_neither_images_nor_hashes_is_refused(given) -> None:
    with pytest.raises(UserError, match="trained_on has shape"):
        held_out(PIXELS, given)
