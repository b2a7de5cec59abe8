"""Networks that classify and reconstruct: their losses, the weights of gradients, and what a killed run leaves."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch.nn import functional as F
from training_toys import contents, make_data, make_encoder, run

from ib_analysis.artifacts import UserError, load_tensors
from ib_analysis.encoders import EncoderConfig, JointOutput, build_encoder
from ib_analysis.quantization import CodedTaps, code_taps, quantize
from ib_analysis.training import JointConfig, TradeOff, TrainingConfig, ordinary_course
from ib_analysis.training.history import holds_history
from ib_analysis.training.joint_step import JointStep, JointWeights
from ib_analysis.training.objectives import Joint, objective_for

SHORT = TrainingConfig(epochs=3, batch_size=16, learning_rate=0.05, checkpoints=(0, 1), warmup_epochs=1)
EXACT, LINEAR, LIMIT = TradeOff("exact", (2, 1)), TradeOff("linear", (2, 1)), TradeOff("limit", (0.8,))


def trained(folder, trade_off, config=SHORT, joint=None, **options):
    course = ordinary_course(config, trade_off, joint or JointConfig())
    return run(folder, "joint", config=config, course=course, recipe={"task": trade_off.name}, **options)


# ------------------------------------------------------------------------------------------------ names and settings

numbers = st.integers(1, 999_999).map(lambda n: n / 1000)


@given(st.sampled_from(["exact", "linear"]), numbers, numbers)
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_names_of_trade_offs_come_back(kind, first, second):
    for wish in (TradeOff(kind, (first, second)), TradeOff("limit", (first,))):
        assert TradeOff.parse(wish.name) == wish
        assert "_" not in wish.name  # it is a part of a run's name


@pytest.mark.parametrize("name", ["", "1", "1-2-3", "limit-1-2", "exact-1-2", "linear-1", "1--2", "a-b"])
def test_other_names_are_none(name):
    with pytest.raises(ValueError, match="not the name of a trade-off"):
        TradeOff.parse(name)


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"preferences": ((1, 0),)}, "above 0"),
        ({"preferences": ((1, 2, 3),)}, "pairs of numbers"),
        ({"preferences": ((1, 2), (2, 4))}, "give each once"),
        ({"preferences": ((1, 1e-7),)}, "at most six digits"),
        ({"preferences": ((1, 1 / 3),)}, "at most six digits"),
        ({"reconstruction_limits": (0.0,)}, "above 0"),
        ({"weightings": ("sum",)}, "choose from exact, linear"),
        ({"weightings": ()}, "choose from exact, linear"),
        ({"average": 1.0}, "below 1"),
        ({"tolerance": 0.0}, "greater than 0"),
        ({"restoration": -1.0}, "greater than 0"),
    ],
)
def test_settings_that_cannot_work_are_refused(fields, sentence):
    with pytest.raises(UserError, match=sentence):
        JointConfig(**fields)


# ------------------------------------------------------------------------------------------------ network and losses


def test_the_trunk_starts_as_the_classifiers_of_its_seed():
    joint, classifier = (build_encoder(EncoderConfig(depth=8, width=4), task, (1, 8, 8), 16, 3, 5)
                         for task in ("joint", "classification"))  # fmt: skip
    theirs = dict(classifier.trunk.named_parameters())
    for name, values in joint.trunk.named_parameters():
        assert torch.equal(values, theirs[name]), name
    assert sum(p.numel() for p in joint.head.parameters()) == sum(p.numel() for p in classifier.head.parameters())


def test_both_losses_are_one_for_whoever_knows_no_image():
    """The best constants: the frequencies of the labels, and the pixels' mean."""
    data = make_data()
    objective = objective_for("joint", data, EXACT)
    images, labels = torch.as_tensor(data.encoder.images), torch.as_tensor(data.encoder.labels)
    shares = torch.bincount(labels) / len(labels)
    guess = JointOutput(shares.log().expand(len(labels), -1), (images.float() / 15).mean().expand(images.shape))
    losses = objective.losses(objective.scores(guess, images, labels).double().mean(0))
    assert losses.tolist() == pytest.approx([1.0, 1.0], abs=1e-5)
    perfect = JointOutput(50.0 * F.one_hot(labels, 3), images.float() / 15)
    assert objective.losses(objective.scores(perfect, images, labels).mean(0)).tolist() == pytest.approx(
        [0, 0], abs=1e-9
    )


def test_what_is_reported_is_what_a_naive_account_finds():
    data = make_data()
    objective = objective_for("joint", data, TradeOff("exact", (3, 1)))
    rng = np.random.default_rng(0)
    logits, image = rng.normal(size=(10, 3)), rng.random((10, 1, 8, 8))
    images, labels = data.encoder.images[:10], data.encoder.labels[:10]
    output = JointOutput(torch.tensor(logits, dtype=torch.float32), torch.tensor(image, dtype=torch.float32))
    means = objective.scores(output, torch.as_tensor(images), torch.as_tensor(labels)).double().mean(0).tolist()
    found = objective.report(means)
    chances = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    entropy = -sum(s * math.log(s) for s in np.bincount(data.encoder.labels) / len(data.encoder.labels))
    classification = -np.log(chances[range(10), labels]).mean() / entropy
    squared = ((images / 15 - image) ** 2).mean()
    reconstruction = squared / (data.encoder.images / 15).var()
    assert found["classification_loss"] == pytest.approx(classification, rel=1e-5)
    assert found["reconstruction_loss"] == pytest.approx(reconstruction, rel=1e-5)
    assert found["loss"] == pytest.approx(max(0.75 * classification, 0.25 * reconstruction), rel=1e-5)
    assert found["psnr_db"] == pytest.approx(-10 * math.log10(squared), rel=1e-5)
    assert found["accuracy"] == (logits.argmax(1) == labels).mean()


def test_one_class_is_refused():
    with pytest.raises(UserError, match="two classes"):
        Joint(objective_for("autoencoding", make_data()), 0.0, EXACT)


# ------------------------------------------------------------------------------------------------ weights of a step

positive = st.floats(0.01, 10)


@given(positive, positive, st.floats(0.1, 10), st.floats(0.1, 10), st.floats(-0.99, 0.99))
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_the_larger_weighted_loss_never_rises(first, second, length, other, cosine):
    """Of exact Pareto optimal search: the rate at which it falls along the trunk's direction is (C alpha)_j >= 0."""
    gramian = np.array([[length**2, length * other * cosine], [length * other * cosine, other**2]])
    weights = JointWeights(EXACT, JointConfig(average=0.0))(np.array([first, second]), gramian)
    assert weights.sum() == pytest.approx(2.0)
    largest = int(second > 2 * first)
    assert (gramian @ weights)[largest] >= -1e-9 * gramian.max()


def test_linear_weights_are_the_preference():
    weights = JointWeights(LINEAR, JointConfig())
    assert weights(np.array([0.1, 3.0]), np.eye(2)) == pytest.approx([4 / 3, 2 / 3])


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        (0.5, [2.0, 0.0]),  # within the limit, and the gradients agree: the constraint asks for nothing
        (0.9, [2 / 1.4, 2 * 0.4 / 1.4]),  # rate asked for: 5 (0.9 - 0.8) = 0.5 = g2.g1 + nu g2.g2 with g2.g1 = 0.1
        (100.0, [2 / (1 + 495.9), 2 * 495.9 / (1 + 495.9)]),
    ],
)
def test_weights_of_a_limit_fall_as_fast_as_the_excess_asks(loss, expected):
    weights = JointWeights(LIMIT, JointConfig(average=0.0, restoration=5.0))(
        np.array([1.0, loss]), np.array([[1.0, 0.1], [0.1, 1.0]])
    )
    assert weights == pytest.approx(expected, rel=1e-6)


def test_losses_and_gram_matrices_are_averaged_and_kept():
    weights = JointWeights(EXACT, JointConfig(average=0.75))
    rng = np.random.default_rng(0)
    losses, roots = rng.random((3, 2)) + 0.1, rng.normal(size=(3, 2, 5))
    for step in range(3):
        weights(losses[step], roots[step] @ roots[step].T)
    mean = 0.75 * (0.75 * losses[0] + 0.25 * losses[1]) + 0.25 * losses[2]
    assert weights.losses.tolist() == pytest.approx(mean.tolist())
    other = JointWeights(EXACT, JointConfig(average=0.75))
    other.load_state_dict(weights.state_dict())
    new = np.array([0.3, 0.2]), np.array([[2.0, -0.5], [-0.5, 1.0]])
    assert other(*new).tolist() == weights(*new).tolist()
    assert other.search.balance_steps == weights.search.balance_steps > 0


def test_a_batch_without_loss_is_weighed_and_a_broken_one_refused():
    weights = JointWeights(EXACT, JointConfig())
    assert np.isfinite(weights(np.array([0.0, 1.0]), np.eye(2))).all()
    with pytest.raises(ArithmeticError, match="not finite"):
        weights(np.array([1.0, 1.0]), np.full((2, 2), np.nan))


@pytest.mark.parametrize("trade_off", [EXACT, LINEAR, LIMIT])
def test_gradients_are_those_of_separate_passes(trade_off):
    """Trunk: the weighted sum of both gradients; heads: their own. Against autograd on losses written out anew."""
    network = make_encoder("joint").train()
    data = make_data()
    objective = objective_for("joint", data, trade_off)
    images, labels = torch.as_tensor(data.encoder.images[:16]), torch.as_tensor(data.encoder.labels[:16])
    trunk, heads = [*network.trunk.parameters()], ([*network.head.parameters()], [*network.mirror.parameters()])
    weights = JointWeights(trade_off, JointConfig())
    step = JointStep(trunk, heads, weights)
    losses = objective.losses(objective.scores(network(images), images, labels).mean(0))
    step.backward(losses)
    found = {name: parameter.grad.clone() for name, parameter in network.named_parameters()}

    entropy, variance = objective.label_entropy, objective.autoencoding.variance

    def separate(index):
        network.zero_grad()
        logits, image = network(images)
        [F.cross_entropy(logits, labels) / entropy, F.mse_loss(image, images / 15) / variance][index].backward()
        return {n: None if p.grad is None else p.grad.clone() for n, p in network.named_parameters()}

    gradients = [separate(0), separate(1)]
    first = step.first_weights[0]
    for name, values in found.items():
        if name.startswith("trunk"):
            wanted = 2 * first * gradients[0][name] + 2 * (1 - first) * gradients[1][name]
        else:
            wanted = gradients[0 if name.startswith("head") else 1][name]
        assert torch.allclose(values, wanted, rtol=1e-3, atol=1e-5), name


@pytest.mark.parametrize(
    ("second", "expected"),
    [((1.0, 0.0), 1.0), ((-1.0, 0.0), 0.0), ((0.0, 1.0), 0.5**0.5), ((-0.25, 0.0), 0.0), ((0.0, 0.0), 0.0)],
)
def test_how_far_the_trunks_gradients_cancel_is_kept(second, expected):
    """The shortest vector of the hull of (1, 0) and another, by geometry."""
    trunk, heads = torch.zeros(2, requires_grad=True), [torch.ones(1, requires_grad=True) for _ in range(2)]
    step = JointStep([trunk], [[head] for head in heads], JointWeights(EXACT, JointConfig()))
    step.backward(torch.stack([trunk[0] + heads[0].sum(), trunk @ torch.tensor(second) + heads[1].sum()]))
    assert step.stationarities == pytest.approx([expected], abs=1e-6)


def test_a_history_of_before_the_stationarity_is_whole(tmp_path):
    path = tmp_path / "training.csv"
    header = "epoch,split,loss,accuracy,psnr_db,classification_loss,reconstruction_loss,classification_weight,fallbacks"
    path.write_text(f"{header}\n1,train,1,1,1,1,1,1,0\n1,evaluation,1,1,1,1,1,,\n")
    assert holds_history(path, 1)
    assert not holds_history(path, 2)


def test_a_head_whose_gradient_is_not_finite_is_refused():
    trunk, heads = torch.ones(2, requires_grad=True), [torch.zeros(1, requires_grad=True) for _ in range(2)]
    step = JointStep([trunk], [[head] for head in heads], JointWeights(EXACT, JointConfig()))
    losses = torch.stack([trunk.square().sum() + heads[0].sqrt().sum(), trunk.sum() + heads[1].sum()])
    with pytest.raises(ArithmeticError, match="gradient is not finite"):
        step.backward(losses)
    assert heads[0].grad is None


# ------------------------------------------------------------------------------------------------ whole runs


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    found = {}
    for wish in (EXACT, LIMIT):
        folder = tmp_path_factory.mktemp(wish.name)
        trained(folder, wish)
        found[wish] = contents(folder)
        assert (
            (folder / "training.csv")
            .read_text()
            .splitlines()[0]
            .endswith("classification_weight,fallbacks,stationarity")
        )
    return found


class Killed(Exception):
    pass


@pytest.mark.parametrize("trade_off", [EXACT, LIMIT])
@pytest.mark.parametrize("moments", [(5,), (6, 5)])
def test_an_interrupted_run_ends_with_the_same_bytes(tmp_path, whole, trade_off, moments):
    for reports in moments:
        left = iter(range(reports))

        def stop(*news, left=left):
            if next(left, None) is None:
                raise Killed

        with pytest.raises(Killed):
            trained(tmp_path, trade_off, progress=stop)
    state = load_tensors(tmp_path / "resume.pt")["joint"]
    assert state["losses"].isfinite().all()  # what the weights know goes with the run
    trained(tmp_path, trade_off)
    assert contents(tmp_path) == whole[trade_off]


def test_without_the_kept_average_the_numbers_would_be_others(tmp_path, whole):
    """The control of the test above: a run that forgets the state of its weights ends elsewhere."""
    trained(tmp_path, EXACT, joint=JointConfig(average=0.0))
    assert contents(tmp_path)["epoch_0003.pt"] != whole[EXACT]["epoch_0003.pt"]


def test_more_weight_on_a_task_makes_its_loss_smaller(tmp_path):
    """Both ends of a front on a toy."""
    config = TrainingConfig(epochs=6, batch_size=25, learning_rate=0.05, checkpoints=(), warmup_epochs=1)
    data = make_data(n_encoder=200)
    losses = {}
    for name in ("20-1", "1-20"):
        trained(tmp_path / name, TradeOff.parse(name), config, data=data)
        row = load_tensors(tmp_path / name / "epoch_0006.pt")["history"][-2]
        losses[name] = row["classification_loss"], row["reconstruction_loss"]
    assert losses["20-1"][0] < losses["1-20"][0]
    assert losses["20-1"][1] > losses["1-20"][1]


def test_half_precision_with_a_scale_is_refused(tmp_path):
    class Scaled:
        num_processes, scaler, device = 1, object(), "cpu"

    from ib_analysis.training.joint_step import joint_step

    with pytest.raises(UserError, match="not in float16"):
        joint_step(make_encoder("joint"), EXACT, JointConfig(), Scaled())  # type: ignore[arg-type]


def test_a_task_without_trade_off_is_a_mistake_of_the_program():
    with pytest.raises(ValueError, match="needs a trade-off"):
        objective_for("joint", make_data())


def test_quantized_networks_have_codes_at_their_taps(tmp_path):
    """Formats are swapped into trunk, head and mirror alike; brackets then find codes at the ends of stages."""
    network = build_encoder(EncoderConfig(depth=8, width=4, shortcut="B"), "joint", (1, 8, 8), 16, 3, 0)
    quantize(network, "w4a4_ends8", (1, 8, 8), start=4)
    config = TrainingConfig(epochs=2, batch_size=16, learning_rate=0.05, checkpoints=(), warmup_epochs=1)
    trained(tmp_path, EXACT, config, encoder=network)
    codes = code_taps(network, (1, 8, 8))
    assert {"h1", "h2"} <= set(codes)
    coded = CodedTaps(network, (1, 8, 8)).eval()
    taps = coded.taps(torch.as_tensor(make_data().evaluation.images[:4]))
    assert torch.equal(taps["h1"], taps["h1"].round())
    assert taps["h1"].unique().numel() > 1
