"""What everything depends on that is made of the activations of one cell."""

from __future__ import annotations

from typing import Any

from ib_analysis.experiment import Experiment, Run, cell_name
from ib_analysis.records.encoders import encoder_identities
from ib_analysis.records.images import data_section, images_of

__all__ = ["cell_recipe"]


def cell_recipe(
    experiment: Experiment, run: Run, cell: tuple[int, str], **own: Any
) -> tuple[dict[str, Any], dict[str, str]]:
    """Config and inputs of an artifact that is made of a cell's activations.

    Arguments:
        cell: (epoch, layer).
        own: what else is chosen.

    Raises:
        UserError: the run is not trained yet.
    """
    config = {
        **own,
        "cell": cell_name(*cell),
        "group_size": experiment.config.activations.group_size,
        "data": data_section(experiment),
    }
    encoder = encoder_identities(experiment, run)[cell[0]]
    return config, {"data": images_of(experiment).sha256, "encoder": encoder}
