"""What only a GPU can show: bfloat16, real out-of-memory errors, resumption. Skipped where there is none."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from accelerate import Accelerator

from decoders import Architecture, Condition, ImageSpace, Minibatch, PixelCNNPP, PixelCNNPPConfig, code_lengths_bits
from decoders.config import Cell
from decoders.fitting.fit import FittingConfig, fit
from decoders.fitting.flat_parameters import FlatParameters
from decoders.fitting.gradients import StepGradient, draw_step

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")

CELL = Cell("epoch_0000/h3", "h3", (3, 4, 4))
FITTING = FittingConfig(
    steps=60, batch_size=32, learning_rate=3e-3, optimiser="muon", betas=(0.9, 0.99), validate_every=20, save_every=20
)


class Shades:
    """Smooth images, and activations that tell their brightness."""

    def __init__(self, size: int = 8, channels: int = 1, batch_size: int = 32) -> None:
        rng = np.random.default_rng(3)
        levels = rng.integers(20, 236, size=(256, channels, 1, 1))
        self.images = torch.from_numpy((levels + rng.integers(-9, 10, (256, channels, size, size))).astype(np.uint8))
        self.activations = torch.from_numpy(levels[:, :1] / 100.0).float().expand(-1, 3, 4, 4).contiguous()
        self.batch_size = batch_size

    def take(self, index: np.ndarray) -> Minibatch:
        return Minibatch(self.images[index], (Condition(self.activations[index], CELL.name),))

    def minibatch(self, rng: np.random.Generator) -> Minibatch:
        return self.take(rng.integers(192, size=self.batch_size))

    def validation(self) -> list[Minibatch]:
        return [self.take(np.arange(192, 256))]


def decoder(size: int = 8, channels: int = 1, filters: int = 16, dropout: float = 0.1) -> PixelCNNPP:
    torch.manual_seed(0)
    architecture = Architecture(blocks=1, filters=filters, dropout=dropout, condition_filters=8)
    return PixelCNNPP(PixelCNNPPConfig(ImageSpace(channels, size, size), architecture, (CELL,)))


class Memory:
    """Keeps what a fit saves; raises after so many saves, as a kill would end it."""

    def __init__(self, until: int | None = None) -> None:
        self.state: dict | None = None
        self.until, self.saves = until, 0

    def load(self) -> dict | None:
        return self.state

    def save(self, state: dict) -> None:
        self.state, self.saves = state, self.saves + 1
        if self.saves == self.until:
            raise KeyboardInterrupt


def test_code_lengths_are_those_of_the_cpu() -> None:
    network, data = decoder(), Shades()
    on_cpu = code_lengths_bits(network, data.validation())
    on_gpu = code_lengths_bits(network.cuda(), data.validation())
    np.testing.assert_allclose(on_gpu, on_cpu, rtol=2e-5)


@pytest.mark.parametrize("optimiser", ["adam", "muon"])
def test_bfloat16_fits_as_well_as_float32(optimiser: str) -> None:
    found = {}
    for precision in ("bfloat16", "float32"):
        network = decoder()
        settings = dataclasses.replace(FITTING, steps=200, precision=precision, optimiser=optimiser)
        found[precision] = fit(network, Shades(), settings, seed=1).curve[-1].validation_bits
        assert {parameter.dtype for parameter in network.parameters()} == {torch.float32}
    assert found["bfloat16"] == pytest.approx(found["float32"], rel=0.02)


class OnlyImages(Shades):
    """The images alone, as a base sees them."""

    def take(self, index: np.ndarray) -> Minibatch:
        return Minibatch(self.images[index])


@pytest.mark.parametrize(("precision", "tolerance"), [("bfloat16", 2e-2), ("float32", 1e-3)])
def test_recorded_steps_are_those_that_are_launched_one_by_one(precision: str, tolerance: float) -> None:
    torch.manual_seed(0)
    architecture = Architecture(blocks=1, filters=16, dropout=0.0)
    network = PixelCNNPP(PixelCNNPPConfig(ImageSpace(1, 8, 8), architecture, ())).cuda()
    flat = FlatParameters(network)
    gradients = {
        record: StepGradient(network, flat, Accelerator(), precision == "bfloat16", recorded=record)
        for record in (True, False)
    }
    for step in range(8):
        # Neither the same images nor the same weights as in the step that was recorded.
        flat.weights.data.add_(torch.randn_like(flat.weights.data), alpha=1e-3)
        found = {}
        for record, gradient in gradients.items():
            loss, norm = gradient.start(draw_step(OnlyImages(), 1, step, 0.0)).tolist()
            found[record] = (loss, norm, flat.gradient.clone())
        assert found[True][:2] == pytest.approx(found[False][:2], rel=tolerance)
        assert float((found[True][2] - found[False][2]).norm()) < tolerance * found[False][1]
    recorded = gradients[True].recorded
    assert recorded is not None
    assert recorded.is_recorded
    assert recorded.given_up is None


def test_auto_takes_bfloat16_where_the_gpu_has_it() -> None:
    network = decoder()
    seen = []
    network.readout.register_forward_hook(lambda module, inputs, output: seen.append((module.training, output.dtype)))
    fit(network, Shades(), dataclasses.replace(FITTING, steps=2, validate_every=2), seed=1)
    wanted = torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float32
    assert (True, wanted) in seen
    assert (False, torch.float32) in seen


def test_an_interrupted_fit_goes_on() -> None:
    whole = fit(decoder(), Shades(), FITTING, seed=1)
    memory = Memory(until=2)
    with pytest.raises(KeyboardInterrupt):
        fit(decoder(), Shades(), FITTING, seed=1, checkpoint=memory)
    assert memory.state is not None
    resumed = fit(decoder(), Shades(), FITTING, seed=1, checkpoint=memory)
    # A GPU sums in an order of its own, so equal up to what rounding grows to.
    for mine, theirs in zip(resumed.curve, whole.curve, strict=True):
        assert mine.validation_bits == pytest.approx(theirs.validation_bits, rel=5e-3)


def test_a_minibatch_that_does_not_fit_is_computed_in_parts() -> None:
    """In a process of its own, whose share of the memory is small."""
    outcome = subprocess.run([sys.executable, __file__], capture_output=True, text=True, timeout=300)
    assert outcome.returncode == 0, outcome.stderr[-2000:]
    micro_batch, parts, whole = outcome.stdout.split()[-3:]
    assert 0 < int(micro_batch) < 128
    # Other sizes, other kernels: twenty steps from a random start make of their rounding what a per cent is.
    assert float(parts) == pytest.approx(float(whole), rel=2e-2)


def test_the_command_uses_the_gpu(tiny: Path) -> None:
    program = "import torch, sys; from ib_analysis.cli import main; code = main(sys.argv[1:]); "
    program += "print('gpu bytes', torch.cuda.max_memory_allocated()); sys.exit(code)"
    outcome = subprocess.run(
        [sys.executable, "-c", program, "estimate-mi", str(tiny)], capture_output=True, text=True, timeout=600
    )
    assert outcome.returncode == 0, outcome.stderr[-2000:]
    assert int(outcome.stdout.split()[-1]) > 0


def in_parts() -> None:
    settings = dataclasses.replace(FITTING, steps=20, batch_size=128, precision="float32", save_every=100)
    data = Shades(size=32, channels=3, batch_size=128)
    whole = fit(decoder(32, 3, 64, 0.0), data, settings, seed=1).curve[-1].validation_bits
    peak = torch.cuda.max_memory_allocated()
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction(0.4 * peak / total)
    record = fit(decoder(32, 3, 64, 0.0), data, settings, seed=1)
    print(record.micro_batch, record.curve[-1].validation_bits, whole)


if __name__ == "__main__":
    in_parts()
