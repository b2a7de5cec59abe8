"""What all tests share."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest
import torch

torch.set_num_threads(1)  # the suite runs beside other work, and numbers must not depend on it

TINY = """
    layers: [h1, h3, h4]
    data:
      factors: {n_encoder: 64, n_decoder: 80, n_evaluation: 24}
    encoder: {depth: 8, width: 4}
    training: {epochs: 2, batch_size: 32, checkpoints: [0, 2]}
    activations: {group_size: 8}
    reader: gated
    sharing: shared
    decoder: {blocks: 1, filters: 4, output: categorical, dropout: 0.2, condition_filters: 4}
    fitting:
      {steps: 12, batch_size: 16, learning_rate: 0.003, validate_every: 3, validation_images: 16, save_every: 3,
       optimiser: adam, matrix_learning_rate: 0.02, betas: [0.95, 0.9995], lr_decay_per_step: 0.999995, warmup_steps: 0,
       cooldown_share: 0.0, averaging: 0.9995, gradient_clip: null, halfway: false}
    base_network: {blocks: 1, filters: 4, output: categorical}
    base_fitting: {steps: 12, batch_size: 16, warmup_steps: 2, validate_every: 3, validation_images: 20, save_every: 3}
    probe: {epochs: 2, hidden_units: 8}
    estimation: {resamples: 50}
    sampling: {images: 2, draws: 2}
    brackets:
      density: {blocks: 1, filters: 4, output: categorical, dropout: 0.0, condition_filters: 4}
      fitting: {steps: 6, batch_size: 16, null_share: 0.0, validate_every: 3, validation_images: 16}
    workers: 1
"""


@pytest.fixture(scope="session")
def tiny_text() -> str:
    """The config of `tiny`, for folders that several tests share."""
    return textwrap.dedent(TINY)


@pytest.fixture(scope="session")
def deep_text(tiny_text: str) -> str:
    """The same with readers on a base, one per layer, fitted like the decoders of `tiny`; L0 is the base alone."""
    decoders = "reader: gated\nsharing: shared\n"
    assert decoders in tiny_text
    readers = "reader: deep\nsharing: layer\nreader_network: {width: 8}\nunconditional_fit: false\n"
    return tiny_text.replace(decoders, readers)


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An experiment of seconds, as ``tiny.yaml`` in an empty folder that is made the current one."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "tiny.yaml"
    path.write_text(textwrap.dedent(TINY))
    return path
