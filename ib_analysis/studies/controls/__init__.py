"""Controls: where it is known what the instrument must find, does it?"""

from ib_analysis.studies.controls.command import check, extent, run
from ib_analysis.studies.controls.config import ControlsConfig

__all__ = ["CONFIG", "ControlsConfig", "check", "extent", "run"]

CONFIG = ControlsConfig
