import json
import multiprocessing
import pickle

import h5py
import numpy as np
import pytest
import torch
from activation_toys import read_all

from ib_analysis.activations import StoredActivations, verify
from ib_analysis.activations.store import COMPRESSION
from ib_analysis.artifacts import UserError


def test_dump_and_recompute_agree_bit_for_bit(dump):
    dump.run()
    stored, source = StoredActivations(dump.path), dump.source()
    assert stored.epochs == source.epochs
    assert stored.layers == source.layers
    assert stored.groups == source.groups
    for epoch in stored.epochs:
        for layer in stored.layers:
            assert stored.shape(layer) == source.shape(layer)
            for group in range(len(stored.groups)):
                found = stored.read(epoch, layer, group)
                assert found.dtype == torch.float16
                assert torch.equal(found, source.read(epoch, layer, group))


def test_the_file_says_what_it_is(dump):
    dump.run()
    with h5py.File(dump.path) as file:
        assert file["epoch_0002/h3"].shape == (75, 16, 2, 2)
        assert file["epoch_0002/h4"].shape == (75, 16)
        assert file["epoch_0000/h1"].dtype == np.float16
        assert tuple(file["epoch_0000/h1"].attrs["shape"]) == (75, 4, 8, 8)
        assert file["epoch_0000/h1"].chunks[0] % 8 == 0 or file["epoch_0000/h1"].chunks[0] == 75
        assert file.attrs["seed"] == 7
        assert json.loads(file.attrs["config"]) == {"width": 4}
        assert json.loads(file.attrs["versions"])["torch"] == torch.__version__.split("+")[0]
        assert file["epoch_0000"].attrs["encoder_sha256"] == "aa"
        assert file["epoch_0002"].attrs["encoder_sha256"] == "bb"


def test_images_are_in_the_order_of_the_splits(dump):
    dump.run()
    images = np.concatenate([dump.data.decoder.images, dump.data.evaluation.images])
    with torch.no_grad():
        expected = dump.load(2).eval().taps(torch.from_numpy(images))["h3"]
    with h5py.File(dump.path) as file:
        np.testing.assert_allclose(file["epoch_0002/h3"][:], expected.numpy(), rtol=2e-3, atol=1e-3)


def test_the_compression_of_the_dump_loses_nothing_and_saves_space(tmp_path):
    # Activations after a ReLU: half are zero.
    values = np.maximum(np.random.default_rng(0).normal(size=(256, 16, 8, 8)), 0).astype(np.float16)
    with h5py.File(tmp_path / "x.h5", "w") as file:
        dataset = file.create_dataset("x", data=values, chunks=(16, 16, 8, 8), **COMPRESSION)
        file.flush()
        assert dataset.id.get_storage_size() < 0.85 * values.nbytes
        assert list(dataset._filters) == ["32026"]
    with h5py.File(tmp_path / "x.h5") as file:
        assert (file["x"][:].view(np.uint16) == values.view(np.uint16)).all()


@pytest.mark.parametrize(("method", "count"), [("fork", 3), ("spawn", 1)])
def test_several_processes_read_one_file(dump, method, count):
    dump.run()
    stored = StoredActivations(dump.path)
    expected = float(sum(stored.read(2, "h3", group).double().sum() for group in range(len(stored.groups))))
    context = multiprocessing.get_context(method)
    queue = context.Queue()
    processes = [context.Process(target=read_all, args=(stored, queue)) for _ in range(count)]
    for process in processes:
        process.start()
    assert [queue.get(timeout=60) for _ in processes] == [expected] * count
    for process in processes:
        process.join()


def test_a_closed_or_pickled_store_opens_again(dump):
    dump.run()
    stored = StoredActivations(dump.path)
    before = stored.read(0, "h4", 1)
    stored.close()
    assert torch.equal(stored.read(0, "h4", 1), before)
    assert torch.equal(pickle.loads(pickle.dumps(stored)).read(0, "h4", 1), before)


def test_mistakes_are_explained(dump, tmp_path):
    with pytest.raises(UserError, match=r"is missing.*ib train"):
        StoredActivations(tmp_path / "none.h5")
    with pytest.raises(UserError, match="is missing"):
        verify(tmp_path / "none.h5")
    (tmp_path / "text.h5").write_text("no HDF5")
    with pytest.raises(UserError, match=r"text.h5 is damaged"):
        StoredActivations(tmp_path / "text.h5")
    with pytest.raises(UserError, match=r"text.h5 is damaged"):
        verify(tmp_path / "text.h5")
