"""`ib calibrate`: fit, measure, tabulate and draw a calibration, going on wherever an earlier call was interrupted."""

from __future__ import annotations

from pathlib import Path

import torch
import yaml

from ib_analysis.artifacts import UserError, plain, write_text
from ib_analysis.drawn import draw_unless_drawn, show_paths
from ib_analysis.engines.local import Workers, clear_remains, exclusive
from ib_analysis.studies.calibration.config import CalibrationConfig
from ib_analysis.studies.calibration.fit import base_units, fit_units, measure_units
from ib_analysis.studies.calibration.plan import Calibration
from ib_analysis.studies.calibration.table import summary, tabulate

__all__ = ["calibrate"]


def calibrate(config: CalibrationConfig) -> None:
    """Run whatever is missing of a calibration, draw its figure and print its table.

    Writes ``calibration.csv`` (see `ib_analysis.studies.calibration.rows`) beside the decoders and code lengths
    under ``checkpoints/<name>``, and the figure under ``figures/<name>``.

    Raises:
        UserError: a user's mistake (other config, full disk, another process at work); nothing computed is lost.
    """
    calibration = Calibration(config)
    if any(fit.full for fit in calibration.fits) and not torch.cuda.is_available():
        raise UserError("full fits decoders of 32x32 images, which takes days without a GPU; leave it out here.")
    with exclusive(calibration.folder / ".lock", str(calibration.folder)):
        clear_remains(calibration.folder)
        with Workers(calibration.workers, config.threads, calibration.folder) as workers:
            workers.run("base", base_units(calibration))
            workers.run("fit", fit_units(calibration))
            workers.run("measure", measure_units(calibration))
        rows = tabulate(calibration)
        # Not before: a config that the artifacts refuse must not replace the one that made them.
        text = yaml.safe_dump(plain(config), sort_keys=False, width=110)
        write_text(calibration.folder / "config.yaml", text)
        show_paths(_draw(calibration))
    print()
    print(summary(rows))


def _draw(calibration: Calibration) -> list[Path]:
    def drawn() -> list[Path]:
        from ib_analysis.plots.style import save_all  # matplotlib is slow to import
        from ib_analysis.studies.calibration.figure import draw

        return save_all(draw(calibration.table), calibration.figures)

    return draw_unless_drawn(calibration.figures, "calibration", [calibration.table], drawn)
