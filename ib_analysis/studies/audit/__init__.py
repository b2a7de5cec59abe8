"""One decoder for many cells: is it as good as a decoder of its own for each?"""

from ib_analysis.studies.audit.command import check, extent, run
from ib_analysis.studies.audit.config import AuditConfig

__all__ = ["CONFIG", "AuditConfig", "check", "extent", "run"]

CONFIG = AuditConfig
