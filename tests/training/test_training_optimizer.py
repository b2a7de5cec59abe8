"""What L2 pulls at: parameters to zero, and an identity within a weight not at all."""

from __future__ import annotations

from typing import Literal

import pytest
import torch
from torch import nn
from training_toys import make_data, run

from ib_analysis.encoders import EncoderConfig, build_encoder, decay_origins
from ib_analysis.encoders.generalized_layer import FourConvolutions, OneConvolution, partial_identity
from ib_analysis.training import TrainingConfig, load_encoder
from ib_analysis.training.course import Course, Step, ordinary_course

DECAY = TrainingConfig(weight_decay=0.5, learning_rate=0.5, momentum=0.5)


def joined(four: FourConvolutions) -> torch.Tensor:
    residual = torch.cat([four.residual_to_residual.weight, four.transient_to_residual.weight], dim=1)
    transient = torch.cat([four.residual_to_transient.weight, four.transient_to_transient.weight], dim=1)
    learned = torch.cat([residual, transient])
    return learned + partial_identity(learned.shape[1], learned.shape[0]).to(learned)


def decayed(
    network: nn.Module, steps: int = 100, kind: Literal["sgd", "adam"] = "sgd", rate: float = DECAY.learning_rate
) -> nn.Module:
    """A network after steps on a loss that does not depend on it: what L2 alone makes of it."""
    optimizer = Course(DECAY, (Step(DECAY.epochs, kind, DECAY.learning_rate, DECAY.weight_decay),)).optimizer(
        network, 0
    )
    for _ in range(steps):
        for parameter in network.parameters():
            parameter.grad = torch.zeros_like(parameter)
        optimizer.step()
    return network


def test_l2_leaves_the_identity_unshrunk_and_shrinks_all_else() -> None:
    layer = OneConvolution(8, 12, 2)
    nn.init.normal_(layer.weight)
    layer.finish_initialisation()
    torch.testing.assert_close(decayed(layer).weight, partial_identity(8, 12), rtol=0, atol=1e-5)


def test_adam_leaves_the_identity_unshrunk_too() -> None:
    layer = OneConvolution(4, 4, 1)
    nn.init.normal_(layer.weight)
    layer.finish_initialisation()
    decayed(layer, 1000, "adam", 0.01)
    torch.testing.assert_close(layer.weight, partial_identity(4, 4), rtol=0, atol=0.05)


def test_it_is_found_wherever_it_lies_and_others_decay_to_zero() -> None:
    network = nn.Sequential(nn.Conv2d(2, 4, 3), nn.Sequential(OneConvolution(4, 4, 1), nn.BatchNorm2d(4)))
    assert list(decay_origins(network)) == ["1.0.weight"]
    decayed(network)
    torch.testing.assert_close(network[1][0].weight, partial_identity(4, 4), rtol=0, atol=1e-5)
    torch.testing.assert_close(network[0].weight, torch.zeros_like(network[0].weight), rtol=0, atol=1e-5)
    assert torch.equal(network[1][1].weight, torch.ones(4)), "batch normalisation does not decay"


def test_a_plain_convolution_with_the_same_weights_loses_its_identity() -> None:
    """What would happen without the loop's knowing of it."""
    layer = nn.Conv2d(8, 8, 3, bias=False)
    with torch.no_grad():
        layer.weight.copy_(partial_identity(8, 8))
    assert decayed(layer).weight.abs().max() < 1e-5


def test_a_frozen_weight_is_left_alone() -> None:
    layer = OneConvolution(4, 4, 1)
    layer.weight.requires_grad_(False)
    before = layer.weight.clone()
    ordinary_course(DECAY).optimizer(nn.Sequential(layer, nn.Conv2d(4, 1, 1)), 0)
    assert torch.equal(layer.weight, before)


@pytest.mark.parametrize("block", ["resnet_init", "rir"])
def test_both_forms_are_the_same_network_after_training(tmp_path, block) -> None:
    """Through the training loop, with an L2 that matters: shrinking the identity would drive them apart."""

    def build(form: str) -> nn.Module:
        config = EncoderConfig("rir", depth=8, width=4, block=block, form=form)  # type: ignore[arg-type]
        return build_encoder(config, "classification", (1, 8, 8), 16, 3, seed=0)

    four, one = build("four_convolutions"), build("one_convolution")
    theirs = dict(four.named_modules())

    def differences() -> list[float]:
        found = []
        for name, module in one.named_modules():
            if isinstance(module, OneConvolution):
                found.append(float((module.weight - joined(theirs[name])).detach().abs().max()))  # type: ignore[arg-type]
        return found

    with torch.no_grad():
        for name, module in one.named_modules():
            if isinstance(module, OneConvolution):
                module.weight.copy_(joined(theirs[name]))  # type: ignore[arg-type]
            elif isinstance(module, nn.Conv2d | nn.BatchNorm2d):
                module.load_state_dict(theirs[name].state_dict())
    config = TrainingConfig(epochs=2, batch_size=16, learning_rate=0.02, weight_decay=0.5, checkpoints=())
    start = [parameter.detach().clone() for parameter in one.parameters()]
    for name, network in (("four", four), ("one", one)):
        run(tmp_path / name, config=config, data=make_data(augment=False), encoder=network.double())
        load_encoder(tmp_path / name, 2, network)
    assert len(differences()) == 6
    assert max(differences()) < 1e-6  # the loss, and so its gradient, is float32
    moved = max(float((p - q).detach().abs().max()) for p, q in zip(one.parameters(), start, strict=True))
    assert moved > 0.01
