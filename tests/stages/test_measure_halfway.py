"""Code lengths under the weights of a halfway end are those of a decoder that has them, of the same images."""

from __future__ import annotations

import copy
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch

from decoders import Architecture, Cell, Condition, ImageSpace, Minibatch, PixelCNNPP, PixelCNNPPConfig
from decoders import code_lengths_bits as measured
from ib_analysis.artifacts import Artifact
from ib_analysis.fits.feed import Reading
from ib_analysis.records.arrays import load_arrays
from ib_analysis.stages.measure import measure_code_lengths

NETWORK = PixelCNNPPConfig(
    ImageSpace(1, 4, 4, 3),
    Architecture(blocks=1, filters=4, output="categorical"),
    (Cell("epoch_0001/h1", "h1", (5,)),),
)


def decoder_of(seed: int) -> PixelCNNPP:
    torch.manual_seed(seed)
    decoder = PixelCNNPP(NETWORK)
    for parameter in decoder.parameters():
        parameter.data.normal_(0, 0.1)
    return decoder.eval()


def test_both_are_measured_on_the_same_images_and_the_decoder_is_left_as_it_was(tmp_path: Path) -> None:
    end, halfway = decoder_of(0), decoder_of(1)
    halfway.standardise("epoch_0001/h1", torch.full((5,), 0.1), torch.full((5,), 2.0))  # buffers count as well
    kept = copy.deepcopy(end.state_dict())
    images = torch.randint(3, (7, 1, 4, 4), dtype=torch.uint8)
    reading = Reading((1, "h1"))
    given = Minibatch(images, (Condition(torch.randn(7, 5), reading.name),))
    feed = SimpleNamespace(part=lambda part, cell, variant="plain": [Minibatch(images) if cell is None else given])
    artifacts = {name: Artifact(tmp_path / f"{index}.npz", "code_lengths", {}) for index, name in
                 enumerate(["null_validation", "null", reading.name])}  # fmt: skip
    measure_code_lengths(
        end, feed, artifacts, {reading.name: reading}, lambda *told: None, halfway=halfway.state_dict()
    )  # fmt: skip
    assert all(torch.equal(tensor, kept[name]) for name, tensor in end.state_dict().items())
    found = load_arrays(artifacts[reading.name])
    np.testing.assert_array_equal(found["bits"], measured(end, [given]))
    np.testing.assert_array_equal(found["halfway_bits"], measured(halfway, [given]))
    assert not np.array_equal(found["bits"], found["halfway_bits"])
    assert set(load_arrays(artifacts["null"])) == {"bits"}  # the null stays as it is
