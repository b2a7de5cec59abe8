"""What the search for tests and doctests leaves out."""

from __future__ import annotations

import importlib.util

# Modules that are imported only where something optional is installed.
NEEDS = {"numba": ["packed_comparison.py", "packed_kernels.py", "packed_lanes.py"], "triton": ["packed_triton.py"]}

collect_ignore = [
    f"ib_analysis/binary/{name}"
    for package, names in NEEDS.items()
    if importlib.util.find_spec(package) is None
    for name in names
]
