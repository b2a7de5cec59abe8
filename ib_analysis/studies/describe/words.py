"""Words that descriptions share: sizes, durations, how long fits are, what the base takes."""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path

from ib_analysis.experiment import BASE, Experiment
from ib_analysis.records.bases import BASES
from ib_analysis.studies.describe.base_cost import BaseCost

__all__ = ["base_lines", "disk_warning", "duration", "free_bytes", "size", "steps"]

SHIPS = (
    "base: one of this recipe ships with the package, and is taken in place of a fit if it was fitted to these images"
)


def steps(experiment: Experiment) -> str:
    """Steps of one fit, or how many the shortest and the longest have."""
    numbers = {experiment.fitting_for(fit).steps for fit in experiment.fits if fit.key != BASE}
    return " to ".join(f"{number:,}" for number in sorted({min(numbers), max(numbers)}))


def base_lines(experiment: Experiment, found: BaseCost | None) -> list[str]:
    """What the base and its features take; nothing without one."""
    if found is None:
        return []
    config = experiment.config
    features = "its features are computed again whenever readers need them"
    if found.feature_bytes:
        features = (
            f"its features of these images: {size(found.feature_bytes)}, {found.feature_flops:.2e} FLOPs, "
            f"{duration(found.feature_seconds)}"
        )
    return [
        f"base (ib base {shlex.quote(config.name)}; once for all experiments on these images, kept in "
        f"{Path(config.checkpoints) / BASES}): {found.parameters:,} parameters, "
        f"{config.base_fitting.steps:,} steps of {config.base_fitting.batch_size} images, "
        f"{found.flops:.2e} FLOPs, {duration(found.seconds)}; {found.flops_per_image:,} FLOPs an image forward; "
        f"{features}",
        *([SHIPS] * found.ships),
    ]


def free_bytes(folder: Path) -> int:
    """What the disk that a folder lies on, or will, has room for."""
    return shutil.disk_usage(_existing(folder)).free


def disk_warning(needed: float, free: float) -> list[str]:
    """A sentence where it does not fit."""
    if needed <= free:
        return []
    return [
        "WARNING: this does not fit on the disk; use --activations.mode recompute, fewer checkpoints, or "
        "--checkpoints FOLDER on a larger disk"
    ]


def _existing(folder: Path) -> Path:
    folder = folder.absolute()
    while not folder.exists():
        folder = folder.parent
    return folder


def size(count: float) -> str:
    """
    >>> size(3 * 2**30)
    '3.0 GiB'
    """
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"


def duration(seconds: float) -> str:
    """
    >>> duration(90), duration(7300)
    ('2 min', '2.0 h')
    """
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
