import hashlib
import os

import numpy as np
import torch
from accelerate import Accelerator
from torch import nn

from ib_analysis.data.interface import ImageData, Split
from ib_analysis.encoders import EncoderConfig, NamedTaps, build_encoder
from ib_analysis.training import TrainingConfig, train


def make_data(n_encoder=60, n_evaluation=33, size=8, augment=True, seed=0):
    """Images whose class is where the bright half lies: easy to learn."""
    rng = np.random.default_rng(seed)

    def split(n):
        labels = rng.integers(0, 3, n)
        images = rng.integers(0, 8, (n, 1, size, size))
        half = size // 2
        for image, label in zip(images, labels, strict=True):
            area = [np.s_[:half], np.s_[half:], np.s_[:, :half]][label]
            image[0][area] += 8
        return Split(images.astype(np.uint8), labels, np.arange(n), {})

    return ImageData(
        name="halves",
        intensities=16,
        class_names=("top", "bottom", "left"),
        encoder=split(n_encoder),
        decoder=split(10),
        evaluation=split(n_evaluation),
        n_validation=5,
        h_x_bits=None,
        h_y_bits=1.58,
        augment=augment,
    )


def make_encoder(task="classification", seed=0):
    return build_encoder(EncoderConfig(depth=8, width=4), task, (1, 8, 8), 16, 3, seed)


def make_linear():
    """Logits from pixels: no batch normalisation, so that a step can be written out by hand."""
    torch.manual_seed(0)
    return NamedTaps(nn.Sequential(nn.Flatten(), nn.Linear(64, 3)), {"h1": "0"}, lambda images: images.float() / 15)


CONFIG = TrainingConfig(epochs=5, batch_size=16, learning_rate=0.05, checkpoints=(0, 1, 3), warmup_epochs=1)


def run(folder, task="classification", config=CONFIG, data=None, encoder=None, **options):
    torch.set_num_threads(1)
    return train(
        encoder or make_encoder(task),
        task,
        data or make_data(),
        config,
        **{"seed": 3, "folder": folder, "recipe": {"task": task, "width": 4}, **options},
    )


def contents(folder):
    """File name -> hash of its bytes."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


def data_parallel(rank, port, folder):
    """One of two processes that train together."""
    os.environ |= {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": "2",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "ACCELERATE_USE_CPU": "true",
    }
    accelerator = Accelerator(cpu=True)
    assert accelerator.num_processes == 2
    run(folder, data=make_data(n_encoder=64), encoder=make_linear(), accelerator=accelerator)
    accelerator.end_training()
