"""A run looks at its images once, in however many processes; the next run looks again."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import textwrap
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ib_analysis.data import DataConfig, ImageData, forget, image_space, load_data, split_sizes

ROOT = Path(__file__).parents[2]
# Imported by every process of a run before anything else: notes each walk over images and each hash of packed ones.
NOTES = """
    import hashlib, os, sys
    walk, digest = os.walk, hashlib.file_digest

    def note(what):
        with open({log!r}, "a") as file:
            file.write(what + " ")

    def noted_walk(*arguments, **options):
        if sys._getframe(1).f_code.co_filename.endswith("archive.py"):
            note("walk")
        return walk(*arguments, **options)

    def noted_digest(file, *arguments):
        if "packed" in os.path.abspath(file.name).split("/"):
            note("hash")
        return digest(file, *arguments)

    os.walk, hashlib.file_digest = noted_walk, noted_digest
    note("process")
"""


def images(root: Path, n: int = 20) -> None:
    rng = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (root / name).mkdir(parents=True)
        for i in range(n):
            Image.fromarray(rng.integers(256, size=(8, 8)).astype(np.uint8)).save(root / name / f"{i}.png")


def test_one_walk_and_one_hash_per_run_although_every_worker_loads_images(tiny: Path) -> None:
    folder = tiny.parent
    images(folder, n=100)
    text = tiny.read_text().replace("epochs: 2, batch_size: 32, checkpoints: [0, 2]", "epochs: 1, checkpoints: [1]")
    text = text.replace("factors: {n_encoder: 64, n_decoder: 80, n_evaluation: 24}", "source: image_folder")
    tiny.write_text(text.replace("workers: 1", "workers: 2"))
    log, notes = folder / "log.txt", folder / ".notes"
    notes.mkdir()
    (notes / "sitecustomize.py").write_text(textwrap.dedent(NOTES).format(log=str(log)))
    # Everything in one folder: images, packed images, checkpoints; see `test_own_files`.
    command = [sys.executable, "-m", "ib_analysis.cli", "train", str(tiny), "--data.root", ".", "--data.folder", "."]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(notes), str(ROOT)])}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=folder)
    assert done.returncode == 0, done.stderr
    found = Counter(log.read_text().split())
    assert found["process"] >= 3  # the main one and two workers, beside Python's own resource tracker
    assert (found["walk"], found["hash"]) == (1, 1)


class Looks:
    """Counts walks over images and hashes of packed files in this process."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count: Counter[str] = Counter()
        walk, digest = os.walk, hashlib.file_digest

        def noted_walk(*arguments, **options):
            self.count["walk"] += 1
            return walk(*arguments, **options)

        def noted_digest(*arguments):
            self.count["hash"] += 1
            return digest(*arguments)

        monkeypatch.setattr(os, "walk", noted_walk)
        monkeypatch.setattr(hashlib, "file_digest", noted_digest)

    def since(self) -> tuple[int, int]:
        found = self.count["walk"], self.count["hash"]
        self.count.clear()
        return found


def flip_a_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_what_was_changed_or_damaged_is_found_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images(tmp_path / "set")
    config = DataConfig(source="image_folder", root=str(tmp_path), folder="set")
    looks = Looks(monkeypatch)
    forget()

    def load(recheck: bool = False) -> ImageData:
        return load_data(config, recheck=recheck)

    healthy = load().sha256
    assert looks.since() == (1, 1)
    assert load().sha256 == healthy
    assert image_space(config, recheck=False).image_shape == (1, 8, 8)
    assert sum(split_sizes(config, recheck=False).values()) == 40
    assert looks.since() == (0, 0)
    # Another form of the same images is another packed file.
    load_data(DataConfig(source="image_folder", root=str(tmp_path), folder="set", resolution=4), recheck=False)
    assert looks.since() == (1, 1)

    # Damage that shows in size or time is found even in the same run,
    (packed,) = (path for path in (tmp_path / "packed").glob("*.h5") if image_side(path) == 8)
    flip_a_byte(packed)
    assert load().sha256 == healthy
    assert looks.since() == (1, 2)  # hashed, found damaged, and hashed when it was packed again
    # damage that hides itself by the next run at the latest,
    status = packed.stat()
    flip_a_byte(packed)
    os.utime(packed, ns=(status.st_atime_ns, status.st_mtime_ns))
    forget()
    assert load().sha256 == healthy
    assert looks.since() == (1, 2)
    # and so are changed images; whoever asks for it has them compared at any time.
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / "set" / "cat" / "0.png")
    assert load().sha256 == healthy
    assert looks.since() == (0, 0)
    assert load(recheck=True).sha256 != healthy


def image_side(path: Path) -> int:
    import h5py

    with h5py.File(path) as file:
        return file["images"].shape[-1]
