"""Training of binary networks in one and two steps: what is binary when, what decays, and that interruptions change
nothing."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from training_toys import contents, make_data, run

from ib_analysis.artifacts import UserError, load_tensors
from ib_analysis.binary import BinaryTrainingConfig, Phase
from ib_analysis.encoders import BinaryNetwork, EncoderConfig, build_encoder
from ib_analysis.training import (
    Course,
    Distillation,
    Step,
    TrainingConfig,
    binary_course,
    first_phase,
    learning_rate,
    load_encoder,
)

CONFIG = TrainingConfig(epochs=4, batch_size=16, checkpoints=(0, 1, 2, 3), warmup_epochs=1)
TWO, ONE = BinaryTrainingConfig(weight_decay_real=0.25), BinaryTrainingConfig(steps=1)


def network(own: BinaryTrainingConfig = TWO, task: str = "classification") -> BinaryNetwork:
    config = EncoderConfig(architecture="binary", depth=8, width=4)
    built = build_encoder(config, task, (1, 8, 8), 16, 3, seed=0)  # type: ignore[arg-type]
    assert isinstance(built, BinaryNetwork)
    return built.set_phase(first_phase(own))


def train_binary(folder: Path, own: BinaryTrainingConfig = TWO, task: str = "classification", **options) -> None:
    run(folder, task, CONFIG, encoder=network(own, task), course=binary_course(own, CONFIG), **options)


def test_the_phase_of_every_checkpoint(tmp_path: Path) -> None:
    train_binary(tmp_path / "two")
    phases = [load_encoder(tmp_path / "two", epoch, network()).phase for epoch in range(5)]
    assert phases == [Phase.SIGNS] * 3 + [Phase.BINARY] * 2, "epochs are those of the whole run"
    train_binary(tmp_path / "one", ONE)
    assert {load_encoder(tmp_path / "one", epoch, network(ONE)).phase for epoch in range(5)} == {Phase.BINARY}


def test_step_two_goes_on_from_the_weights_of_step_one_with_a_fresh_optimiser(tmp_path: Path) -> None:
    train_binary(tmp_path)
    before, after = (load_tensors(tmp_path / f"epoch_000{epoch}.pt") for epoch in (2, 3))
    name = "trunk.stages.1.0.product.weight"
    moved = (after["state_dict"][name] - before["state_dict"][name]).abs().max()
    assert 0 < moved < 0.01, "Adam moves a weight by about the learning rate a step, from where it was"
    steps = [state["optimizer"]["state"][0]["step"].item() for state in (before, after)]
    assert steps == [8, 4], "four steps an epoch"
    decays = [state["optimizer"]["param_groups"][0]["weight_decay"] for state in (before, after)]
    assert decays == [0.25, 0.0]


@pytest.mark.parametrize("moments", [(5,), (9, 6, 2)])
def test_an_interrupted_run_ends_with_the_same_bytes(tmp_path: Path, moments: tuple[int, ...]) -> None:
    class Killed(Exception):
        pass

    train_binary(tmp_path / "whole")
    for reports in moments:
        left = iter(range(reports))

        def stop(*_: object, left=left) -> None:
            if next(left, None) is None:
                raise Killed

        with pytest.raises(Killed):
            train_binary(tmp_path / "parts", progress=stop)
    train_binary(tmp_path / "parts")
    assert contents(tmp_path / "parts") == contents(tmp_path / "whole")


def test_a_lost_checkpoint_of_the_first_step_is_made_again(tmp_path: Path) -> None:
    train_binary(tmp_path)
    whole = contents(tmp_path)
    (tmp_path / "epoch_0002.pt").unlink()
    train_binary(tmp_path)
    assert contents(tmp_path) == whole


@pytest.mark.parametrize(("steps", "task"), [(1, "classification"), (2, "classification"), (2, "autoencoding")])
def test_it_learns(tmp_path: Path, steps: Literal[1, 2], task: str) -> None:
    config = TrainingConfig(epochs=6, batch_size=16, checkpoints=(), warmup_epochs=1)
    own = BinaryTrainingConfig(steps=steps, learning_rate=0.02)
    data = make_data(n_encoder=160)
    run(tmp_path, task, config, encoder=network(own, task), data=data, course=binary_course(own, config))
    rows = [row for row in csv.DictReader((tmp_path / "training.csv").open()) if row["split"] == "evaluation"]
    losses = [float(row["loss"]) for row in rows]
    assert losses[-1] < 0.75 * losses[0]


def test_each_step_has_a_schedule_of_its_own() -> None:
    course = binary_course(TWO, TrainingConfig(epochs=20, warmup_epochs=1))
    rates = [course.learning_rate(epoch) for epoch in (0.5, 1, 10, 10.5, 11, 20)]
    np.testing.assert_allclose(rates, [5e-4, 1e-3, 0, 5e-4, 1e-3, 0], atol=1e-12)
    half = TrainingConfig(epochs=10, learning_rate=1e-3, warmup_epochs=1)
    assert course.learning_rate(14.3) == pytest.approx(learning_rate(half, 4.3))


def test_shares_are_whole_epochs_and_each_step_has_one() -> None:
    def epochs(share: float, total: int) -> list[int]:
        own = BinaryTrainingConfig(first_share=share)
        return [step.epochs for step in binary_course(own, TrainingConfig(epochs=total)).steps]

    assert epochs(0.5, 20) == [10, 10]
    assert epochs(0.01, 5) == [1, 4]
    assert epochs(0.99, 5) == [4, 1]
    with pytest.raises(UserError, match=r"training\.epochs is 1"):
        binary_course(TWO, TrainingConfig(epochs=1))
    assert len(binary_course(ONE, TrainingConfig(epochs=1)).steps) == 1


def test_the_steps_of_a_course_fill_the_run() -> None:
    with pytest.raises(ValueError, match="are not 4"):
        Course(CONFIG, (Step(3, "sgd", 0.1, 0.0),))


def test_distillation_is_the_divergence_from_the_teacher() -> None:
    teacher, student = network().set_phase(Phase.REAL), network(ONE)
    images = torch.randint(16, (5, 1, 8, 8), dtype=torch.uint8)
    logits, loss = student(images), torch.tensor(2.0)
    mixed = Distillation(teacher, share=0.25, temperature=3.0).mixed(loss, logits, images)
    assert not teacher.training
    assert not any(parameter.requires_grad for parameter in teacher.parameters())
    p, q = F.softmax(teacher(images).double() / 3, 1), F.softmax(logits.double() / 3, 1)
    expected = 0.75 * 2.0 + 0.25 * 9 * (p * (p / q).log()).sum(1).mean()
    torch.testing.assert_close(mixed.double(), expected)
    same = Distillation(student, share=1.0, temperature=1.0)
    assert same.mixed(loss, student(images), images).item() == pytest.approx(0, abs=1e-6)


def test_the_teacher_is_heeded_and_left_alone(tmp_path: Path) -> None:
    teacher = network().set_phase(Phase.REAL).eval()
    kept = {name: value.clone() for name, value in teacher.state_dict().items()}
    course = binary_course(TWO, CONFIG, Distillation(teacher, 0.9, 1.0))
    run(tmp_path / "taught", config=CONFIG, encoder=network(), course=course)
    train_binary(tmp_path / "alone")
    assert all(torch.equal(value, kept[name]) for name, value in teacher.state_dict().items())
    taught, alone = contents(tmp_path / "taught"), contents(tmp_path / "alone")
    assert taught["epoch_0000.pt"] == alone["epoch_0000.pt"]
    assert taught["epoch_0001.pt"] != alone["epoch_0001.pt"]


def test_divergence_names_the_rate_of_the_binary_training(tmp_path: Path) -> None:
    own = BinaryTrainingConfig(learning_rate=1e30)
    with pytest.raises(UserError, match=r"lower binary_training\.learning_rate \(now 1e\+30\)"):
        run(tmp_path, config=CONFIG, encoder=network(own), course=binary_course(own, CONFIG))


@pytest.mark.parametrize(
    ("own", "words"),
    [
        ({"steps": 3}, "steps is 3"),
        ({"first_share": 1.0}, "first_share is 1.0"),
        ({"first_share": 0.0}, "first_share is 0.0"),
        ({"teacher_share": 1.5}, "teacher_share is 1.5"),
        ({"learning_rate": 0.0}, "learning_rate is 0.0"),
        ({"temperature": float("nan")}, "temperature is nan"),
        ({"weight_decay_real": -1.0}, "weight_decay_real is -1.0"),
    ],
)
def test_mistakes_are_one_sentence(own: dict[str, float], words: str) -> None:
    with pytest.raises(UserError, match=f"binary_training.{words}"):
        BinaryTrainingConfig(**own)  # type: ignore[arg-type]
