import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ib_analysis.training import Batches
from ib_analysis.training.batches import shift_and_flip


def make(n=23, batch_size=6, seed=0, augment=False):
    images = torch.randint(0, 256, (n, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    return Batches(images, torch.arange(n), batch_size=batch_size, seed=seed, augment=augment)


@settings(deadline=None)
@given(st.integers(2, 50), st.integers(2, 20), st.integers(0, 10), st.integers(0, 5))
def test_an_epoch_shows_every_image_once_in_equal_batches(n, batch_size, seed, epoch):
    batches = make(n, batch_size, seed)
    labels = [batches.batch(epoch, step)[1] for step in range(len(batches))]
    assert sorted(torch.cat(labels).tolist()) == list(range(n))
    sizes = [len(part) for part in labels]
    assert max(sizes) <= batch_size
    assert max(sizes) - min(sizes) <= 1


def test_images_belong_to_their_labels():
    batches = make()
    images, labels = batches.batch(2, 1)
    assert torch.equal(images, batches.images[labels])


def test_batches_depend_on_seed_epoch_and_step_alone():
    first, second = make(augment=True), make(augment=True)
    second.batch(5, 1)  # another history
    for epoch, step in ((0, 0), (3, 2)):
        assert torch.equal(first.batch(epoch, step)[0], second.batch(epoch, step)[0])
    assert not torch.equal(first.batch(0, 0)[1], first.batch(1, 0)[1])
    assert not torch.equal(first.batch(0, 0)[1], make(seed=1).batch(0, 0)[1])


def test_shares_make_up_the_batch():
    batches = make(augment=True)
    whole, labels = batches.batch(1, 0)
    parts = [batches.batch(1, 0, share, 3) for share in range(3)]
    for share in range(3):
        assert torch.equal(parts[share][0], whole[share::3])
        assert torch.equal(parts[share][1], labels[share::3])


def test_augmentation_agrees_with_one_image_at_a_time():
    images = torch.randint(1, 256, (40, 3, 16, 8), dtype=torch.uint8)
    found = shift_and_flip(images, np.random.default_rng(7)).numpy()
    rng = np.random.default_rng(7)
    rows, columns = rng.integers(0, 5, 40), rng.integers(0, 3, 40)  # an eighth of 16 and of 8, both ways
    flips = rng.random(40) < 0.5
    assert 5 < flips.sum() < 35
    for index in range(40):
        padded = np.pad(images[index].numpy(), ((0, 0), (2, 2), (1, 1)))
        crop = padded[:, rows[index] : rows[index] + 16, columns[index] : columns[index] + 8]
        np.testing.assert_array_equal(found[index], crop[:, :, ::-1] if flips[index] else crop)


def test_order_and_augmentation_use_different_random_numbers():
    order = np.random.default_rng((0, 1, 0)).random(4)
    augmentation = np.random.default_rng((0, 1, 1)).random(4)
    assert not np.allclose(order, augmentation)
