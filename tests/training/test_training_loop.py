import csv
import math
import socket

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from torch import nn
from training_toys import CONFIG, contents, data_parallel, make_data, make_encoder, make_linear, run

from ib_analysis.artifacts import UserError, load_tensors
from ib_analysis.encoders import EncoderConfig, build_encoder
from ib_analysis.training import (
    Batches,
    TrainingConfig,
    checkpoint_artifact,
    learning_rate,
    load_encoder,
    make_accelerator,
)


def table(folder):
    with (folder / "training.csv").open() as file:
        return list(csv.DictReader(file))


def test_steps_agree_with_nesterov_momentum_written_out(tmp_path):
    """Sutskever et al. 2013 in the form of torch.optim.SGD: v = m v + g; w -= lr (g + m v)."""
    data = make_data(augment=False)
    config = TrainingConfig(epochs=2, batch_size=16, learning_rate=0.1, weight_decay=0.01, warmup_epochs=0.3)
    run(tmp_path, config=config, data=data, encoder=make_linear())
    linear = make_linear().network[1]
    weight, bias = (tensor.detach().double().requires_grad_() for tensor in (linear.weight, linear.bias))
    velocity = [torch.zeros_like(weight), torch.zeros_like(bias)]
    batches = Batches(
        torch.from_numpy(data.encoder.images),
        torch.from_numpy(data.encoder.labels),
        batch_size=16,
        seed=3,
        augment=False,
    )
    for epoch in range(2):
        for step in range(4):
            images, labels = batches.batch(epoch, step)
            loss = F.cross_entropy(F.linear(images.flatten(1).double() / 15, weight, bias), labels)
            gradients = list(torch.autograd.grad(loss, (weight, bias)))
            gradients[0] = gradients[0] + 0.01 * weight.detach()  # biases do not decay
            rate = learning_rate(config, epoch + (step + 1) / 4)
            with torch.no_grad():
                for index, parameter in enumerate((weight, bias)):
                    velocity[index] = 0.9 * velocity[index] + gradients[index]
                    parameter -= rate * (gradients[index] + 0.9 * velocity[index])
    found = load_encoder(tmp_path, 2, make_linear()).network[1]
    torch.testing.assert_close(found.weight.double(), weight.detach(), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(found.bias.double(), bias.detach(), rtol=1e-5, atol=1e-6)


def test_classification_learns_and_reports(tmp_path):
    assert run(tmp_path) == [0, 1, 3, 5]
    rows = table(tmp_path)
    assert [(int(row["epoch"]), row["split"]) for row in rows] == [
        (epoch, split) for epoch in range(6) for split in ("train", "evaluation")
    ]
    assert tuple(rows[0]) == ("epoch", "split", "loss", "accuracy", "psnr_db")
    assert {row["psnr_db"] for row in rows} == {""}
    assert float(rows[-1]["accuracy"]) > 0.9
    assert float(rows[-2]["loss"]) < 0.5 * float(rows[0]["loss"])


def test_autoencoding_learns_and_reports(tmp_path):
    config = TrainingConfig(epochs=8, batch_size=8, checkpoints=(0,))
    run(tmp_path, "autoencoding", config=config, data=make_data(n_encoder=120))
    rows = table(tmp_path)
    assert {row["accuracy"] for row in rows} == {""}
    for row in rows:
        assert float(row["psnr_db"]) == pytest.approx(-10 * math.log10(float(row["loss"])))
    assert float(rows[-1]["psnr_db"]) > float(rows[1]["psnr_db"]) + 3


@pytest.mark.parametrize("task", ["classification", "autoencoding"])
def test_the_report_is_what_a_kept_encoder_gives(tmp_path, task):
    data = make_data()
    run(tmp_path, task, data=data)
    images, labels = torch.from_numpy(data.evaluation.images), torch.from_numpy(data.evaluation.labels)
    rows = {(int(row["epoch"]), row["split"]): row for row in table(tmp_path)}
    for epoch in (0, 1, 3, 5):
        with torch.no_grad():
            output = load_encoder(tmp_path, epoch, make_encoder(task))(images)
        row = rows[epoch, "evaluation"]
        if task == "classification":
            assert float(row["loss"]) == pytest.approx(F.cross_entropy(output, labels).item(), rel=1e-5)
            assert float(row["accuracy"]) == pytest.approx((output.argmax(1) == labels).float().mean().item())
        else:
            assert float(row["loss"]) == pytest.approx((output - images / 15).square().mean().item(), rel=1e-5)


def test_a_checkpoint_carries_config_and_optimizer(tmp_path):
    data = make_data()
    run(tmp_path, data=data)
    kept = load_tensors(tmp_path / "epoch_0003.pt")
    assert kept["epoch"] == 3
    assert kept["config"]["config"] == {"task": "classification", "width": 4}
    assert kept["config"]["seed"] == 3
    momenta = [state["momentum_buffer"] for state in kept["optimizer"]["state"].values()]
    assert len(momenta) == len(list(make_encoder().parameters()))
    assert all(momentum.abs().sum() > 0 for momentum in momenta)
    artifact = checkpoint_artifact(
        tmp_path, 3, recipe={"task": "classification", "width": 4}, data_sha256=data.sha256, seed=3
    )
    assert artifact.status() == "complete"


def test_epoch_0_is_the_initialisation(tmp_path):
    data = make_data()
    run(tmp_path, data=data)
    kept, fresh = load_encoder(tmp_path, 0, make_encoder()), make_encoder()
    for (name, found), expected in zip(kept.named_parameters(), fresh.parameters(), strict=True):
        assert torch.equal(found, expected), name
    scaled = data.encoder.images / 15
    assert kept.normalisation.mean.item() == pytest.approx(scaled.mean())
    assert kept.normalisation.std.item() == pytest.approx(scaled.std())


def test_fresh_batch_normalisation_takes_its_statistics_from_the_images(tmp_path):
    data = make_data(n_encoder=64, augment=False)
    run(tmp_path, data=data)
    kept = load_encoder(tmp_path, 0, make_encoder())
    first = kept.trunk.stem[0](kept.normalisation(torch.from_numpy(data.encoder.images))).detach()
    torch.testing.assert_close(kept.trunk.stem[1].running_mean, first.mean((0, 2, 3)), rtol=1e-4, atol=1e-5)
    assert kept.trunk.stem[1].num_batches_tracked == 0
    assert kept.trunk.stem[1].momentum == 0.1


def test_deep_networks_stay_in_the_range_of_float16_at_epoch_0(tmp_path):
    def deep():
        return build_encoder(EncoderConfig(depth=110, width=8), "classification", (1, 8, 8), 16, 3, 0)

    images = torch.from_numpy(make_data().evaluation.images)
    config = TrainingConfig(epochs=1, checkpoints=(0,), batch_size=30)
    run(tmp_path, encoder=deep(), config=config, data=make_data(n_encoder=30))
    with torch.no_grad():
        assert deep().eval().taps(images)["h3"].abs().max() > 65504, "what would happen without calibration"
        assert load_encoder(tmp_path, 0, deep()).taps(images)["h3"].abs().max() < 65504


def test_the_seed_changes_the_order_of_images(tmp_path):
    run(tmp_path / "a")
    run(tmp_path / "b", seed=4)
    weights = [load_encoder(tmp_path / name, 5, make_encoder()).head.weight for name in "ab"]
    assert not torch.equal(*weights)


def test_nothing_is_selected_on_the_evaluation_split(tmp_path):
    run(tmp_path / "a", data=make_data())
    data = make_data()
    data.evaluation.images[:] = 0
    run(tmp_path / "b", data=data)
    first, second = (load_encoder(tmp_path / name, 5, make_encoder()).state_dict() for name in "ab")
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_progress_shows_what_matters(tmp_path):
    reports = []
    run(tmp_path, progress=lambda *news: reports.append(news))
    done = [report[0] for report in reports]
    assert done == sorted(done)
    assert reports[-1][:2] == (20, 20)
    assert set(reports[-1][2]) == {"epoch", "loss", "accuracy", "held_out"}
    assert reports[-1][2]["held_out"] == pytest.approx(float(table(tmp_path)[-1]["accuracy"]))


def test_divergence_is_explained_and_nothing_of_it_is_kept(tmp_path):
    config = TrainingConfig(epochs=5, batch_size=16, learning_rate=1e30, checkpoints=(0, 1, 3))
    with pytest.raises(UserError, match=r"lower training.learning_rate \(now 1e\+30\)"):
        run(tmp_path, config=config)
    for path in tmp_path.glob("*.pt"):
        state = load_tensors(path)["state_dict"]
        assert all(bool(value.isfinite().all()) for value in state.values()), path


def test_weights_of_another_network_are_refused(tmp_path):
    run(tmp_path)
    other = build_encoder(EncoderConfig(depth=14, width=4), "classification", (1, 8, 8), 16, 3, 0)
    with pytest.raises(UserError, match="another network"):
        load_encoder(tmp_path, 5, other)
    with pytest.raises(UserError, match="missing"):
        load_encoder(tmp_path, 4, make_encoder())


def test_the_callers_random_state_does_not_matter(tmp_path):
    torch.manual_seed(1)
    np.random.seed(1)  # noqa: NPY002 - the global state is what is tested
    run(tmp_path / "a")
    torch.manual_seed(2)
    np.random.seed(2)  # noqa: NPY002
    run(tmp_path / "b")
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_mixed_precision_trains_float32_weights_and_leaves_the_network_as_it_was(tmp_path):
    """On a GPU this is the default; here the same code runs with bfloat16 on the CPU."""
    AcceleratorState._reset_state()
    try:
        encoder = make_encoder()
        run(tmp_path / "mixed", encoder=encoder, accelerator=Accelerator(mixed_precision="bf16", cpu=True))
        assert "forward" not in encoder.__dict__
        kept = load_encoder(tmp_path / "mixed", 5, make_encoder())
        assert {value.dtype for value in kept.parameters()} == {torch.float32}
        images = torch.from_numpy(make_data().evaluation.images)
        assert torch.equal(encoder.eval()(images), kept(images))
        assert float(table(tmp_path / "mixed")[-1]["accuracy"]) > 0.9
        # Accelerate's state of the process is now bfloat16: the next run must not inherit it.
        assert make_accelerator(CONFIG).mixed_precision == "no"
    finally:
        AcceleratorState._reset_state()
    run(tmp_path / "full")
    full = load_encoder(tmp_path / "full", 5, make_encoder())
    assert not torch.equal(kept.head.weight, full.head.weight)


@pytest.mark.slow
def test_two_processes_train_as_one(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    torch.multiprocessing.spawn(data_parallel, (port, tmp_path / "two"), nprocs=2)
    run(tmp_path / "one", data=make_data(n_encoder=64), encoder=make_linear())
    one, two = (load_encoder(tmp_path / name, 5, make_linear()).state_dict() for name in ("one", "two"))
    for name in one:
        torch.testing.assert_close(one[name], two[name], rtol=1e-4, atol=1e-6)
    for alone, parallel in zip(table(tmp_path / "one"), table(tmp_path / "two"), strict=True):
        assert float(alone["loss"]) == pytest.approx(float(parallel["loss"]), rel=1e-4)
        assert float(alone["accuracy"]) == pytest.approx(float(parallel["accuracy"]))


def test_frozen_parameters_stay(tmp_path):
    network = make_linear()
    network.network[1].bias.requires_grad_(False)
    before = network.network[1].bias.clone()
    run(tmp_path, encoder=network, config=CONFIG)
    kept = load_encoder(tmp_path, 5, make_linear()).network[1]
    assert torch.equal(kept.bias, before)
    assert not torch.equal(kept.weight, make_linear().network[1].weight)
    assert isinstance(kept, nn.Linear)
