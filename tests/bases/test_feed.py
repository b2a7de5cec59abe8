"""What a base may learn from: never an image that it or anybody else is judged on, the same wherever the pixels lie."""

from __future__ import annotations

import shutil
import tarfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from decoders import ImageSpace
from ib_analysis.artifacts import UserError
from ib_analysis.bases import BaseFeed
from ib_analysis.data import DataConfig, FactorsConfig, ImageData, load_data, sources
from ib_analysis.data.collection import collection_of_arrays, divide
from ib_analysis.data.interface import Source
from ib_analysis.spike_ins import Coins, draw_coins

CLASSES = ("cat", "dog")
FACTORS = FactorsConfig(noise_grain=2, n_encoder=20, n_decoder=20, n_evaluation=20)


def pixels(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(256, size=(8, 8, 3)).astype(np.uint8)


def put(path: Path, image: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path)


def tree(folder: Path, n: int = 20, rename: str = "{}") -> list[np.ndarray]:
    """`folder/{train,test}/class/i.png`: n training images a class, half as many of test; the images in order."""
    found = []
    for split, many in (("train", n), ("test", n // 2)):
        for name in CLASSES:
            for i in range(many):
                found.append(pixels(len(found)))
                put(folder / split / name / f"{rename.format(i)}.png", found[-1])
    return found


def config(root: Path, folder: str = "set", **options) -> DataConfig:
    return DataConfig(source="image_folder", root=str(root), folder=folder, **options)


def keys(images: Iterable) -> set[bytes]:
    return {np.asarray(image).tobytes() for image in images}


def learned(feed: BaseFeed, draws: int = 150) -> set[bytes]:
    """What it learns from, as its minibatches show it: each image is missed with probability (1 - 1/n)^draws."""
    return keys(image for step in range(draws) for image in feed.minibatch(np.random.default_rng((0, step))).images)


def validated(feed: BaseFeed) -> set[bytes]:
    return keys(image for part in feed.validation() for image in part.images)


def splits(data: ImageData) -> list[set[bytes]]:
    return [keys(split.images) for split in (data.encoder, data.fitting, data.validation, data.evaluation)]


# ------------------------------------------------------------------------------------------- finite data sets


def test_digits_are_learned_but_those_that_are_judged() -> None:
    chosen = DataConfig(source="digits")
    feed = BaseFeed(chosen, 64, 50)
    encoder, fitting, validation, evaluation = splits(load_data(chosen))
    assert len(validated(feed)) == 50
    assert validated(feed) <= validation
    assert learned(feed, 300) == (encoder | fitting | validation) - validated(feed) - evaluation
    assert feed.space == ImageSpace(1, 8, 8, 17)
    assert [len(part) for part in feed.validation()] == [50]
    assert feed.unseen.shape == (len(feed.evaluation),)


def test_enough_validation_images_are_all_of_the_slice() -> None:
    chosen = DataConfig(source="digits")
    assert validated(BaseFeed(chosen, 16, 10_000)) == splits(load_data(chosen))[2]


def test_copies_in_several_splits_stay_on_the_judged_side(tmp_path: Path) -> None:
    """Copies as published, and images that only become one another by what is chosen of them (bits)."""
    images = tree(tmp_path / "set")
    put(tmp_path / "set/train/cat/copy.png", images[40])  # of a test image
    for i in range(20):  # the decoder's images, of which half are the encoder's too
        put(tmp_path / f"set/valid/{CLASSES[i % 2]}/{i}.png", images[i] if i < 10 else pixels(100 + i))
    for i in range(41, 46):  # test images but for the lowest bits
        put(tmp_path / f"set/train/cat/near{i}.png", images[i] ^ 1)
    chosen = config(tmp_path, bits=2, validation_share=0.3)
    encoder, fitting, validation, evaluation = splits(load_data(chosen))
    assert encoder & validation  # else this would show nothing
    assert (encoder | fitting) & evaluation
    feed = BaseFeed(chosen, 32, 1000)
    assert validated(feed) == validation
    assert learned(feed) == (encoder | fitting) - validation - evaluation


def test_experiments_on_a_part_share_the_base_of_the_whole(tmp_path: Path) -> None:
    tree(tmp_path / "set")
    whole = BaseFeed(config(tmp_path), 8, 4)
    for caps in ({"per_class": 3}, {"evaluation_per_class": 2}, {"per_class": 4, "evaluation_per_class": 1}):
        part = BaseFeed(config(tmp_path, **caps), 8, 4)
        assert part.sha256 == whole.sha256
        assert torch.equal(
            part.minibatch(np.random.default_rng(1)).images, whole.minibatch(np.random.default_rng(1)).images
        )
        evaluated = keys(load_data(config(tmp_path, **caps)).evaluation.images)
        assert len(evaluated) < len(whole.evaluation)
        assert evaluated <= keys(part.evaluation)
        assert not evaluated & learned(part, 50)


def test_the_same_pixels_have_the_same_hash_wherever_they_lie(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images = tree(tmp_path / "set")
    reference = BaseFeed(config(tmp_path), 8, 4)
    tree(tmp_path / "other", rename="z{}")
    shutil.copytree(tmp_path / "set", tmp_path / "elsewhere" / "deep" / "set")
    with tarfile.open(tmp_path / "set.tar", "w") as file:
        file.add(tmp_path / "set", ".")
    labels = np.repeat([0, 1, 0, 1], [20, 20, 10, 10])
    parts = np.repeat([0, 2], [40, 20])
    collection = collection_of_arrays("arrays", np.stack(images).transpose(0, 3, 1, 2), labels, CLASSES, parts=parts)
    arrays = Source(lambda found, *_: divide(collection, found), lambda *_: collection.native, lambda *_: {})
    monkeypatch.setitem(sources.SOURCES, "cifar10", arrays)
    others = [
        config(tmp_path, "other"),
        config(tmp_path / "elsewhere", "deep/set"),
        config(tmp_path, "set.tar"),
        DataConfig(source="cifar10"),
    ]
    for other in others:
        found = BaseFeed(other, 8, 4)
        assert found.sha256 == reference.sha256
        assert np.array_equal(found.unseen, reference.unseen)
        assert torch.equal(
            found.minibatch(np.random.default_rng(1)).images, reference.minibatch(np.random.default_rng(1)).images
        )


@pytest.mark.parametrize("change", [{"seed": 1}, {"bits": 3}, {"greyscale": True}, {"validation_share": 0.3}])
def test_other_images_or_splits_have_another_hash(tmp_path: Path, change: dict) -> None:
    tree(tmp_path / "set")
    assert BaseFeed(config(tmp_path, **change), 8, 4).sha256 != BaseFeed(config(tmp_path), 8, 4).sha256


def test_no_group_is_on_both_sides_of_validation(tmp_path: Path) -> None:
    """Eight frames of a video differ in a pixel; of those of validation the base takes no more than it is asked to."""
    for video in range(20):
        for frame in range(8):
            image = pixels(video)
            image[0, 0] = (video, frame, 0)
            put(tmp_path / "set" / CLASSES[video % 2] / f"video{video}" / f"{frame}.png", image)
    feed = BaseFeed(config(tmp_path, group_folders=True, validation_share=0.3), 32, 3)
    videos = {image[0, 0, 0].item() for step in range(100) for image in feed.minibatch(rng(step)).images}
    judged = {image[0, 0, 0].item() for part in feed.validation() for image in part.images}
    assert judged
    assert not judged & videos
    assert not set(feed.evaluation[:, 0, 0, 0].tolist()) & videos


def test_nothing_to_learn_from_is_a_sentence(tmp_path: Path) -> None:
    for name, shade in zip(CLASSES, (10, 200), strict=True):
        for i in range(6):
            image = np.full((8, 8, 3), shade, dtype=np.uint8)
            image[0, 0] = i  # which one bit does not see
            put(tmp_path / "set" / name / f"{i}.png", image)
    with pytest.raises(UserError, match="no image that a base could learn from"):
        BaseFeed(config(tmp_path, bits=1), 4, 4)


# ------------------------------------------------------------------------------------------- images that are drawn


def rng(*seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


@given(st.integers(0, 2**32), st.integers(0, 10**6))
@settings(max_examples=20, deadline=None)
def test_draws_are_a_pure_function_of_the_generator(seed: int, step: int) -> None:
    feed = BaseFeed(DataConfig(factors=FACTORS), 8, 16)
    first = feed.minibatch(rng(seed, step)).images
    feed.minibatch(rng(seed, step + 1))
    assert torch.equal(feed.minibatch(rng(seed, step)).images, first)
    assert first.shape == (8, 1, 8, 8)
    assert first.dtype == torch.uint8


def test_each_step_draws_anew() -> None:
    feed = BaseFeed(DataConfig(factors=FACTORS), 16, 32)
    assert len(learned(feed, 100)) > 1590  # of 2^27.5 images


def test_splits_of_drawn_images_do_not_enter() -> None:
    """Two experiments that differ in seeds and numbers get one base, whichever of them fits it."""
    one = BaseFeed(DataConfig(factors=FACTORS), 8, 16)
    other = FactorsConfig(noise_grain=2, n_encoder=7, n_decoder=9, n_evaluation=30)
    two = BaseFeed(DataConfig(seed=5, factors=other, validation_share=0.4), 8, 16)
    assert one.sha256 == two.sha256
    assert torch.equal(one.minibatch(rng(0, 7)).images, two.minibatch(rng(0, 7)).images)
    assert validated(one) == validated(two)
    assert len(one.unseen) == len(two.unseen) == 0
    assert len(one.evaluation) == 20


@pytest.mark.parametrize("change", [{"size": 10}, {"noise_levels": 3}, {"noise_grain": 4}])
def test_another_distribution_has_another_hash(change: dict) -> None:
    known = {"size": 8, "noise_levels": 2, "noise_grain": 2, **change}
    assert BaseFeed(DataConfig(factors=FactorsConfig(**known)), 8, 16).sha256 != (
        BaseFeed(DataConfig(factors=FACTORS), 8, 16).sha256
    )


def test_a_minibatch_that_could_be_a_whole_split_is_refused() -> None:
    """Step 2 of seed 0 has the generator of the evaluation split of seed 0: with one size they are the same images."""
    data = load_data(DataConfig(factors=FACTORS))
    like_the_split = BaseFeed(DataConfig(factors=FactorsConfig(noise_grain=2, n_evaluation=21)), 20, 16)
    assert torch.equal(like_the_split.minibatch(rng(0, 2)).images, torch.from_numpy(data.evaluation.images))
    with pytest.raises(UserError, match=r"batch_size and data\.factors\.n_evaluation are both 20"):
        BaseFeed(DataConfig(factors=FACTORS), 20, 16)
    with pytest.raises(UserError, match=r"batch_size and base_fitting\.validation_images are both 16"):
        BaseFeed(DataConfig(factors=FACTORS), 16, 16)


def test_a_base_may_be_kept_from_what_decoders_are_fitted_to(tmp_path: Path) -> None:
    tree(tmp_path / "set")
    whole, apart = (BaseFeed(config(tmp_path), 8, 4, learns_from=which) for which in ("all", "encoder_images"))
    encoder, fitting, validation, evaluation = splits(load_data(config(tmp_path)))
    assert learned(apart) == encoder - fitting - validation - evaluation
    assert learned(whole) > learned(apart)
    assert validated(apart) == validated(whole)
    assert np.array_equal(apart.unseen, whole.unseen)
    assert apart.sha256 != whole.sha256
    put(tmp_path / "set" / "train" / "cat" / "again.png", pixels(3))  # once more, perhaps on the other side
    again = BaseFeed(config(tmp_path), 8, 4, learns_from="encoder_images")
    assert not learned(again) & splits(load_data(config(tmp_path)))[1]


# ------------------------------------------------------------------------------------------------------- coins


@pytest.mark.parametrize("drawn", [False, True])
def test_coins_are_over_all_images_and_fall_anew_in_minibatches_only(tmp_path: Path, drawn: bool) -> None:
    if not drawn:
        tree(tmp_path / "set")
    chosen = DataConfig(factors=FACTORS) if drawn else config(tmp_path, greyscale=True)
    plain, coins = BaseFeed(chosen, 8, 4), Coins(4, "least_significant_bit", seed=2)
    feed = BaseFeed(chosen, 8, 4, coins)
    places = list(coins.pixels(feed.space.height, feed.space.width))
    others = np.setdiff1d(np.arange(feed.space.height * feed.space.width), places)
    one, two = (BaseFeed(chosen, 8, 4, coins).minibatch(np.random.default_rng(3)).images.numpy() for _ in range(2))
    assert np.array_equal(one, two)
    before = plain.minibatch(np.random.default_rng(3)).images.numpy()
    assert np.array_equal(one.reshape(8, -1)[:, others], before.reshape(8, -1)[:, others])
    falls = [feed.minibatch(np.random.default_rng(seed)).images.flatten(1)[:, places] % 2 for seed in range(40)]
    assert abs(float(torch.cat(falls).double().mean()) - 0.5) < 0.05
    (judged,), (again,) = feed.validation(), feed.validation()
    assert torch.equal(judged.images, again.images)
    # As an experiment's own evaluation images, which are known by what they show without coins.
    fallen = draw_coins(len(plain.evaluation), 4, "evaluation", 2)
    assert np.array_equal(feed.evaluation, coins.shown(plain.evaluation, fallen, feed.space.intensities))
    assert np.array_equal(feed.unseen, plain.unseen)
    assert feed.sha256 == plain.sha256
