"""Devices and precision on machines that are not this one."""

import pytest
import torch

from ib_analysis.training import TrainingConfig, devices


@pytest.fixture
def asked(monkeypatch):
    """What `Accelerator` is asked for, instead of having it."""
    found = {}
    monkeypatch.setattr(devices, "Accelerator", lambda **options: found.update(options))
    monkeypatch.setattr(devices.AcceleratorState, "_shared_state", {})
    return found


def machine(monkeypatch, cuda, bfloat16="none"):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)

    def supported(including_emulation=True):
        return bfloat16 == "native" or (bfloat16 == "emulated" and including_emulation)

    monkeypatch.setattr(torch.cuda, "is_bf16_supported", supported)


@pytest.mark.parametrize("precision", ["auto", "float32", "bfloat16", "float16"])
def test_without_cuda_it_is_the_cpu_in_float32(asked, monkeypatch, precision):
    machine(monkeypatch, cuda=False)
    devices.make_accelerator(TrainingConfig(precision=precision))
    assert asked == {"cpu": True, "mixed_precision": "no"}


@pytest.mark.parametrize(
    ("precision", "bfloat16", "expected"),
    [
        ("auto", "native", "bf16"),
        ("auto", "emulated", "fp16"),
        ("auto", "none", "fp16"),
        ("bfloat16", "emulated", "bf16"),
        ("float16", "native", "fp16"),
        ("float32", "native", "no"),
    ],
)
def test_a_gpu_uses_bfloat16_only_where_it_is_not_emulated(asked, monkeypatch, precision, bfloat16, expected):
    machine(monkeypatch, cuda=True, bfloat16=bfloat16)
    devices.make_accelerator(TrainingConfig(precision=precision))
    assert asked == {"cpu": False, "mixed_precision": expected}
