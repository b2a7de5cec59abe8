"""What activations of any size and type lose on their way to a decoder: nothing that 16 or 32 bits can keep."""

import h5py
import numpy as np
import pytest
import torch
from activation_toys import Dump, make_data
from torch import nn

from decoders import PixelCNNPPConfig
from decoders.conditioning import Conditioning
from decoders.config import Architecture, Cell, ImageSpace
from ib_analysis.activations import Numbers, RecomputedActivations, StoredActivations, to_float16, verify
from ib_analysis.activations.survey import choose_numbers
from ib_analysis.artifacts import UserError
from ib_analysis.encoders import TappedNetwork
from ib_analysis.fits.feed import CellFeed, images_in_order
from ib_analysis.information.features import Standardisation


class Told(TappedNetwork):
    """Sixteen coins of each image, or its pixels, as a function says."""

    layers = ("h1",)

    def __init__(self, change):
        super().__init__()
        self.change = change

    def forward(self, images):
        return images

    def taps(self, images):
        return {"h1": self.change(images.double())}


def coins(pixels):
    return (pixels.flatten(1)[:, :16] > 127).double() * 2 - 1


def normal(pixels):
    """Nearly normal: sums of four pixels, standardised; a map (B, 3, 4, 4)."""
    x = (nn.functional.avg_pool2d(pixels, 2) - 127.5) / 37
    return torch.cat([x, 0.5 * x.square(), x.relu()], 1)


def dead(pixels):
    """One channel varies by the rounding of float32 only, and one not at all."""
    x = normal(pixels).float()
    return torch.stack([x[:, 0], 100 + 4e-6 * x[:, 1], torch.full_like(x[:, 2], 0.1)], 1)


def softmax(pixels):
    return (normal(pixels).flatten(1) * 3).softmax(1).float()


CASES = {
    "small": (lambda x: (coins(x) * 1e-8).float(), "float16", True),
    "shifted": (lambda x: (100 + 0.01 * normal(x)).float(), "float16", True),
    "far": (lambda x: 1e8 + 1e-3 * normal(x), "float16", True),
    "large": (lambda x: (1e6 * normal(x)).float(), "float16", True),
    "mixed": (lambda x: (normal(x) * torch.tensor([1e-9, 1.0, 1e9])[:, None, None]).float(), "float16", True),
    "softmax": (softmax, "float16", True),
    "tiny softmax": (lambda x: (normal(x).flatten(1) * 30).softmax(1).float(), "float32", False),
    "codes": (lambda x: x.flatten(1).float() * 11, "float32", False),
    "codes of which the sample may not show the largest": (lambda x: x.flatten(1).float() * 6, "float32", False),
    "int32": (lambda x: x.flatten(1).to(torch.int32), "float32", False),
    "int16": (lambda x: (x.flatten(1) * 100).to(torch.int16), "float32", False),
    "int64": (lambda x: (x.flatten(1) * 1001).long() + 2**40, "float32", True),
    "plain": (lambda x: normal(x).float(), "float16", False),
    "dead": (dead, "float16", False),
    "constant": (lambda x: torch.full((len(x), 3), 0.1), "float16", False),
    "int8": (lambda x: (x.flatten(1) - 128).to(torch.int8), "float16", False),
    "bool": (lambda x: x.flatten(1) > 127, "float16", False),
    "half": (lambda x: (100 + normal(x)).half(), "float16", False),
}


def dumped(path, change, storage="auto"):
    dump = Dump(path, load=lambda epoch: Told(change), epochs=(0,), layers=("h1",), encoders={0: "aa"})
    dump.data = make_data(n_decoder=160, n_validation=16, n_evaluation=80)
    dump.source = lambda: RecomputedActivations(dump.load, dump.data, (0,), ("h1",), 8, storage)
    dump.run()
    return dump


def everything(source):
    return torch.cat([source.read(0, "h1", group) for group in range(len(source.groups))])


def truth(dump):
    images = np.concatenate([dump.data.decoder.images, dump.data.evaluation.images])
    return dump.load(0).taps(torch.from_numpy(images))["h1"]


@pytest.mark.parametrize("case", CASES)
def test_nothing_of_note_is_lost_and_a_dump_is_what_is_recomputed(case, tmp_path, recwarn):
    change, dtype, mapped = CASES[case]
    dump = dumped(tmp_path / "run.h5", change)
    stored, source = StoredActivations(dump.path), dump.source()
    kept, h = everything(stored), truth(dump)
    assert kept.dtype == getattr(torch, dtype)
    assert torch.equal(kept, everything(source))
    assert verify(dump.path) == []
    numbers = stored.layout(0, "h1").numbers
    assert numbers == source.layout(0, "h1").numbers
    assert bool(numbers.scale) == mapped
    assert not numbers.loses
    assert not recwarn.list
    assert bool(kept.isfinite().all())
    # The oracle: distances in units of each channel's own spread, all images, in float64.
    h, back = h.double().movedim(1, 0).flatten(1), numbers.decode(kept).movedim(1, 0).flatten(1)
    spread = h.std(1)
    live = spread > 1e-6 * h.abs().amax(1)
    assert bool(((back - h).square().mean(1).sqrt() < spread / 32)[live].all())
    if bool((h == h.round()).all()):
        assert torch.equal(back, h)
    assert float(((back != 0) | (h == 0)).double().mean()) > 0.999


@pytest.mark.parametrize("case", ["plain", "dead", "constant", "int8", "bool", "half"])
def test_what_float16_keeps_stays_plain_float16_bit_for_bit(case, tmp_path):
    dump = dumped(tmp_path / "run.h5", CASES[case][0])
    assert torch.equal(everything(StoredActivations(dump.path)), to_float16(truth(dump))[0])
    with h5py.File(dump.path) as file:
        assert set(file["epoch_0000/h1"].attrs) == {"n_clamped", "shape", "sha256"}


@pytest.mark.parametrize("case", ["small", "shifted", "far", "large", "mixed", "softmax", "int64"])
@pytest.mark.parametrize("storage", ["auto", "float32"])
def test_decoders_and_probes_see_all_of_it_standardised(case, storage, tmp_path):
    """Their own arithmetic is float32: what they see must be what a float64 standardisation of the truth gives."""
    dump = dumped(tmp_path / "run.h5", CASES[case][0], storage)
    stored, data = StoredActivations(dump.path), dump.data
    assert everything(stored).dtype == (torch.float32 if storage == "float32" or case == "int64" else torch.float16)
    feed = CellFeed(images_in_order(data), stored.groups, stored, [(0, "h1")], 8, validation_images=8)
    mean, deviation = feed.channel_statistics()["epoch_0000/h1"]
    h = truth(dump).double()
    axes = [axis for axis in range(h.ndim) if axis != 1]
    training = h[: stored.groups.n_train]
    like = (1, -1) + (1,) * (h.ndim - 2)
    expected = (h - training.mean(axes).view(like)) / training.std(axes, correction=0).view(like)
    cell = Cell("epoch_0000/h1", "h1", stored.shape("h1"))
    image = ImageSpace(1, 8, 8, 256)
    conditioning = Conditioning(PixelCNNPPConfig(image, Architecture(blocks=1, filters=4), (cell,)))
    conditioning.standardise(cell.name, mean, deviation)
    projection, kept = conditioning.projections[0], everything(stored)
    seen = (kept.float() - projection.mean[0].view(like)) * projection.inverse_deviation[0].view(like)
    assert float((seen - expected).square().mean().sqrt()) < 1 / 16
    assert bool(conditioning(kept[:3], None)[0].isfinite().all())
    probed = Standardisation.of(kept[: stored.groups.n_train])(kept)
    assert float((probed - expected.clamp(-10, 10)).square().mean().sqrt()) < 1 / 16


@pytest.mark.parametrize("case", ["small", "shifted", "far", "large", "softmax", "codes"])
def test_plain_float16_on_demand_says_what_it_loses(case, tmp_path):
    with pytest.warns(UserWarning, match="lose precision"):
        dump = dumped(tmp_path / "run.h5", CASES[case][0], "float16")
    stored = StoredActivations(dump.path)
    assert stored.layout(0, "h1").numbers == Numbers("float16", loses=True)
    assert torch.equal(everything(stored), to_float16(truth(dump))[0])


def test_what_no_number_can_keep_is_said(tmp_path):
    with pytest.warns(UserWarning, match="lose precision"):
        dumped(tmp_path / "run.h5", lambda x: (x.flatten(1) * 1001).long() ** 4)


def test_infinities_are_cut_off_and_said(tmp_path):
    with pytest.warns(UserWarning, match="exceed the range of float16"):
        dump = dumped(tmp_path / "run.h5", lambda x: 1 / (x.flatten(1).float() // 200))
    assert float(everything(StoredActivations(dump.path)).max()) == 65504


def test_values_that_are_no_numbers_are_refused(tmp_path):
    with pytest.raises(UserError, match="not numbers"):
        dumped(tmp_path / "run.h5", lambda x: x.flatten(1) * torch.nan)


def test_images_beyond_the_sample_have_room(tmp_path):
    """One evaluation image is a hundred times louder than all others."""
    data = make_data(n_decoder=160, n_validation=16, n_evaluation=80)
    loudest = torch.from_numpy(data.evaluation.images[60]).double()

    def change(x):
        return (normal(x) * 1e-8 * (1 + 99 * (x == loudest).all(3).all(2)[..., None, None])).float()

    dump = dumped(tmp_path / "run.h5", change)
    kept = StoredActivations(dump.path)
    torch.testing.assert_close(
        kept.layout(0, "h1").numbers.decode(everything(kept)), truth(dump).double(), rtol=2e-3, atol=1e-11
    )


def test_dumps_of_before_are_read_as_plain_float16(tmp_path):
    """The attributes are those that dumps had when float16 was all there was."""
    change = CASES["plain"][0]
    dump = dumped(tmp_path / "run.h5", change)
    with h5py.File(dump.path) as file:
        assert not {"numbers", "offset", "scale"} & set(file["epoch_0000/h1"].attrs)
    assert StoredActivations(dump.path).layout(0, "h1").numbers == Numbers()


def test_another_map_is_another_content(tmp_path):
    dump = dumped(tmp_path / "run.h5", CASES["shifted"][0])
    with h5py.File(dump.path, "r+") as file:
        file["epoch_0000/h1"].attrs["offset"] = file["epoch_0000/h1"].attrs["offset"] + 1
    assert verify(dump.path) == ["epoch_0000/h1"]


def test_an_interrupted_dump_of_mapped_activations_goes_on(tmp_path):
    whole = dumped(tmp_path / "whole.h5", CASES["shifted"][0])
    dump = Dump(tmp_path / "cut.h5", load=whole.load, epochs=(0,), layers=("h1",), encoders={0: "aa"})
    dump.data, dump.source = whole.data, whole.source

    def stop(done, total, figures):
        if done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        dump.run(progress=stop)
    assert dump.run() == whole.run()


def test_many_channels_have_room_for_their_map(tmp_path):
    """More than the 64 kB that an attribute may take in HDF5's oldest form."""
    dump = dumped(tmp_path / "run.h5", lambda x: (100 + 0.01 * normal(x).flatten(1).repeat(1, 200)).float())
    assert len(StoredActivations(dump.path).layout(0, "h1").numbers.scale) == 48 * 200


def test_encoders_that_draw_at_random_are_refused():
    def forgetful(x):
        return nn.functional.dropout(normal(x))

    source = RecomputedActivations(lambda epoch: Told(forgetful), make_data(), (0,), ("h1",), 8)
    with pytest.raises(UserError, match=r"other activations of h1 each time.*F.dropout"):
        source.read(0, "h1", 0)


def test_another_storage_is_refused():
    with pytest.raises(UserError, match=r"activations.storage is 'float8'; choose from auto, float16, float32"):
        choose_numbers(lambda: iter(()), ("h1",), "float8")


def test_the_file_says_how_it_is_read(tmp_path):
    dump = dumped(tmp_path / "run.h5", CASES["plain"][0])
    with h5py.File(dump.path) as file:
        assert "import hdf5plugin" in file.attrs["reading"]
