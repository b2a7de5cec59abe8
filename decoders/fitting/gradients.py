"""The gradient of one step: the same whatever the number of processes and whatever fits in memory at once."""

from __future__ import annotations

import contextlib
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor, distributed

from decoders.dropout import Dropout, set_dropout_stream
from decoders.fitting.batches import Minibatch, TrainingData, on_device, rows
from decoders.fitting.flat_parameters import FlatParameters
from decoders.fitting.micro_batches import with_fitting_micro_batch
from decoders.fitting.recorded_step import RecordedStep
from decoders.precision import cpu_multiplies_bfloat16

if TYPE_CHECKING:
    from decoders import Decoder

__all__ = ["StepDraw", "StepGradient", "draw_step", "uses_bfloat16"]


@dataclass(frozen=True)
class StepDraw:
    """Everything that is random in one step: a pure function of the run's seed and the step."""

    minibatch: Minibatch
    null_mask: Tensor | None
    """True where an image sees the null condition, shape (B,); None if the minibatch has no condition."""
    dropout_seed: int


def draw_step(data: TrainingData, seed: int, step: int, null_share: float) -> StepDraw:
    """Draw the minibatch, null mask and dropout seed of step ``step``."""
    minibatch = data.minibatch(np.random.default_rng((seed, step)))
    # A generator of its own: how much the data drew from theirs must not matter.
    rng = np.random.default_rng((seed, step, 1))
    dropout_seed = int(rng.integers(2**62))
    mask = torch.from_numpy(rng.random(len(minibatch)) < null_share)
    return StepDraw(minibatch, None if minibatch.condition is None else mask, dropout_seed)


def uses_bfloat16(precision: Literal["auto", "float32", "bfloat16"], device: torch.device) -> bool:
    """Whether the training steps use bfloat16 autocast; on a CPU only if asked, so that most machines compute alike.

    Raises:
        ValueError: bfloat16 is asked for on a CPU that has no instructions for it.
    """
    if device.type == "cuda":
        emulated = precision == "auto" and not torch.cuda.is_bf16_supported(including_emulation=False)
        return precision != "float32" and not emulated
    if precision == "bfloat16" and not cpu_multiplies_bfloat16():
        raise ValueError(
            "The fitting setting precision is bfloat16, but the fit runs on a CPU without instructions for it: "
            "choose auto."
        )
    return precision == "bfloat16"


def auxiliary_log_prob(distribution: Any, images: Tensor) -> Tensor | None:
    """What a decoder's fit adds to the log-probabilities of images, (B,), in nats; None for most decoders."""
    found = getattr(distribution, "auxiliary_log_prob", None)
    return None if found is None else found(images)


class StepGradient:
    """Accumulates the gradient of the mean -log q(x | h) / dimensions of a minibatch, in nats.

    Every process computes its own rows, in as many micro-batches as its memory asks for, and the sums are
    added up over the processes. Dropout masks belong to the whole minibatch, so cutting it changes nothing
    but the order of the floating point sums.

    Args:
        decoder: the network, on the accelerator's device.
        flat: its parameters.
        accelerator: which process this is, of how many, and its device.
        bfloat16: whether the forward passes use bfloat16 autocast.
        recorded: whether steps on one GPU are recorded and replayed where all launch the same: those of unconditional
            decoders without dropout, but for readers.
    """

    def __init__(
        self,
        decoder: Decoder,
        flat: FlatParameters,
        accelerator: Accelerator,
        bfloat16: bool = False,
        recorded: bool = True,
    ) -> None:
        self._decoder = decoder
        self._flat = flat
        self._accelerator = accelerator
        self._bfloat16 = bfloat16
        self.micro_batch: int | None = None
        """Largest number of images that is computed at once; None as long as everything fitted."""
        drops = any(isinstance(module, Dropout) and module.p > 0 for module in decoder.modules())
        on_base = hasattr(decoder, "base")  # whose features a reader looks up on the CPU, by the images' bytes
        self.recorded: RecordedStep | None = None
        alone = accelerator.device.type == "cuda" and accelerator.num_processes == 1
        if recorded and alone and not drops and not on_base:
            self.recorded = RecordedStep(self._unconditional)

    def start(self, draw: StepDraw) -> Tensor:
        """Leave the gradient of the whole minibatch in ``flat.gradient``; on a GPU only launch the work.

        Returns:
            A tensor (2,): the loss in nats per dimension, and the norm of its gradient.

        Raises:
            torch.OutOfMemoryError: not even one image fits on the GPU.
        """
        if self.recorded is not None and draw.minibatch.condition is None and self.micro_batch is None:
            try:
                return self.recorded(draw.minibatch.images.pin_memory())
            except torch.OutOfMemoryError:
                self.recorded = None  # in parts, below
        total, processes = len(draw.minibatch), self._accelerator.num_processes
        first, last = (total * (self._accelerator.process_index + i) // processes for i in (0, 1))
        size = min(max(last - first, 1), self.micro_batch or total)
        loss, used = with_fitting_micro_batch(lambda n: self._accumulate(draw, first, last, n), size)
        if used < size:
            self.micro_batch = used
        if processes > 1:
            distributed.all_reduce(self._flat.gradient)
            distributed.all_reduce(loss)
        return torch.stack([loss, self._flat.gradient.norm().to(loss.dtype)])

    def _unconditional(self, images: Tensor) -> Tensor:
        draw = StepDraw(Minibatch(images), None, 0)
        loss = self._accumulate(draw, 0, len(images), len(images))
        return torch.stack([loss, self._flat.gradient.norm().to(loss.dtype)])

    def _accumulate(self, draw: StepDraw, first: int, last: int, micro_batch: int) -> Tensor:
        self._flat.zero_gradient()
        total, dimensions = len(draw.minibatch), math.prod(draw.minibatch.images.shape[1:])
        loss = self._flat.weights.new_zeros(())
        device = self._flat.weights.device
        for start in range(first, last, micro_batch):
            stop = min(start + micro_batch, last)
            part = on_device(rows(draw.minibatch, start, stop), device)
            mask = None if draw.null_mask is None else draw.null_mask[start:stop].to(device)
            set_dropout_stream(self._decoder, draw.dropout_seed, offset=start, total=total)
            with torch.autocast(device.type, torch.bfloat16) if self._bfloat16 else contextlib.nullcontext():
                distribution = self._decoder(part.condition, mask)
                log_prob = distribution.log_prob(part.images)
                auxiliary = auxiliary_log_prob(distribution, part.images)
            loss -= log_prob.detach().sum() / (dimensions * total)
            objective = log_prob if auxiliary is None else log_prob + auxiliary
            (-objective.sum() / (dimensions * total)).backward()
        return loss
