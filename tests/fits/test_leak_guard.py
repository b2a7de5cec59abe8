"""Evaluation images never reach a fit: the guard sees a planted leak, and so does a comparison without the guard."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from decoders import Minibatch
from ib_analysis.artifacts import UserError
from ib_analysis.cli import main
from ib_analysis.data import DataConfig, ImageData, load_data
from ib_analysis.fits import feed
from ib_analysis.fits.feed import CellFeed
from ib_analysis.fits.leak_guard import EvaluationImages, GuardedData
from ib_analysis.information.certificates_table import CertificateRow
from ib_analysis.information.table import read_table
from ib_analysis.records import images as image_records
from ib_analysis.records.probes import best_kind

OPTIONS = ["--tasks", "[classification]", "--layers", "[h3]", "--fitting.steps", "24"]


class Fixed:
    """Hands out the same images for everything."""

    def __init__(self, images: torch.Tensor) -> None:
        self.images = images

    def minibatch(self, rng: np.random.Generator) -> Minibatch:
        return Minibatch(self.images)

    def validation(self) -> Iterator[Minibatch]:
        yield Minibatch(self.images)


@given(st.integers(0, 10_000), st.integers(1, 40), st.integers(0, 40), st.integers(1, 12), st.sampled_from([2, 3, 256]))
@settings(max_examples=80, deadline=None)
def test_the_guard_is_a_set_membership_test(seed: int, n: int, m: int, seen: int, intensities: int) -> None:
    rng = np.random.default_rng(seed)

    def draw(count: int) -> torch.Tensor:
        return torch.from_numpy(rng.integers(intensities, size=(count, 1, 2, 2)).astype(np.uint8))

    evaluation, allowed, images = draw(n), draw(m), draw(seen)
    secret = {x.numpy().tobytes() for x in evaluation} - {x.numpy().tobytes() for x in allowed}
    leak = any(x.numpy().tobytes() in secret for x in images)
    guard = GuardedData(Fixed(images), EvaluationImages(evaluation, allowed))
    for hand_out in (lambda: [guard.minibatch(rng)], lambda: list(guard.validation())):
        if leak:
            with pytest.raises(UserError, match="Evaluation images leak"):
                hand_out()
        else:
            assert torch.equal(hand_out()[0].images, images)


def test_one_pixel_more_is_another_image() -> None:
    evaluation = torch.randint(0, 255, (50, 3, 32, 32), dtype=torch.uint8, generator=torch.manual_seed(0))
    near = evaluation.clone()
    near[:, 2, 31, 31] += 1
    secret = EvaluationImages(evaluation, near[:0])
    assert len(secret) == 50
    guard = GuardedData(Fixed(near), secret)
    assert len(guard.minibatch(np.random.default_rng(0))) == 50
    near[7] = evaluation[7]
    with pytest.raises(UserError, match="1 of the 50 images of a training minibatch"):
        guard.minibatch(np.random.default_rng(0))


# ---------------------------------------------------------------------------------------------- whole experiments


def run(name: str, monkeypatch: pytest.MonkeyPatch, evaluation_seed: int | None = None) -> int:
    """The tiny experiment; with a seed, its evaluation images (and only they) are those of another draw."""

    def load(config: DataConfig) -> ImageData:
        data = load_data(config)
        if evaluation_seed is None:
            return data
        other = load_data(dataclasses.replace(config, seed=evaluation_seed))
        return dataclasses.replace(data, evaluation=other.evaluation)

    with monkeypatch.context() as patch:
        patch.setattr(image_records, "_load", load)
        return main(["estimate-mi", "tiny.yaml", "--name", name, *OPTIONS])


def selected(name: str) -> dict[str, Any]:
    """Everything that is fitted or chosen, and nothing that is measured on evaluation images."""
    folder = Path("checkpoints") / name
    found: dict[str, Any] = {}
    for path in sorted([*folder.glob("decoders/*/decoder.pt"), *folder.glob("decoders/*/curve.csv")]):
        found[str(path.relative_to(folder))] = hashlib.sha256(path.read_bytes()).hexdigest()
    for path in sorted(folder.glob("decoders/*/decoder.pt.json")):
        record = json.loads(path.read_text())
        found[path.parent.name] = [record[key] for key in ("best_step", "steps_done", "early_stopped", "cell_warnings")]
    with h5py.File(folder / "code_lengths.h5") as file:
        found["null"] = [file.attrs["null_source"], float(file.attrs["null_validation_bits"])]
    for path in sorted(folder.glob("probes/*/*.npz")):
        with np.load(path) as arrays:
            found[path.name] = [best_kind(arrays, "label")]
            found[path.name] += [float(arrays[key]) for key in sorted(arrays) if key.endswith("/validation")]
    rows = read_table(folder / "certificates.csv", CertificateRow)
    return {**found, "certificates": [dataclasses.replace(row, experiment="") for row in rows]}


def evaluated(name: str) -> bytes:
    with h5py.File(Path("checkpoints") / name / "code_lengths.h5") as file:
        return file["null"][()].tobytes()


def leaky_validation(self: CellFeed) -> Iterator[Minibatch]:
    """Validation on evaluation images: what must never be."""
    for cell in self.cells or (None,):
        yield next(self.part("evaluation", cell))


def leaky_minibatch(self: CellFeed, rng: np.random.Generator) -> Minibatch:
    return next(self.part("evaluation", self.cells[0] if self.cells else None))


def test_other_evaluation_images_change_nothing_that_is_fitted_or_chosen(
    tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run("one", monkeypatch) == 0
    assert run("other", monkeypatch, evaluation_seed=5) == 0
    assert selected("one") == selected("other")
    assert len(selected("one")) >= 6
    assert evaluated("one") != evaluated("other")  # or nothing would have been compared


@pytest.mark.parametrize(
    ("method", "leak", "where"),
    [("validation", leaky_validation, "validation images"), ("minibatch", leaky_minibatch, "training minibatch")],
)
def test_a_planted_leak_is_caught_by_the_guard_and_without_it_by_the_comparison(
    tiny: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, method: str, leak: Any, where: str
) -> None:
    monkeypatch.setattr(CellFeed, method, leak)
    assert run("guarded", monkeypatch) == 2
    error = capsys.readouterr().err
    assert "Evaluation images leak into the fit of a decoder" in error
    assert where in error
    monkeypatch.setattr(feed, "GuardedData", lambda data, *others, **named: data)
    assert run("one", monkeypatch) == 0
    assert run("other", monkeypatch, evaluation_seed=5) == 0
    one, other = selected("one"), selected("other")
    changed = {key for key in one if one[key] != other[key]}
    assert any(key.endswith("curve.csv") for key in changed)
