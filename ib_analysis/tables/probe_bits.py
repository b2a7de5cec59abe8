"""The bits that the probes of one cell read of a target."""

from __future__ import annotations

import numpy as np

from ib_analysis.information.estimates import information_from_probes
from ib_analysis.information.intervals import Bootstrap, Interval
from ib_analysis.records.probes import best_kind

__all__ = ["probe_bits"]


def probe_bits(probes: dict[str, np.ndarray], name: str, entropy: float, bootstrap: Bootstrap) -> Interval:
    """H - cross-entropy of the probe that is better on the validation slice, in bits, with its interval.

    Arguments:
        probes: arrays of one cell's probes (see `probe_artifact`).
        name: of the target.
        entropy: H of the target, in bits.
    """
    chosen = probes[f"{name}/{best_kind(probes, name)}"]
    return information_from_probes({name: entropy}, {name: chosen}, bootstrap)[name]
