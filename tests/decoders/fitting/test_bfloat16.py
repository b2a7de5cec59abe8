"""bfloat16 steps on a CPU that has instructions for them."""

import dataclasses

import pytest
import torch
from reader_toys import BITS, NOTHING, TELLING, IndependentImages, toy_reader

from decoders.fitting import gradients
from decoders.fitting.fit import FittingConfig, fit
from decoders.fitting.gradients import uses_bfloat16
from decoders.precision import cpu_multiplies_bfloat16

CPU, GPU = torch.device("cpu"), torch.device("cuda")


@pytest.mark.parametrize(
    ("capabilities", "expected"),
    [
        ({"avx512_bf16": True}, True),
        ({"bf16": True, "neon": True}, True),
        ({"avx512_bf16": False, "avx2": True}, False),
    ],
)
def test_a_cpu_has_bfloat16_where_it_multiplies_it(monkeypatch, capabilities, expected):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)
    assert cpu_multiplies_bfloat16() is expected


def test_an_older_torch_is_asked_in_its_way(monkeypatch):
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    for answer in (True, False):
        monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda answer=answer: answer)
        assert cpu_multiplies_bfloat16() is answer


def test_a_cpu_takes_bfloat16_only_if_asked(monkeypatch):
    monkeypatch.setattr(gradients, "cpu_multiplies_bfloat16", lambda: True)
    assert [uses_bfloat16(asked, CPU) for asked in ("auto", "float32", "bfloat16")] == [False, False, True]


def test_a_cpu_that_would_emulate_it_refuses(monkeypatch):
    monkeypatch.setattr(gradients, "cpu_multiplies_bfloat16", lambda: False)
    assert [uses_bfloat16(asked, CPU) for asked in ("auto", "float32")] == [False, False]
    with pytest.raises(ValueError, match="a CPU without instructions for it: choose auto"):
        uses_bfloat16("bfloat16", CPU)


@pytest.mark.parametrize(("emulated", "expected"), [(False, [True, False, True]), (True, [False, False, True])])
def test_auto_on_a_gpu_asks_whether_it_is_emulated(monkeypatch, emulated, expected):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: not emulated)
    assert [uses_bfloat16(asked, GPU) for asked in ("auto", "float32", "bfloat16")] == expected


def test_a_reader_finds_the_known_bits_in_bfloat16(monkeypatch):
    monkeypatch.setattr(gradients, "cpu_multiplies_bfloat16", lambda: True)  # emulated products are as right
    config = FittingConfig(steps=100, batch_size=24, learning_rate=1e-2, betas=(0.9, 0.99), validate_every=100)
    found, seen = {}, []
    for precision in ("bfloat16", "float32"):
        reader = toy_reader()
        reader.change.register_forward_hook(lambda module, inputs, output: seen.append((module.training, output.dtype)))
        fitted = fit(reader, IndependentImages(), dataclasses.replace(config, precision=precision), seed=1)
        found[precision] = fitted.curve[-1].cell_bits
        assert {parameter.dtype for parameter in reader.parameters()} == {torch.float32}
    assert set(seen) == {(True, torch.bfloat16), (True, torch.float32), (False, torch.float32)}
    # Of the 32 bits an image has, one cell tells all and the other none.
    for cell, bits in found["float32"].items():
        assert found["bfloat16"][cell] == pytest.approx(bits, abs=1.0)
    assert found["bfloat16"][TELLING.name] < 0.25 * BITS < 0.9 * BITS < found["bfloat16"][NOTHING.name]
