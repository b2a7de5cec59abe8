import math

import numpy as np
import pytest
import torch

from ib_analysis.encoders import EncoderConfig, build_encoder, psnr_db, reconstruct
from ib_analysis.encoders.autoencoder import UpsamplingBlock


def test_psnr_against_its_definition():
    rng = np.random.default_rng(0)
    image, noise = rng.integers(0, 256, 1000), rng.normal(0, 9, 1000)
    expected = 20 * math.log10(255 / np.sqrt(np.mean(noise**2)))
    assert psnr_db(float(np.mean(((image + noise) / 255 - image / 255) ** 2))) == pytest.approx(expected)
    assert psnr_db(0.0) == math.inf


@pytest.mark.parametrize("intensities", [2, 16, 256])
def test_reconstruct_rounds_to_pixel_levels(intensities):
    config = EncoderConfig(depth=8, width=4)
    network = build_encoder(config, "autoencoding", (3, 8, 8), intensities, 10, seed=0).eval()
    images = torch.randint(0, intensities, (5, 3, 8, 8), dtype=torch.uint8)
    found = reconstruct(network, images, intensities)
    assert found.dtype == torch.uint8
    assert found.shape == images.shape
    assert found.max() <= intensities - 1
    expected = np.rint(network(images).detach().numpy() * (intensities - 1))
    np.testing.assert_array_equal(found.numpy(), expected)


def test_the_bottleneck_is_all_that_the_mirror_sees():
    config = EncoderConfig(depth=8, width=4, bottleneck="h4")
    network = build_encoder(config, "autoencoding", (1, 8, 8), 256, 10, seed=0).eval()
    images = torch.randint(0, 256, (2, 1, 8, 8), dtype=torch.uint8)
    torch.testing.assert_close(network(images), network.mirror(network.taps(images)["h4"]))


def test_upsampling_shortcut_keeps_the_first_channels():
    block = UpsamplingBlock(4, 2, (5, 6), "A").eval()
    for parameter in block.residual.parameters():
        torch.nn.init.zeros_(parameter)
    x = torch.rand(1, 4, 3, 3)
    expected = torch.nn.functional.interpolate(x, size=(5, 6), mode="nearest")[:, :2]
    torch.testing.assert_close(block(x), expected)
