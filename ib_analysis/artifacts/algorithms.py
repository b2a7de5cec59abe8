"""Which way of computing an artifact is the present one: numbers that are raised when results change."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["ALGORITHMS", "number_of"]

# Raise a number when the same config, inputs and seed give other results than before: a mended fault, another default
# inside the code, a further array or column. What was made under another number is made again, with everything that is
# made from it and comes out different; nothing else is touched. Leave it where results stay the same to the last bits,
# or where what was made before is right, if not the best: fits and measurements cost hours. A new setting needs no
# other number (see `ib_analysis.artifacts.settings`). 1 is what a manifest without a number means.
ALGORITHMS: dict[str, int] = {
    # Training, forward passes, and what is read from the weights.
    "encoder": 1,
    "activations": 1,
    "numbers": 1,
    "codes": 1,
    "counts": 2,  # over all images of the source
    "integers": 1,
    "probes": 2,  # better regularised, and reduced features of wide layers
    # Fits of decoders, those of studies and of densities of codes too. That conditions are clipped came without a new
    # number, here and for code lengths: it shortens them only where an activation lies beyond the limit, and what was
    # measured without is a valid code length all the same.
    "decoder": 1,
    "reader": 2,  # every cell's own 3x3 or dense entry, large values squashed
    "base": 1,
    "base_features": 1,
    # Code lengths of images, and of codes.
    "code_lengths": 1,
    "code_lengths_of_codes": 1,
    "samples": 1,
    "evaluation": 1,
    # All tables, and code_lengths.h5 with them: estimates, intervals, phases, warnings, the rows of studies.
    # 2: the bound on I(H;Y), the upper bound on I(X;H), what is stored. 3: changes between the ends of fits, notes.
    # 4: gain and loss are warned of apart. 5: intervals widened by 1.25 times the change.
    "tables": 5,
    "figures": 3,  # of all experiments and studies, and pages (see `ib_analysis.drawn`)
    "packed_images": 1,
    # Of a search among networks: which of them are its front, and what they took when timed at the end.
    "network_search_front": 1,
    "final_timings": 1,
}
"""Name of an algorithm -> its number."""


def number_of(recipe: Mapping[str, Any]) -> int:
    """The number of the algorithm that a recorded recipe tells of.

    >>> number_of({"kind": "probes", "algorithm": 3}), number_of({"kind": "probes"})
    (3, 1)
    """
    return int(recipe.get("algorithm", 1))
