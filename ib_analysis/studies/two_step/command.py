"""`ib two-step`: train, evaluate, tabulate and draw, going on wherever an earlier call was interrupted."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ib_analysis.drawn import draw_unless_drawn, show_paths
from ib_analysis.experiment import Experiment
from ib_analysis.information.plain_text import align
from ib_analysis.studies.trained import train_missing
from ib_analysis.studies.two_step.config import TwoStepConfig
from ib_analysis.studies.two_step.plan import TwoStep
from ib_analysis.studies.two_step.table import DIFFERENCE, NETWORKS, TwoStepDifferenceRow, TwoStepRow, tabulate

__all__ = ["check", "extent", "run", "summary"]

_VERDICTS = {
    "better": "two steps are better than one",
    "worse": "two steps are worse than one",
    "undecided": "the interval holds 0: which is better is not decided",
    "one_seed": "one seed: its spread is not known, the interval is over images alone, and nothing is decided",
}


def check(experiment: Experiment, settings: TwoStepConfig) -> None:
    """Refuse what cannot be run, before anything is trained.

    Raises:
        UserError: the experiment's network cannot be binary, or has too few epochs for two steps.
    """
    TwoStep(experiment, settings)


def extent(experiment: Experiment, settings: TwoStepConfig) -> str:
    """What the study adds to an experiment, in words."""
    return f"networks: {len(TwoStep(experiment, settings).arms)}"


def run(experiment: Experiment, settings: TwoStepConfig) -> None:
    """Run whatever is missing, draw it and print the tables.

    Trains binary classifiers on the experiment's encoder images, each seed in one step and in two. Writes
    ``two_step.csv`` and ``two_step_difference.csv`` under ``checkpoints/<experiment>/studies/two_step``, and the figure
    ``two_step``.

    Raises:
        UserError: a user's mistake; nothing computed is lost.
    """
    study = TwoStep(experiment, settings)
    train_missing(experiment, study.folder, list(study.networks.values()))
    rows, difference = tabulate(study)
    paths = _draw(study)
    print(summary(rows, difference))
    print()
    show_paths(paths)


def summary(rows: Sequence[TwoStepRow], difference: TwoStepDifferenceRow) -> str:
    """A line per network, the difference with its interval, and what follows."""
    lines = [["steps", "seed", "accuracy, %", "on training images, %", "loss, bits"]]
    for row in sorted(rows, key=lambda row: (row.steps, row.seed)):
        accuracy = _in_percent(row.test_accuracy, row.test_accuracy_low, row.test_accuracy_high)
        lines.append(
            [str(row.steps), str(row.seed), accuracy, f"{100 * row.train_accuracy:.2f}", f"{row.test_loss_bits:.3f}"]
        )
    found = _in_percent(difference.difference, difference.difference_low, difference.difference_high)
    return "\n".join(
        [
            f"Binary classifiers after {rows[0].epochs} epochs, accuracy on {difference.n_images:,} evaluation images",
            *align(lines),
            "",
            f"Two steps minus one, mean of {difference.n_seeds} seed{'s' if difference.n_seeds > 1 else ''}: {found} "
            f"percentage points (single seeds {100 * difference.lowest:.2f} to {100 * difference.highest:.2f}); "
            f"{_VERDICTS[difference.verdict]}.",
        ]
    )


def _in_percent(estimate: float, low: float, high: float) -> str:
    return f"{100 * estimate:.2f} [{100 * low:.2f}, {100 * high:.2f}]"


def _draw(study: TwoStep) -> list[Path]:
    def drawn() -> list[Path]:
        from ib_analysis.plots.style import save_all  # matplotlib is slow to import
        from ib_analysis.studies.two_step.figure import draw

        return save_all(draw(study.folder), study.experiment.figures)

    sources = [study.folder / NETWORKS, study.folder / DIFFERENCE]
    return draw_unless_drawn(study.experiment.figures, "two-step", sources, drawn)
