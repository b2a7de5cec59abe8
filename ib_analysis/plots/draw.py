"""All figures of an experiment: the list of what there is, and drawing everything whose artifacts exist."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure

from ib_analysis.artifacts import UserError
from ib_analysis.plots import (
    brackets,
    certificates,
    conditional_samples,
    counted,
    factors_by_epoch,
    information_by_epoch,
    information_maps,
    information_plane,
    number_formats,
    phases,
    reconstructions,
    spike_ins,
    streams,
    training_curves,
)
from ib_analysis.plots.page import write_samples_page
from ib_analysis.plots.saved import SavedExperiment
from ib_analysis.plots.style import save_all

__all__ = ["FIGURES", "FigureKind", "draw_all"]


@dataclass(frozen=True)
class FigureKind:
    """A kind of figure: how it is drawn, and the artifacts it is drawn from (patterns in the experiment's folder)."""

    draw: Callable[[SavedExperiment], Iterator[tuple[str, Figure]]]
    needs: tuple[str, ...]

    def missing(self, folder: Path) -> list[str]:
        """The artifacts that are not there."""
        return [pattern for pattern in self.needs if next(folder.glob(pattern), None) is None]


_MEASURED = ("data.json", "information.csv")
_PAGE_NEEDS = (*_MEASURED, "samples.h5")

FIGURES = (
    FigureKind(training_curves.draw, ("encoders/*_seed*/training.csv",)),
    FigureKind(information_plane.draw, _MEASURED),
    FigureKind(information_by_epoch.draw, _MEASURED),
    FigureKind(factors_by_epoch.draw, (*_MEASURED, "factors.csv")),
    FigureKind(spike_ins.draw, _MEASURED),
    FigureKind(phases.draw, ("data.json", "phases.csv")),
    FigureKind(information_maps.draw, (*_MEASURED, "phases.csv", "code_lengths.h5")),
    FigureKind(certificates.draw, ("certificates.csv", "decoders/**/curve.csv")),
    FigureKind(number_formats.draw, (*_MEASURED, "encoders/*_seed*/training.csv")),
    FigureKind(brackets.draw, (*_MEASURED, "brackets.csv")),
    FigureKind(counted.draw, ("data.json", "counted.csv")),
    FigureKind(streams.draw, (*_MEASURED, "streams.csv")),
    FigureKind(reconstructions.draw, ("samples.h5",)),
    FigureKind(conditional_samples.draw, (*_MEASURED, "samples.h5")),
)


def draw_all(experiment_folder: Path, figures_folder: Path) -> list[Path]:
    """Draw every figure, and write the page of samples, whose artifacts exist.

    Arguments:
        experiment_folder: where the artifacts are, for example ``checkpoints/default``; only read.
        figures_folder: where this experiment's figures go, for example ``figures/default``.

    Returns:
        The paths of what was written: PNG and SVG of each figure, and ``samples.html``.

    Raises:
        UserError: there is nothing to draw from, an artifact is damaged, or a file cannot be written.
    """
    saved = SavedExperiment(experiment_folder)
    ready = [kind for kind in FIGURES if not kind.missing(experiment_folder)]
    if not ready:
        raise UserError(
            f"{experiment_folder} holds nothing to draw (no training.csv, no information.csv, no samples.h5); run "
            f"`ib figures {saved.name}`, which makes what is missing first."
        )
    written = save_all((drawn for kind in ready for drawn in kind.draw(saved)), figures_folder)
    if not FigureKind(conditional_samples.draw, _PAGE_NEEDS).missing(experiment_folder):
        written.append(write_samples_page(experiment_folder, figures_folder))
    return written
