"""Where encoders are trained, and in which precision."""

from __future__ import annotations

from typing import Literal

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState

from ib_analysis.training.config import TrainingConfig

__all__ = ["make_accelerator"]


def make_accelerator(config: TrainingConfig) -> Accelerator:
    """Devices and precision: mixed precision on a GPU only, several processes where they were launched so.

    Without CUDA it is the CPU, also where accelerate would find another device: that is where the rest of an
    experiment runs then, and loss sums are float64, which not every device has.
    """
    precision: Literal["no", "bf16", "fp16"] = "no"
    if torch.cuda.is_available() and config.precision != "float32":
        # Emulated bfloat16 counts as supported, but is slower than float32.
        brain = config.precision == "bfloat16" or (
            config.precision == "auto" and torch.cuda.is_bf16_supported(including_emulation=False)
        )
        precision = "bf16" if brain else "fp16"
    # Accelerate keeps one state per process and refuses another precision than its first.
    if AcceleratorState._shared_state and AcceleratorState().mixed_precision != precision:
        AcceleratorState._reset_state()
    return Accelerator(cpu=not torch.cuda.is_available(), mixed_precision=precision)
