"""Code lengths and samples are computed without TF32, whatever the settings around them."""

import numpy as np
import pytest
import torch

from decoders import Architecture, ImageSpace, Minibatch, PixelCNNPP, PixelCNNPPConfig, code_lengths_bits
from decoders.outputs.categorical import Categorical
from decoders.precision import full_precision
from decoders.sampling.sample import sample_naive


def settings():
    convolutions, recurrent = torch.backends.cudnn.conv, torch.backends.cudnn.rnn
    return convolutions.fp32_precision, recurrent.fp32_precision, torch.backends.cuda.matmul.fp32_precision


@pytest.fixture
def tf32():
    """TF32 allowed everywhere, as a user may have set it."""
    backends = (torch.backends.cudnn.conv, torch.backends.cudnn.rnn, torch.backends.cuda.matmul)
    before = settings()
    for backend in backends:
        backend.fp32_precision = "tf32"
    yield ("tf32",) * 3
    for backend, value in zip(backends, before, strict=True):
        backend.fp32_precision = value


@pytest.fixture
def decoder():
    torch.manual_seed(0)
    image = ImageSpace(1, 4, 4, 4)
    return PixelCNNPP(PixelCNNPPConfig(image, Architecture(blocks=1, filters=4, output="categorical"))).eval()


def test_off_inside_and_as_before_outside(tf32):
    with full_precision():
        assert settings() == ("ieee",) * 3
    assert settings() == tf32
    with pytest.raises(ValueError, match="inside"), full_precision():
        raise ValueError("inside")
    assert settings() == tf32


def test_older_and_newer_switches_agree_inside_and_come_back(recwarn):
    before = settings(), torch.backends.cudnn.allow_tf32, torch.get_float32_matmul_precision()
    try:
        torch.set_float32_matmul_precision("medium")
        with full_precision():
            assert torch.backends.cudnn.allow_tf32 is False
            assert torch.backends.cuda.matmul.allow_tf32 is False
            assert torch.get_float32_matmul_precision() == "highest"
        assert torch.get_float32_matmul_precision() == "medium"
        assert torch.backends.cudnn.allow_tf32 == before[1]
    finally:
        torch.set_float32_matmul_precision(before[2])
    with full_precision():
        pass
    assert (torch.backends.cudnn.allow_tf32, torch.get_float32_matmul_precision()) == before[1:]
    assert not recwarn.list


def test_code_lengths(decoder, tf32, monkeypatch):
    seen = []
    forward = PixelCNNPP.forward
    monkeypatch.setattr(PixelCNNPP, "forward", lambda *args: seen.append(settings()) or forward(*args))
    bits = code_lengths_bits(decoder, [Minibatch(torch.zeros(2, 1, 4, 4, dtype=torch.uint8))])
    assert np.isfinite(bits).all()
    assert seen == [("ieee",) * 3]
    assert settings() == tf32


@pytest.mark.parametrize("sample", [lambda distribution: distribution.sample(), sample_naive])
def test_samples(decoder, tf32, monkeypatch, sample):
    seen = set()
    draw = Categorical.sample
    monkeypatch.setattr(Categorical, "sample", lambda *args: seen.add(settings()) or draw(*args))
    sample(decoder(batch_size=2))
    assert seen == {("ieee",) * 3}
    assert settings() == tf32
