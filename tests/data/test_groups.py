"""Groups of near-duplicates: whole in one split, whatever the folder or the file that names them looks like."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from ib_analysis.artifacts import UserError, plain
from ib_analysis.artifacts.recipes import changes
from ib_analysis.data import DataConfig, ImageData, load_data
from ib_analysis.data.groups import divide_groups, validation_groups_last
from ib_analysis.experiment import Experiment, ExperimentConfig
from ib_analysis.records.images import data_section

SHARES = [0.4, 0.4, 0.2]


def group_of(seed: int) -> int:
    """Images are made so that their group is seen in them."""
    return seed // 4


def image(seed: int) -> np.ndarray:
    """A frame of a video: what is common to the group, and one pixel of its own."""
    found = np.random.default_rng(group_of(seed)).integers(256, size=(8, 8)).astype(np.uint8)
    found[0, 0], found[0, 1] = group_of(seed), seed % 4
    return found


def put(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image(seed)).save(path)


def videos(root: Path, split: str = "", offset: int = 0, n_groups: int = 10) -> None:
    """`{root}/set/[split/]class/video/frame.png`: two classes of videos with four frames each."""
    for seed in range(4 * offset, 4 * (offset + n_groups)):
        name = ("cat", "dog")[group_of(seed) % 2]
        put(root / "set" / split / name / f"video{group_of(seed)}" / f"{seed % 4}.png", seed)


def load(root: Path, **options) -> ImageData:
    return load_data(DataConfig(source="image_folder", root=str(root), folder="set", **options))


def groups_by_split(data: ImageData) -> list[set[int]]:
    """The groups in the encoder's, the fitting, the validation and the evaluation images."""
    parts = (data.encoder, data.fitting, data.validation, data.evaluation)
    return [set(part.images[:, 0, 0, 0].tolist()) for part in parts]


def assert_disjoint_and_whole(data: ImageData) -> None:
    found = groups_by_split(data)
    assert all(found)
    assert sum(map(len, found)) == len(set().union(*found))
    for part in data.splits.values():
        _, counts = np.unique(part.images[:, 0, 0, 0], return_counts=True)
        assert set(counts) == {4}


def test_groups_by_folder_lie_whole_in_one_split(tmp_path: Path) -> None:
    videos(tmp_path)
    data = load(tmp_path, group_folders=True)
    assert_disjoint_and_whole(data)
    assert data.class_names == ("cat", "dog")
    assert [len(part) for part in data.splits.values()] == [16, 16, 8]
    assert data.n_validation == 4
    assert load(tmp_path, group_folders=True, seed=1).sha256 != data.sha256


def test_a_group_file_gives_what_folders_give(tmp_path: Path) -> None:
    (tmp_path / "folders").mkdir()
    (tmp_path / "files").mkdir()
    videos(tmp_path / "folders")
    lines = ["file,group,camera"]
    for seed in range(40):
        name = f"{('cat', 'dog')[group_of(seed) % 2]}/{seed:02d}.png"
        put(tmp_path / "files" / "set" / name, seed)
        lines.append(f"{'./' * (seed % 2)}{name},video{group_of(seed)},x")
    (tmp_path / "files" / "groups.csv").write_text("\n".join([*lines, "dog/gone.png,video1,x"]))
    by_folder = load(tmp_path / "folders", group_folders=True)
    by_file = load(tmp_path / "files", group_file="groups.csv")
    assert by_file.sha256 == by_folder.sha256
    # Without groups the frames of a video are torn apart: the same split as ever.
    torn = groups_by_split(load(tmp_path / "files"))
    assert sum(map(len, torn)) > len(set().union(*torn))
    # A tar with a folder around everything: the file may name images without it.
    import tarfile

    with tarfile.open(tmp_path / "files" / "set.tar", "w") as file:
        file.add(tmp_path / "files" / "set", "around")
    config = DataConfig(source="image_folder", root=str(tmp_path / "files"), folder="set.tar", group_file="groups.csv")
    assert load_data(config).sha256 == by_folder.sha256


def test_official_training_images_are_halved_by_groups(tmp_path: Path) -> None:
    videos(tmp_path, "train")
    videos(tmp_path, "test", offset=10, n_groups=4)
    data = load(tmp_path, group_folders=True)
    assert_disjoint_and_whole(data)
    assert groups_by_split(data)[3] == {10, 11, 12, 13}


def test_a_group_in_two_official_parts_is_refused(tmp_path: Path) -> None:
    videos(tmp_path, "train")
    videos(tmp_path, "test", offset=10, n_groups=4)
    put(tmp_path / "set" / "test" / "cat" / "video2" / "9.png", 99)
    with pytest.raises(UserError, match=r"1 groups have images in several of the split folders \(video2\); move"):
        load(tmp_path, group_folders=True)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", r"groups.csv must be a CSV whose first line is file,group"),
        ("name,group\ncat/a.png,1\n", r"must be a CSV whose first line is file,group"),
        ("file,group\ncat/a.png,\n", r"gives 'cat/a.png' no group"),
        ("file,group\ncat/a.png,1\ncat/a.png,2\n", r"gives 'cat/a.png' two groups"),
        ("file,group\ncat/a.png,1\n", r"has no line for 11 of 12 images \(cat/b.png, .* and 1 more\); add them"),
    ],
)
def test_a_group_file_that_does_not_tell_is_refused(tmp_path: Path, text: str, sentence: str) -> None:
    for i, name in enumerate("abcdef"):
        put(tmp_path / "set" / "cat" / f"{name}.png", i)
        put(tmp_path / "set" / "dog" / f"{name}.png", 50 + i)
    (tmp_path / "groups.csv").write_text(text)
    with pytest.raises(UserError, match=sentence):
        load(tmp_path, group_file="groups.csv")


def test_group_files_that_cannot_be_read_and_groups_that_are_too_few(tmp_path: Path) -> None:
    videos(tmp_path, n_groups=4)
    with pytest.raises(UserError, match=r"Class 'cat' has too few groups for three splits: none of its 8 images in 2"):
        load(tmp_path, group_folders=True)
    for i in range(6):
        put(tmp_path / "flat" / "set" / "cat" / f"{i}.png", i)
        put(tmp_path / "flat" / "set" / "dog" / f"{i}.png", 50 + i)
    tmp_path /= "flat"
    with pytest.raises(UserError, match=r"data.group_file: \S+none.csv does not exist"):
        load(tmp_path, group_file="none.csv")
    (tmp_path / "latin.csv").write_bytes(b"file,group\ncat/\xe9.png,1\n")
    with pytest.raises(UserError, match=r"latin.csv cannot be read as a CSV in UTF-8"):
        load(tmp_path, group_file="latin.csv")


@pytest.mark.parametrize("option", [{"group_folders": True}, {"group_file": "x.csv"}, {"background": "black"}])
def test_sources_without_files_refuse_the_fields(option: dict) -> None:
    with pytest.raises(UserError, match=r"which the source 'digits' has no use for"):
        DataConfig(source="digits", **option)


def test_both_ways_at_once_are_refused() -> None:
    with pytest.raises(UserError, match=r"data.group_folders and data.group_file are both set"):
        DataConfig(source="image_folder", group_folders=True, group_file="groups.csv")


def test_records_of_those_who_use_no_groups_stay_as_they_were(tmp_path: Path) -> None:
    """Manifests that were written before the fields existed must still be those of the same config."""
    before = {
        *("source", "resolution", "greyscale", "bits", "per_class", "evaluation_per_class", "validation_share"),
        *("augment", "seed", "factors"),
    }
    section = data_section(Experiment(ExperimentConfig()))
    old = {name: value for name, value in plain(section).items() if name in before}
    assert set(old) == before
    assert changes(section, old, {}) == []
    videos(tmp_path)
    data = DataConfig(source="image_folder", root=str(tmp_path), folder="set", group_folders=True)
    grouped = data_section(Experiment(ExperimentConfig(data=data)))
    ungrouped = {name: value for name, value in plain(grouped).items() if name in before}
    assert changes(grouped, ungrouped, {}) == ["group_folders was False, now True"]


# ---------------------------------------------------------------------------------------------- the division itself

many_groups = st.lists(
    st.tuples(st.integers(0, 2), st.integers(1, 6)), min_size=30, max_size=60
)  # (class, images) of each group


@settings(max_examples=40, deadline=None)
@given(many_groups, st.integers(0, 10))
def test_groups_within_classes_meet_the_shares_within_one_group(groups: list[tuple[int, int]], shuffle: int) -> None:
    labels = np.concatenate([np.full(n, label) for label, n in groups])
    numbers = np.concatenate([np.full(n, i) for i, (_, n) in enumerate(groups)])
    order = np.random.default_rng(shuffle).permutation(len(labels))
    parts = divide_groups(order, labels, numbers, SHARES)
    assert sorted(np.concatenate(parts)) == list(range(len(labels)))
    owners = [set(numbers[part]) for part in parts]
    assert sum(map(len, owners)) == len(groups)
    rank = np.argsort(order)
    for part, share in zip(parts, SHARES, strict=True):
        assert (np.diff(rank[part]) > 0).all()  # in the given order
        for label in set(labels.tolist()):
            largest = max(n for name, n in groups if name == label)
            assert abs((labels[part] == label).sum() - share * (labels == label).sum()) <= largest


def test_groups_of_several_classes_keep_classes_balanced() -> None:
    """Patients with healthy and, rarely, sick pictures: the rare class is not left to chance."""
    rng = np.random.default_rng(0)
    sick = rng.binomial(8, 0.15, size=60)
    numbers = np.repeat(np.arange(60), 8)
    labels = np.concatenate([np.arange(8) < n for n in sick]).astype(int)
    parts = divide_groups(rng.permutation(480), labels, numbers, SHARES)
    for part, share in zip(parts, SHARES, strict=True):
        assert abs(labels[part].sum() / labels.sum() - share) < 0.04
        assert abs(len(part) / 480 - share) < 0.04


@pytest.mark.parametrize("n_groups", [2, 3, 5, 40])
def test_validation_is_whole_groups_and_never_empty(n_groups: int) -> None:
    numbers = np.repeat(np.arange(n_groups), 5)
    labels = numbers % 2
    order, n_validation = validation_groups_last(labels, numbers, 0.1)
    assert sorted(order) == list(range(len(labels)))
    fitting, validation = numbers[order[:-n_validation]], numbers[order[-n_validation:]]
    assert not set(fitting) & set(validation)
    assert len(fitting)
    assert n_validation == 5 * max(1, round(0.1 * n_groups))


def test_one_group_cannot_be_validated() -> None:
    with pytest.raises(UserError, match="All images of the decoder split are of one group"):
        validation_groups_last(np.array([0, 1, 0, 1]), np.zeros(4, dtype=int), 0.1)
