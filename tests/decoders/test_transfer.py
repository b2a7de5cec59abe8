"""A warm start: the decoder of one cell that goes on from a decoder of several has exactly its code lengths."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from decoder_builders import CELLS, build, conditions
from reader_builders import fitted_reader

from decoders import Cell, ImageSpace, PixelCNNPP, Reader
from decoders.transfer import take_weights, weights_of_cells

IMAGE = ImageSpace(1, 4, 4, 4)


def several(**options: object) -> PixelCNNPP:
    decoder = build(IMAGE, "categorical", CELLS, seed=1, **options)
    for index, cell in enumerate(CELLS):
        decoder.standardise(cell.name, *statistics(cell, index))
    return decoder


def statistics(cell: Cell, index: int) -> tuple[torch.Tensor, torch.Tensor]:
    channels = cell.shape[0]
    mean = torch.linspace(-1, 1, channels, dtype=torch.float64) + index
    return mean, torch.full((channels,), 0.5 + index, dtype=torch.float64)


@pytest.mark.parametrize("index", range(len(CELLS)), ids=[cell.name for cell in CELLS])
@pytest.mark.parametrize("adapters", [True, False])
def test_a_cell_keeps_its_code_lengths(index: int, adapters: bool) -> None:
    cell, source = CELLS[index], several(cell_adapters=adapters)
    decoder = build(IMAGE, "categorical", (cell,), seed=2, cell_adapters=adapters)
    decoder.standardise(cell.name, *statistics(cell, index))
    images = torch.randint(4, (2, 1, 4, 4))
    (condition,) = conditions((cell,))
    with torch.no_grad():
        assert not torch.allclose(decoder(condition).log_prob(images), source(condition).log_prob(images))
        take_weights(decoder, source)
        torch.testing.assert_close(decoder(condition).log_prob(images), source(condition).log_prob(images))
        torch.testing.assert_close(decoder().log_prob(images), source().log_prob(images))


def test_another_cell_of_the_layer_stands_in_under_the_decoders_own_standardisation() -> None:
    early, late = CELLS[0], CELLS[1]
    source = build(IMAGE, "categorical", (early,), seed=1)
    source.standardise(early.name, *statistics(early, 0))
    decoder = build(IMAGE, "categorical", (late,), seed=2)
    decoder.standardise(late.name, *statistics(late, 1))
    take_weights(decoder, source)
    images = torch.randint(4, (2, 1, 4, 4))
    (condition,) = conditions((late,))
    # What the source sees as the same standardised values: (h - m1) / s1 = (h' - m0) / s0.
    (mean, deviation), (own, own_deviation) = statistics(early, 0), statistics(late, 1)
    axes = (1, -1, 1, 1)
    same = (condition.activations - own.view(axes)) / own_deviation.view(axes) * deviation.view(axes) + mean.view(axes)
    with torch.no_grad():
        torch.testing.assert_close(decoder(condition).log_prob(images), source(same).log_prob(images))


def test_the_source_is_not_touched_and_shares_no_memory() -> None:
    source = several()
    before = {name: tensor.clone() for name, tensor in source.state_dict().items()}
    decoder = build(IMAGE, "categorical", CELLS[:1], seed=2)
    take_weights(decoder, source)
    with torch.no_grad():
        for parameter in decoder.parameters():
            parameter += 1
    for name, tensor in source.state_dict().items():
        torch.testing.assert_close(tensor, before[name], rtol=0, atol=0)


def test_an_unconditional_decoder_takes_the_trunk_only() -> None:
    decoder, source = build(IMAGE, "categorical", seed=2), several()
    take_weights(decoder, source)
    torch.testing.assert_close(decoder.input_upper.state_dict(), source.input_upper.state_dict())
    with pytest.raises(ValueError, match="unconditional"):
        take_weights(source, decoder)


def test_what_does_not_fit_is_refused() -> None:
    source = several()
    with pytest.raises(ValueError, match="same architecture"):
        take_weights(build(IMAGE, "categorical", CELLS[:1], filters=8), source)
    with pytest.raises(ValueError, match="same architecture"):
        take_weights(build(replace(IMAGE, intensities=5), "categorical", CELLS[:1]), source)
    stranger = Cell("later/map", "map", (3, 2, 2))  # two cells of its layer could stand for it
    with pytest.raises(ValueError, match="2 cells of the source"):
        take_weights(build(IMAGE, "categorical", (stranger,)), source)
    with pytest.raises(ValueError, match="0 cells of the source"):
        take_weights(build(IMAGE, "categorical", (Cell("a/new", "new", (2,)),)), source)
    other = Cell("early/map", "map", (5, 2, 2))
    with pytest.raises(ValueError, match="has activations of"):
        take_weights(build(IMAGE, "categorical", (other,)), source)


@pytest.mark.parametrize("own_blocks", [0, 2])
@pytest.mark.parametrize("index", range(len(CELLS)), ids=[cell.name for cell in CELLS])
def test_a_cell_of_a_reader_keeps_its_code_lengths(index: int, own_blocks: int) -> None:
    cell, source = CELLS[index], fitted_reader(IMAGE, "categorical", CELLS, seed=1, own_blocks=own_blocks)
    reader = Reader(source.base, source.config.reader, (cell,)).double()
    for known in (source, reader):
        known.standardise(cell.name, *statistics(cell, index))
    images = torch.randint(4, (2, 1, 4, 4))
    (condition,) = conditions((cell,))
    with torch.no_grad():
        assert not torch.allclose(reader(condition).log_prob(images), source(condition).log_prob(images))
        take_weights(reader, source)
        assert torch.equal(reader(condition).log_prob(images), source(condition).log_prob(images))


def test_readers_take_no_weights_of_other_networks() -> None:
    reader = fitted_reader(IMAGE, "categorical", CELLS)
    wider = Reader(reader.base, replace(reader.config.reader, width=6), CELLS)
    for one, other in ((reader, wider), (reader, several()), (several(), reader)):
        with pytest.raises(ValueError, match="same architecture"):
            take_weights(one, other)


@pytest.mark.parametrize("kept", [[0], [1], [2, 0], [1, 2], list(range(len(CELLS)))], ids=str)
@pytest.mark.parametrize("kind", ["gated", "reader", "reader with own blocks"])
def test_a_decoder_of_some_cells_is_cut_out_of_one_of_more(kept: list[int], kind: str) -> None:
    """Its cells may have other names; each keeps its code lengths, whichever others are left out."""
    source: PixelCNNPP | Reader = (
        several(cell_adapters=True)
        if kind == "gated"
        else fitted_reader(IMAGE, "categorical", own_blocks=int(kind.endswith("own blocks")))
    )
    for index, cell in enumerate(CELLS):
        source.standardise(cell.name, *statistics(cell, index))
    renamed = tuple(replace(CELLS[index], name=f"cell{index}") for index in kept)
    weights = weights_of_cells(source.state_dict(), CELLS, [CELLS[index].name for index in kept])
    part: PixelCNNPP | Reader
    if kind == "gated":
        part = build(IMAGE, "categorical", renamed, seed=2, cell_adapters=True)
    else:
        assert isinstance(source, Reader)
        part = Reader(source.base, source.config.reader, renamed).double().eval()
    part.load_state_dict(weights)
    images = torch.randint(4, (2, 1, 4, 4))
    with torch.no_grad():
        for index, cell in zip(kept, renamed, strict=True):
            (condition,) = conditions((CELLS[index],))
            told = source(condition).log_prob(images)
            torch.testing.assert_close(part(replace(condition, cell=cell.name)).log_prob(images), told)
            assert not torch.allclose(told, source().log_prob(images))
        torch.testing.assert_close(part().log_prob(images), source().log_prob(images))


@pytest.mark.parametrize("kept", [["nothing"], [CELLS[0].name, CELLS[0].name]])
def test_cells_that_are_not_there_or_twice_are_refused(kept: list[str]) -> None:
    with pytest.raises(ValueError, match="are not cells of this decoder, each once"):
        weights_of_cells(several().state_dict(), CELLS, kept)
