"""Synthetic experiment folders: every artifact that a figure reads, with curves of a realistic shape.

The numbers are made up by formulas, so that no stage has to run; layouts and columns are those of the real stages.
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path

import h5py
import numpy as np
import pytest

from ib_analysis.information.intervals import Bootstrap
from ib_analysis.information.phases_table import CurveKey, PhaseRow, phase_rows
from ib_analysis.information.table import FactorRow, InformationRow, read_table, write_table

EPOCHS = (0, 1, 2, 5, 10, 20, 50, 100)
LAYERS = {"h1": (16, 16, 16), "h2": (32, 8, 8), "h3": (64, 4, 4), "h4": (64,)}
FACTORS = {"shape": math.log2(10), "row": 3.0, "column": 3.0, "scale": 1.0, "intensity": 2.0, "noise": 256.0}
TASKS = ("classification", "autoencoding")
STILL_FALLING = "validation_code_length_still_falling"

MakeExperiment = Callable[..., Path]


def _progress(epoch: int) -> float:
    """How far the training has come at an epoch: 0 at the initialisation, 1 in the end."""
    return math.log1p(epoch) / math.log1p(EPOCHS[-1])


def _i_xh(task: str, layer: int, epoch: int, h_x: float) -> float:
    """Fitting, then compression (deeper layers more) for classification; a steady rise for autoencoding."""
    t = _progress(epoch)
    start = h_x * (0.30 - 0.06 * layer)
    if task == "classification":
        return start * (1 + 1.1 * t * math.exp(-1.2 * (layer + 1) * t * t))
    return start * (1 + (1.3 - 0.2 * layer) * t)


def _i_hy(task: str, layer: int, epoch: int, h_y: float) -> float:
    t = _progress(epoch)
    gain = (0.35 + 0.18 * layer) if task == "classification" else 0.12
    return h_y * (0.25 - 0.05 * layer + gain * (1 - math.exp(-3 * t)))


def write_csv(path: Path, columns: Sequence[str], rows: Sequence[dict[str, object]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)


def _write_information(
    folder: Path, seeds: Sequence[int], h_x: float | None, warned: Callable[[str, int, str], bool]
) -> None:
    rows = []
    h_y, truth = math.log2(10), h_x if h_x is not None else 280.0
    for task in TASKS:
        for seed in seeds:
            for epoch in EPOCHS:
                for index, (layer, shape) in enumerate(LAYERS.items()):
                    i_xh = _i_xh(task, index, epoch, truth) * (1 + 0.03 * seed)
                    i_hy = _i_hy(task, index, epoch, h_y) * (1 - 0.02 * seed)
                    null = truth + 3.4
                    spatial = shape if len(shape) == 3 else (*shape, 1, 1)
                    rows.append(
                        InformationRow(
                            experiment=folder.name, task=task, number_format="float32", encoder_seed=seed,
                            decoder_seed=0, epoch=epoch, layer=layer, channels=spatial[0], height=spatial[1],
                            width=spatial[2], n_images=1000, i_xh_bits=i_xh, i_xh_bits_low=i_xh - 0.02 * truth / 2,
                            i_xh_bits_high=i_xh + 0.02 * truth / 2, i_xh_bits_per_dim=i_xh / 256,
                            code_length_bits=null - i_xh, null_code_length_bits=null,
                            own_null_code_length_bits=null + 1.1, h_x_bits=h_x,
                            lower_bound_bits=None if h_x is None else h_x - null + i_xh,
                            lower_bound_bits_low=None if h_x is None else h_x - null + 0.99 * i_xh,
                            lower_bound_bits_high=None if h_x is None else h_x - null + 1.01 * i_xh,
                            i_hy_linear_bits=i_hy - 0.2,
                            i_hy_mlp_bits=i_hy, i_hy_bits=i_hy, i_hy_bits_low=i_hy - 0.09, i_hy_bits_high=i_hy + 0.09,
                            probe_accuracy=min(0.99, 0.1 + i_hy / 4),
                            decoder=f"{task}_float32_seed{seed}_decoder0", decoder_steps=1200,
                            condition="standardised", seconds=12.5,
                            warnings=STILL_FALLING if warned(task, epoch, layer) else "",
                            encoder_sha256="a" * 64, decoder_sha256="b" * 64,
                            distinct_activations=1.0,
                        )
                    )  # fmt: skip
    write_table(folder / "information.csv", InformationRow, rows)


def _write_factors(folder: Path, seeds: Sequence[int]) -> None:
    rows = []
    for task in TASKS:
        for seed in seeds:
            for epoch in EPOCHS:
                for index, layer in enumerate(LAYERS):
                    for place, (factor, bits) in enumerate(FACTORS.items()):
                        t = _progress(epoch)
                        if factor == "noise":
                            share = (0.45 - 0.13 * index) * (1 - 0.7 * t if task == "classification" else 1 + 0.5 * t)
                        elif factor == "shape" and task == "classification":
                            share = 0.35 + 0.05 * index + 0.6 * t * (1 - 0.2 * (3 - index) / 3)
                        else:
                            fade = t if task == "classification" else -0.3 * t
                            share = 0.95 - 0.03 * place - 0.22 * index * fade - 0.06 * index
                        found = bits * min(max(share, -0.01), 1.0)
                        rows.append(
                            FactorRow(
                                experiment=folder.name, task=task, number_format="float32", encoder_seed=seed,
                                epoch=epoch, layer=layer, factor=factor, true_bits=bits, linear_bits=0.9 * found,
                                mlp_bits=found, bits=found, low=found - 0.02 * bits, high=found + 0.02 * bits,
                            )
                        )  # fmt: skip
    write_table(folder / "factors.csv", FactorRow, rows)


def _write_training(folder: Path, seeds: Sequence[int]) -> None:
    for task in TASKS:
        for seed in seeds:
            run = folder / "encoders" / f"{task}_float32_seed{seed}"
            rows: list[dict[str, object]] = []
            for epoch in range(EPOCHS[-1] + 1):
                for split, gap in (("train", 0.0), ("evaluation", 1.0)):
                    t = 1 - math.exp(-epoch / 12) - gap * 0.08 * _progress(epoch) + 0.01 * seed
                    wobble = 0.02 * math.sin(1.7 * epoch + seed)
                    if task == "classification":
                        quality: dict[str, object] = {"accuracy": 0.1 + 0.85 * t + wobble}
                        loss = 2.3 * (1 - 0.95 * t) - 2 * wobble
                    else:
                        quality = {"psnr_db": 10 + 18 * t + 10 * wobble}
                        loss = 0.1 * (1 - 0.97 * t) - 0.05 * wobble
                    rows.append({"epoch": epoch, "split": split, "loss": loss, **quality})
            write_csv(run / "training.csv", list(rows[0]), rows)
            for epoch in EPOCHS:
                (run / f"epoch_{epoch:04d}.pt").write_bytes(b"")


def _image(rng: np.random.Generator, channels: int, size: int, intensities: int) -> np.ndarray:
    """A bright disc or square of random place and size, with one bit of noise."""
    row, column = rng.integers(size // 4, 3 * size // 4, 2)
    radius = rng.integers(size // 8, size // 3)
    y, x = np.mgrid[:size, :size]
    inside = (
        (np.hypot(y - row, x - column) < radius)
        if rng.random() < 0.5
        else ((abs(y - row) < radius) & (abs(x - column) < radius))
    )
    image = np.zeros((channels, size, size), np.int64)
    for channel in range(channels):
        image[channel] = np.where(inside, rng.integers(intensities // 2, intensities - 1), intensities // 8)
    return np.clip(image + rng.integers(0, 2, image.shape), 0, intensities - 1).astype(np.uint8)


def _write_samples(folder: Path, seeds: Sequence[int], channels: int, size: int, intensities: int) -> None:
    rng = np.random.default_rng(0)
    n_images, n_draws = 6, 4

    def blurred(image: np.ndarray, share: float) -> np.ndarray:
        other = _image(rng, channels, size, intensities)
        return np.where(rng.random(image.shape) < share, image, other).astype(np.uint8)

    with h5py.File(folder / "samples.h5", "w") as file:
        originals = np.stack([_image(rng, channels, size, intensities) for _ in range(n_images)])
        file.attrs["intensities"], file.attrs["n_draws"] = intensities, n_draws
        file["originals"], file["labels"] = originals, np.arange(n_images) % 3
        file["evaluation_index"] = np.arange(n_images) * 7
        file["samples/null"] = np.stack([_image(rng, channels, size, intensities) for _ in range(n_draws)])
        for task in TASKS:
            for seed in seeds:
                run = f"{task}_float32_seed{seed}"
                for epoch in EPOCHS:
                    for index, layer in enumerate(LAYERS):
                        share = 0.9 - 0.2 * index * (_progress(epoch) if task == "classification" else 0.5)
                        file[f"samples/{run}/epoch_{epoch:04d}/{layer}"] = np.stack(
                            [np.stack([blurred(image, share) for _ in range(n_draws)]) for image in originals]
                        )
                        where = np.stack([share_of_bits(channels, size, 2 + k % 3) for k in range(n_images)])
                        noise = np.random.default_rng([epoch, index]).normal(0, 0.02, where.shape)
                        file[f"maps/{run}/epoch_{epoch:04d}/{layer}"] = (60 * share * where + noise).astype(np.float32)
                    if task == "autoencoding":
                        file[f"reconstructions/{run}/epoch_{epoch:04d}"] = np.stack(
                            [blurred(image, _progress(epoch)) for image in originals]
                        )


def share_of_bits(channels: int, size: int, radius: int) -> np.ndarray:
    """A ring in the middle of an image that holds all bits, most of them in the first channel; sums to one."""
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    ring = np.exp(-((np.hypot(x, y) - radius) ** 2) / 4)
    shares = np.array([1 / (2 + channel) for channel in range(channels)])[:, None, None] * ring
    return shares / shares.sum()


def write_mean_maps(folder: Path, channels: int = 1, size: int = 16) -> None:
    """Write ``code_lengths.h5`` with maps alone, whose sums are those of information.csv, and ``phases.csv``."""
    rows = read_table(folder / "information.csv", InformationRow)
    null = rows[0].null_code_length_bits * np.full((channels, size, size), 1 / (channels * size * size))
    lengths: dict[CurveKey, dict[int, np.ndarray]] = {}
    spread = np.random.default_rng(0).normal(size=40)
    with h5py.File(folder / "code_lengths.h5", "w") as file:
        file["maps/null"] = null
        for row in rows:
            at = list(LAYERS).index(row.layer)
            given = null - row.i_xh_bits * share_of_bits(channels, size, 1 + at + EPOCHS.index(row.epoch) // 3)
            file[f"maps/{row.decoder}/epoch_{row.epoch:04d}/{row.layer}"] = given
            key = CurveKey(row.task, row.number_format, row.layer, row.encoder_seed, row.decoder_seed)
            lengths.setdefault(key, {})[row.epoch] = row.code_length_bits + spread
    write_table(folder / "phases.csv", PhaseRow, phase_rows(folder.name, lengths, {}, Bootstrap(n_resamples=199)))


def write_experiment(
    folder: Path,
    *,
    seeds: Sequence[int] = (0,),
    h_x: float | None = 271.3,
    warned: Callable[[str, int, str], bool] = lambda task, epoch, layer: layer == "h4" and epoch in (1, 2),
    factors: bool = True,
    channels: int = 1,
    size: int = 16,
    intensities: int = 8,
) -> Path:
    """Write every artifact that figures read: two tasks, four layers, eight epochs."""
    folder.mkdir(parents=True)
    facts = {
        "name": "factors" if factors else "digits", "image_shape": [channels, size, size],
        "intensities": intensities, "class_names": ["disc", "square", "cross"], "h_x_bits": h_x,
        "h_y_bits": math.log2(10), "factor_bits": FACTORS if factors else {}, "n_encoder": 4000, "n_decoder": 4000,
        "n_validation": 400, "n_evaluation": 1000, "sha256": "c" * 64,
    }  # fmt: skip
    (folder / "data.json").write_text(json.dumps(facts))
    _write_information(folder, seeds, h_x, warned)
    if factors:
        _write_factors(folder, seeds)
    _write_training(folder, seeds)
    _write_samples(folder, seeds, channels, size, intensities)
    return folder


@pytest.fixture(scope="session")
def experiment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The usual experiment: one encoder seed, H(X) known, a few cells with warnings. Not to be changed."""
    return write_experiment(tmp_path_factory.mktemp("plots") / "default")


@pytest.fixture
def make_experiment(tmp_path: Path) -> MakeExperiment:
    """Write a further experiment with other settings: ``make_experiment(seeds=(0, 1), h_x=None)``."""

    def make(name: str = "other", **settings: object) -> Path:
        return write_experiment(tmp_path / name, **settings)  # type: ignore[arg-type]

    return make
