"""Recording what the layers of any torch network make of images, into an activations file."""

from ib_analysis.recording.listing import TapLine, list_taps
from ib_analysis.recording.record import record

__all__ = ["TapLine", "list_taps", "record"]
