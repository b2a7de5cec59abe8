import pytest
import torch
from training_toys import CONFIG, make_data, make_linear, run

from ib_analysis.artifacts import UserError
from ib_analysis.encoders import EncoderConfig, build_encoder
from ib_analysis.training import Batches
from ib_analysis.training.small_batches import check_smallest_batch

SMALL = CONFIG.__class__(epochs=1, batch_size=2, checkpoints=(0,))


def encoder(size):
    return build_encoder(EncoderConfig(depth=8, width=4), "classification", (1, size, size), 16, 3, 0)


def test_a_batch_of_one_image_of_one_pixel_is_refused_and_the_advice_works(tmp_path):
    """An image of 4x4 pixels is down to one after the third stage: one value per channel, which has no variance."""
    data = make_data(n_encoder=9, size=4)
    with pytest.raises(UserError, match=r"training.batch_size is 2.* 9 images .*choose --training.batch_size 3\."):
        run(tmp_path / "two", config=SMALL, data=data, encoder=encoder(4))
    assert not (tmp_path / "two").exists()
    wider = CONFIG.__class__(epochs=1, batch_size=3, checkpoints=(0,))
    assert run(tmp_path / "three", config=wider, data=data, encoder=encoder(4)) == [0, 1]
    assert run(tmp_path / "even", config=SMALL, data=make_data(n_encoder=10, size=4), encoder=encoder(4)) == [0, 1]


@pytest.mark.parametrize("network", [encoder(8), make_linear()])
def test_a_batch_of_one_image_is_enough_for_others(tmp_path, network):
    assert run(tmp_path, config=SMALL, data=make_data(n_encoder=9), encoder=network) == [0, 1]


@pytest.mark.parametrize(
    ("n_images", "batch_size", "processes", "advice"),
    [(9, 4, 2, "size 5"), (8, 4, 8, "use more images"), (12, 6, 3, None)],
)
def test_shares_of_processes(n_images, batch_size, processes, advice):
    images = torch.zeros(n_images, 1, 4, 4, dtype=torch.uint8)
    batches = Batches(images, torch.zeros(n_images), batch_size=batch_size, seed=0, augment=False)
    if advice is None:
        check_smallest_batch(encoder(4), batches, batch_size, processes)
        return
    with pytest.raises(UserError, match=advice):
        check_smallest_batch(encoder(4), batches, batch_size, processes)
    smallest = min(len(batches.batch(0, s, p, processes)[1]) for s in range(len(batches)) for p in range(processes))
    assert smallest < 2
