"""Conditions beside each other add up; marked pixels are known under every condition."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from accelerate import Accelerator
from decoder_builders import CELLS, build, conditions

from decoders import Architecture, Cell, Condition, ImageSpace, Minibatch, PixelCNNPP, PixelCNNPPConfig
from decoders.code_lengths import code_lengths_bits
from decoders.conditioning import Conditioning
from decoders.fitting.batches import on_device, rows
from decoders.fitting.validation import validation_bits
from decoders.sampling.sample import sample_naive

IMAGE = ImageSpace(1, 8, 8, 8)
COINS = Cell("coins", "coins", (1, 8, 8))
BOTH = (*CELLS, COINS)


def with_coins(part: Condition) -> Condition:
    coins = torch.randint(2, (len(part.activations), 1, 8, 8)).double() * 2 - 1
    return replace(part, beside=(Condition(coins, "coins"),))


def test_what_is_read_from_conditions_beside_each_other_is_added() -> None:
    network = build(IMAGE, "categorical", BOTH).conditioning
    assert isinstance(network, Conditioning)
    plain = conditions(CELLS[1:2])[0]
    both = with_coins(plain)
    apart = network.read(plain) + network.read(both.beside[0])
    assert torch.allclose(network.read(both), apart, rtol=1e-12)
    twice = replace(both, beside=(*both.beside, conditions(CELLS[2:3])[0]))
    assert torch.allclose(network.read(twice), apart + network.read(twice.beside[1]), rtol=1e-12)


def test_a_minibatch_of_both_kinds_equals_its_parts_whole_cut_and_masked() -> None:
    decoder = build(IMAGE, "categorical", BOTH)
    parts = conditions(CELLS, each=2)
    mixed = (parts[0], with_coins(parts[0]), with_coins(parts[2]))
    x = torch.randint(8, (6, 1, 8, 8))
    together = decoder(mixed).log_prob(x)
    apart = torch.cat([decoder(part).log_prob(x[2 * n : 2 * n + 2]) for n, part in enumerate(mixed)])
    assert torch.allclose(together, apart, rtol=1e-12)
    minibatch = on_device(Minibatch(x, mixed), torch.device("cpu"))
    cut = rows(minibatch, 1, 5)
    assert [len(part.beside) for part in cut.condition or ()] == [0, 1, 1]
    assert torch.allclose(decoder(cut.condition).log_prob(cut.images), together[1:5], rtol=1e-12)
    mask = torch.tensor([True, False, True, False, True, False])
    wanted = torch.where(mask, decoder().log_prob(x), together)
    assert torch.allclose(decoder(mixed, mask).log_prob(x), wanted, rtol=1e-12)


def test_samples_under_both_are_exact() -> None:
    decoder = build(IMAGE, "categorical", BOTH)
    q = decoder(with_coins(conditions(CELLS)[0]))
    uniforms = torch.rand(2, 8, 8, decoder.output.n_uniforms, dtype=torch.float64)
    assert torch.equal(q.sample(uniforms=uniforms), sample_naive(q, uniforms=uniforms))


def test_validation_keeps_the_two_kinds_of_a_cell_apart() -> None:
    decoder = build(IMAGE, "categorical", BOTH)
    plain = conditions(CELLS)[0]
    mixed = (plain, with_coins(plain))
    minibatch = Minibatch(torch.randint(8, (4, 1, 8, 8)).byte(), mixed)
    found = validation_bits(decoder, [minibatch], Accelerator(cpu=True))
    bits = code_lengths_bits(decoder, [minibatch])
    assert found.cells == pytest.approx({"early/map": bits[:2].mean(), "early/map+coins": bits[2:].mean()})


def test_other_images_beside_are_refused() -> None:
    decoder = build(IMAGE, "categorical", BOTH)
    plain = conditions(CELLS)[0]
    with pytest.raises(ValueError, match=r"early/map\+coins.*3 images beside 2"):
        decoder(replace(plain, beside=(Condition(torch.zeros(3, 1, 8, 8).double(), "coins"),)))
    with pytest.raises(ValueError, match="unknown cell 'other'"):
        decoder(replace(plain, beside=(Condition(torch.zeros(2, 1, 8, 8).double(), "other"),)))


MARKED = (3, 12, 60)


def marked(cells: tuple[Cell, ...]) -> PixelCNNPP:
    torch.manual_seed(0)
    architecture = Architecture(blocks=1, filters=6, output="categorical", condition_filters=4)
    decoder = PixelCNNPP(PixelCNNPPConfig(IMAGE, architecture, cells, marked_pixels=MARKED)).double().eval()
    decoder.initialise(torch.randint(8, (16, 1, 8, 8)))
    return decoder


@pytest.mark.parametrize("cells", [(), CELLS], ids=["unconditional", "conditional"])
def test_marks_are_added_at_their_pixels_under_every_condition(cells: tuple[Cell, ...]) -> None:
    decoder = marked(cells)
    network = decoder.conditioning
    assert network is not None
    assert network.mark is not None
    marks = torch.zeros(4, 8, 8, dtype=torch.float64)
    for pixel in MARKED:
        marks[:, pixel // 8, pixel % 8] = network.mark.detach()
    choices: list = [(None, network.null.detach().view(1, -1, 1, 1).expand(1, -1, 8, 8))]
    if cells:
        parts = conditions(CELLS)
        choices.append((parts, network.read(parts)))
    for condition, features in choices:
        wanted = features + marks
        wanted = wanted + network.refine(torch.nn.functional.elu(wanted))
        assert torch.allclose(network(condition, None)[0], wanted, rtol=1e-12)
    x = torch.randint(8, (2, 1, 8, 8))
    decoder().log_prob(x).sum().backward()
    assert network.mark.grad is not None
    assert network.mark.grad.abs().sum() > 0


def test_an_unconditional_decoder_with_marks_still_takes_no_condition() -> None:
    decoder = marked(())
    assert decoder(batch_size=3).sample().shape == (3, 1, 8, 8)
    with pytest.raises(ValueError, match="has no cells"):
        decoder(torch.zeros(2, 3))


def test_marks_outside_the_image_are_refused_and_none_change_nothing() -> None:
    with pytest.raises(ValueError, match="marked_pixels must be 0 to 63"):
        PixelCNNPPConfig(IMAGE, marked_pixels=(64,))
    torch.manual_seed(0)
    names = set(PixelCNNPP(PixelCNNPPConfig(IMAGE, Architecture(blocks=1, filters=6), CELLS)).state_dict())
    assert not any("mark" in name for name in names)
