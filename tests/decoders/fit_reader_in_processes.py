"""Launched by test_fitting_readers.py in several processes: fit a reader and save what each process got.

Usage: fit_reader_in_processes.py OUTPUT
"""

import sys
from pathlib import Path

import torch
from accelerate import Accelerator
from reader_toys import IndependentImages, toy_reader

from decoders.fitting.fit import FittingConfig, fit

CONFIG = FittingConfig(
    steps=12, learning_rate=0.01, betas=(0.9, 0.99), optimiser="muon", validate_every=4, save_every=5, null_share=0.2
)


def run(accelerator: Accelerator) -> dict:
    """Fit the toy and return plain results."""
    torch.set_default_dtype(torch.float64)
    reader = toy_reader()
    result = fit(reader, IndependentImages(batch_size=9), CONFIG, seed=4, accelerator=accelerator)
    curve = [[p.step, p.training_bits, p.validation_bits, p.validation_null_bits] for p in result.curve]
    return {
        "parameters": reader.state_dict(),
        "curve": torch.tensor(curve),
        "processes": accelerator.num_processes,
    }


def main() -> None:
    """All processes alike."""
    accelerator = Accelerator(cpu=True)
    torch.save(run(accelerator), Path(sys.argv[1]) / f"{accelerator.process_index}.pt")
    accelerator.end_training()


if __name__ == "__main__":
    main()
