"""The instrument against exactly known truths: coins and factors through channels of known capacity."""

from ib_analysis.studies.calibration.command import calibrate
from ib_analysis.studies.calibration.config import CalibrationConfig

__all__ = ["CalibrationConfig", "calibrate"]
