"""Stream ablation: what a trained classifier is still worth where one stream of one block is set to zero."""

from ib_analysis.studies.stream_ablation.command import check, extent, run
from ib_analysis.studies.stream_ablation.config import StreamAblationConfig

__all__ = ["CONFIG", "StreamAblationConfig", "check", "extent", "run"]

CONFIG = StreamAblationConfig
