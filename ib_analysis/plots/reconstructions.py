"""What an autoencoder gives back, epoch by epoch, under the original images."""

from __future__ import annotations

from collections.abc import Iterator

from matplotlib.figure import Figure

from ib_analysis.artifacts import UserError
from ib_analysis.plots.mosaic import displayable
from ib_analysis.plots.picture_grid import Column, PictureGrid
from ib_analysis.plots.saved import Run, SavedExperiment
from ib_analysis.plots.style import framed, task_title

__all__ = ["draw"]

_MOST_IMAGES = 8


def draw(saved: SavedExperiment) -> Iterator[tuple[str, Figure]]:
    """One figure per number format and task (its lowest encoder seed): originals above, then a row per epoch.

    Nothing is drawn where no run gives images back.

    Raises:
        UserError: ``samples.h5`` is missing or damaged.
    """
    runs: dict[tuple[str, str], Run] = {}
    for run, _ in sorted(saved.samples.reconstructions):
        runs.setdefault(_panel(run), run)
    for (task, number_format), run in runs.items():
        beside = [] if task == "autoencoding" else [task]
        beside += [] if number_format == "float32" else [number_format]
        yield "_".join(["reconstructions", *beside]), _figure(saved, run)


def _panel(run: Run) -> tuple[str, str]:
    return run.task, run.number_format


def _figure(saved: SavedExperiment, run: Run) -> Figure:
    samples = saved.samples
    epochs = sorted(epoch for other, epoch in samples.reconstructions if other == run)
    pictures = [samples.originals, *(samples.reconstructions[run, epoch] for epoch in epochs)]
    blocks = [[list(displayable(images[:_MOST_IMAGES], samples.intensities))] for images in pictures]
    psnr = _held_out_psnr(saved, run)
    others = sorted({other for other, _ in samples.reconstructions if _panel(other) == _panel(run)})
    seeds = [_held_out_psnr(saved, other) for other in others]
    labels = ["original"]
    for epoch in epochs:
        quality = f"\n{psnr[epoch]:.1f} dB" if epoch in psnr else ""
        all_seeds = [of_seed[epoch] for of_seed in seeds if epoch in of_seed]
        if quality and len(all_seeds) > 1:
            quality += f"\n({min(all_seeds):.1f}…{max(all_seeds):.1f})"
        labels.append(f"epoch {epoch}{quality}")
    notes = ["dB: peak signal-to-noise ratio over all held-out images at that epoch."] if psnr else []
    if len(others) > 1:
        notes.append(
            f"Images: encoder seed {run.encoder_seed}. In brackets: the lowest and the highest of {len(others)} "
            "encoder seeds."
        )
    grid = PictureGrid([Column((), blocks)], (), labels, largest_inches=0.55)
    figure, body = framed(
        "Reconstructions",
        f"Held-out images (first row), and what the {_maker(run)} makes of them at epochs of its training.",
        notes,
        body_inches=grid.height_inches,
    )
    grid.draw(body)
    return figure


def _maker(run: Run) -> str:
    return "autoencoder" if run.task == "autoencoding" else f"network of both tasks ({task_title(run.task)})"


def _held_out_psnr(saved: SavedExperiment, run: Run) -> dict[int, float]:
    """epoch -> PSNR in dB, where the training's record is there."""
    try:
        points = saved.training.get(run, ())
    except UserError:
        return {}
    return {point.epoch: point.psnr_db for point in points if point.split != "train" and point.psnr_db is not None}
