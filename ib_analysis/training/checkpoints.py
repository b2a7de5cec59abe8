"""What is kept of a training run: listed epochs for ever, the latest state until the run is done."""

from __future__ import annotations

import hashlib
import logging
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from ib_analysis.artifacts import Artifact, UserError, load_tensors, save_tensors
from ib_analysis.encoders import TappedNetwork
from ib_analysis.training.history import holds_history

__all__ = ["Checkpoints", "checkpoint_artifact", "history_path", "is_complete", "load_encoder"]

logger = logging.getLogger(__name__)


def checkpoint_artifact(
    folder: Path, epoch: int, *, recipe: Mapping[str, Any], data_sha256: str, seed: int
) -> Artifact:
    """One checkpoint as an artifact; its identity is a hash of the network's weights."""
    return Artifact(_path(folder, epoch), "encoder", recipe, {"data": data_sha256}, seed)


def is_complete(folder: Path, epochs: Sequence[int], *, recipe: Mapping[str, Any], data_sha256: str, seed: int) -> bool:
    """Whether a run has left everything it should, and nothing to go on from: else `train` has work to do.

    Arguments:
        folder: the run's folder.
        epochs: the epochs that are kept (see `checkpoint_epochs`).
        recipe, data_sha256, seed: what the run is made from.

    Returns:
        True if every checkpoint is complete, ``training.csv`` goes up to the last epoch and ``resume.pt`` is gone.
    """
    if _resume_path(folder).exists() or not holds_history(history_path(folder), max(epochs)):
        return False
    artifacts = (
        checkpoint_artifact(folder, epoch, recipe=recipe, data_sha256=data_sha256, seed=seed) for epoch in epochs
    )
    return all(artifact.status() == "complete" for artifact in artifacts)


def load_encoder(folder: Path, epoch: int, encoder: TappedNetwork) -> TappedNetwork:
    """Put the weights of an epoch into a network built from the same config, and set it to evaluation mode.

    Arguments:
        folder: the run's folder.
        epoch: one of the listed epochs.
        encoder: changed in place and returned.

    Raises:
        UserError: there is no such checkpoint, it is damaged, or it is of another network.
    """
    path = _path(folder, epoch)
    try:
        encoder.load_state_dict(load_tensors(path)["state_dict"])
    except (RuntimeError, KeyError) as error:
        raise UserError(
            f"{path} holds the weights of another network; give this experiment another name, or remove "
            "the file to train it again."
        ) from error
    return encoder.eval()


def _path(folder: Path, epoch: int) -> Path:
    return folder / f"epoch_{epoch:04d}.pt"


def _resume_path(folder: Path) -> Path:
    return folder / "resume.pt"


def history_path(folder: Path) -> Path:
    """Where the table of a run is."""
    return folder / "training.csv"


class Checkpoints:
    """The states of one run on disk, each with everything that is needed to go on from it.

    Arguments:
        folder: the run's folder.
        epochs: the epochs that are kept.
        recipe, data_sha256, seed: what the run is made from.

    Raises:
        UserError: the folder holds checkpoints of another config.
    """

    def __init__(
        self, folder: Path, epochs: list[int], *, recipe: Mapping[str, Any], data_sha256: str, seed: int
    ) -> None:
        self.folder, self.epochs = folder, epochs
        self._artifacts = {
            epoch: checkpoint_artifact(folder, epoch, recipe=recipe, data_sha256=data_sha256, seed=seed)
            for epoch in epochs
        }
        for artifact in self._artifacts.values():
            artifact.check()
        self._recipe = self._artifacts[epochs[0]].begun
        self._resume = _resume_path(folder)
        self._resume_epoch = -1
        states = {epoch: artifact.status() for epoch, artifact in self._artifacts.items()}
        self.missing = [epoch for epoch, state in states.items() if state != "complete"]
        last_intact = max(set(epochs) - set(self.missing), default=-1)
        for epoch in self.missing:
            if epoch < last_intact or _path(folder, epoch).exists():
                logger.warning("%s is missing, unfinished or damaged and is made again.", _path(folder, epoch))

    def latest(self, up_to: int) -> dict[str, Any] | None:
        """The intact state of the highest epoch that is at most ``up_to``, or None."""
        kept = [epoch for epoch in self.epochs if epoch <= up_to and epoch not in self.missing]
        best = load_tensors(_path(self.folder, kept[-1])) if kept else None
        resume = self._load_resume()
        if resume is not None and (best is None or resume["epoch"] > best["epoch"]) and resume["epoch"] <= up_to:
            return resume
        return best

    def save_resume(self, state: Mapping[str, Any]) -> None:
        """Keep a state to go on from, unless a later one is kept already."""
        if state["epoch"] > self._resume_epoch:
            save_tensors(self._resume, canonical({**state, "recipe": self._recipe}))
            self._resume_epoch = state["epoch"]

    def save(self, state: Mapping[str, Any]) -> None:
        """Keep a listed epoch."""
        artifact = self._artifacts[state["epoch"]]
        artifact.begin()
        save_tensors(artifact.path, canonical({**state, "config": artifact.recipe}))
        artifact.finish(identity=hash_of_weights(state["state_dict"]), epoch=state["epoch"])
        self.missing.remove(state["epoch"])

    def close(self) -> None:
        """All is done: the last checkpoint holds what the resume state holds."""
        self._resume.unlink(missing_ok=True)

    def _load_resume(self) -> dict[str, Any] | None:
        if not self._resume.exists():
            return None
        try:
            state = load_tensors(self._resume)
        except UserError:
            logger.warning("%s is damaged; training goes on from the checkpoint before it.", self._resume)
            self._resume.unlink(missing_ok=True)
            return None
        if state.get("recipe") != self._recipe:
            return None  # of another config or other images; the next epoch replaces it
        self._resume_epoch = state["epoch"]
        return state


def canonical(value: Any) -> Any:
    """Copy nested containers so that equal states are saved as equal bytes.

    Pickle writes a string that it has met before as a reference, but knows it only by its identity: a state
    that was loaded and one that was computed would differ.
    """
    if isinstance(value, Mapping):
        return {canonical(key): canonical(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [canonical(item) for item in value]
    return sys.intern(value) if isinstance(value, str) else value


def hash_of_weights(state_dict: Mapping[str, Tensor]) -> str:
    """SHA-256 of names, types, shapes and values: equal weights have equal hashes, however they were saved."""
    digest = hashlib.sha256()
    for name in sorted(state_dict):
        values = np.ascontiguousarray(state_dict[name].detach().cpu().numpy())
        digest.update(f"{name} {values.dtype.str} {values.shape}".encode())
        digest.update(values.tobytes())
    return digest.hexdigest()
