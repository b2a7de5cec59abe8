"""Search for architectures whose networks are trained here: objectives error and what a device imposes."""

from ib_analysis.studies.network_search.command import check, extent, run
from ib_analysis.studies.network_search.config import NetworkSearchConfig

__all__ = ["CONFIG", "NetworkSearchConfig", "check", "extent", "run"]

CONFIG = NetworkSearchConfig
