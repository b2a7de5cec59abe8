"""What `ib` writes may lie among the images: it is no class, and a class of the same name is one."""

from __future__ import annotations

import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

import ib_analysis.plots
from ib_analysis.artifacts import Artifact, UserError
from ib_analysis.data import DataConfig, load_data
from ib_analysis.experiment import Experiment, ExperimentConfig
from ib_analysis.plots.style import save
from ib_analysis.stages.draw import draw
from ib_analysis.stages.prepare import prepare


def images(root: Path, names: tuple[str, ...] = ("cat", "dog"), n: int = 6) -> Path:
    rng = np.random.default_rng(0)
    for name in names:
        (root / name).mkdir(parents=True)
        for i in range(n):
            Image.fromarray(rng.integers(256, size=(8, 8)).astype(np.uint8)).save(root / name / f"{i}.png")
    return root


def load(root: Path, folder: str = ".") -> str:
    return load_data(DataConfig(source="image_folder", root=str(root), folder=folder)).sha256


def experiment_in(root: Path) -> Experiment:
    data = DataConfig(source="image_folder", root=str(root), folder=".")
    places = {"checkpoints": str(root / "checkpoints"), "figures": str(root / "pictures")}
    return Experiment(ExperimentConfig(name="mine", data=data, **places))


def write_pack(root: Path) -> None:
    load(root)


def write_pack_that_failed(root: Path) -> None:
    (root / "packed").mkdir()


def write_beginning(root: Path) -> None:
    prepare(experiment_in(root))


def write_artifact(root: Path) -> None:
    weights = root / "checkpoints" / "calibration" / "decoders" / "gauss" / "decoder.pt"
    weights.parent.mkdir(parents=True)
    weights.write_bytes(b"weights")
    Artifact(weights, "decoder", {}).finish()


def write_figure(root: Path) -> None:
    """As `ib calibrate` and `ib controls` do, which keep no record of what they have drawn."""
    figure = Figure()
    figure.subplots().plot([0, 1])
    save(figure, root / "pictures" / "calibration", "calibration")


def write_page(root: Path) -> None:
    """As `ib samples` does, but for the page itself, which needs samples."""

    def page(_: Path, folder: Path) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "samples.html").write_text("")
        return folder / "samples.html"

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ib_analysis.plots, "write_samples_page", page)
        draw(experiment_in(root), page_only=True)


WRITERS = (write_pack, write_pack_that_failed, write_beginning, write_artifact, write_figure, write_page)


@pytest.mark.parametrize("writers", [*((writer,) for writer in WRITERS), (*WRITERS[:1], *WRITERS[2:])])
def test_what_is_written_among_the_images_is_no_class(
    tmp_path: Path, writers: tuple[Callable[[Path], None], ...]
) -> None:
    images(tmp_path / "clean")
    images(tmp_path / "all")
    clean = load(tmp_path, "clean")
    for writer in writers:
        writer(tmp_path / "all")
    assert load(tmp_path / "all") == clean
    assert load(tmp_path / "all") == clean
    with tarfile.open(tmp_path / "all.tar", "w") as file:
        file.add(tmp_path / "all", ".")
    assert load(tmp_path, "all.tar") == clean


@pytest.mark.parametrize("source", ["cifar-10-batches-py", "cifar-100-python"])
def test_downloaded_batches_beside_images(tmp_path: Path, source: str) -> None:
    images(tmp_path)
    clean = load(tmp_path)
    (tmp_path / source).mkdir()
    (tmp_path / source / ("meta" if source == "cifar-100-python" else "data_batch_1")).write_bytes(b"")
    assert load(tmp_path) == clean


def test_classes_may_be_called_as_our_folders_are(tmp_path: Path) -> None:
    names = ("checkpoints", "figures", "packed", "studies")
    images(tmp_path / "set", names)
    data = load_data(DataConfig(source="image_folder", root=str(tmp_path), folder="set"))
    assert data.class_names == names


def test_notes_and_drawings_beside_images_do_not_make_a_class_ours(tmp_path: Path) -> None:
    images(tmp_path / "set")
    for i in range(6):
        (tmp_path / "set" / "cat" / f"{i}.png.json").write_text('{"camera": 1}')
        (tmp_path / "set" / "dog" / f"{i}.svg").write_text("<svg/>")
    data = load_data(DataConfig(source="image_folder", root=str(tmp_path), folder="set"))
    assert data.class_names == ("cat", "dog")


def test_an_empty_class_is_still_refused(tmp_path: Path) -> None:
    images(tmp_path)
    (tmp_path / "owl" / "1").mkdir(parents=True)
    with pytest.raises(UserError, match="the class folder owl is empty or missing"):
        load(tmp_path)
