"""What the search for tests and doctests leaves out."""

from __future__ import annotations

import importlib.util

# Modules that are imported only where an optional extra is installed.
collect_ignore = (
    []
    if importlib.util.find_spec("numba")
    else ["ib_analysis/binary/packed_kernels.py", "ib_analysis/binary/packed_lanes.py"]
)
