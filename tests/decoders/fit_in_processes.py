"""Launched by test_fitting_processes.py in several processes: fit a toy and save what the main process got.

Usage: fit_in_processes.py OUTPUT LIMIT OPTIMISER ENDS (LIMIT: images that fit in the second process's memory, 0 = all;
ENDS: of the fit, 1 or 2)
"""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from fitting_toys import CELLS, IndependentPixels, Memory, ToyData

from decoders.fitting.fit import FittingConfig, fit

CONFIG = FittingConfig(
    steps=30, learning_rate=0.1, betas=(0.9, 0.99), validate_every=10, save_every=7, null_share=0.2, patience=2
)


class Validated(ToyData):
    """With three minibatches to validate on, so that two processes get unequal shares."""

    def validation(self):
        return [self.take(np.arange(first, last)) for first, last in ((0, 20), (20, 23), (23, 48))]


TWICE = replace(CONFIG, halfway=True, cooldown_share=0.4, patience=0)


def run(accelerator: Accelerator, memory: Memory, limit: int | None, optimiser: str, ends: int = 1) -> dict:
    """Fit the toy and return plain results."""
    torch.manual_seed(0)
    torch.set_default_dtype(torch.float64)
    decoder = IndependentPixels(CELLS, dropout=0.3, limit=limit)
    data = Validated(CELLS, batch_size=9)
    config = replace(CONFIG if ends == 1 else TWICE, optimiser=optimiser)
    result = fit(decoder, data, config, seed=4, checkpoint=memory, accelerator=accelerator)
    curve = [[p.step, p.training_bits, p.validation_bits, p.validation_null_bits] for p in result.curve]
    return {
        "parameters": decoder.state_dict(),
        "halfway": result.halfway.weights if result.halfway else {},
        "curve": torch.tensor(curve),
        "best_step": result.best_step,
        "processes": accelerator.num_processes,
        "largest_batch": decoder.largest_batch,
        "micro_batch": result.micro_batch,
    }


def main() -> None:
    """Only the second process is short of memory, if any is."""
    output, limit = Path(sys.argv[1]), int(sys.argv[2])
    accelerator = Accelerator(cpu=True)
    memory = Memory()
    outcome = run(
        accelerator, memory, limit if limit and accelerator.process_index == 1 else None, sys.argv[3], int(sys.argv[4])
    )
    outcome["saves"] = memory.saves
    torch.save(outcome, output / f"{accelerator.process_index}.pt")
    accelerator.end_training()


if __name__ == "__main__":
    main()
