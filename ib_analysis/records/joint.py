"""Readers of several runs (`sharing: across_runs`): which runs one reads, and what its cells are called."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ib_analysis.activations import joined_layer
from ib_analysis.artifacts import Artifact, UserError
from ib_analysis.experiment import Experiment, Fit, Run, cell_name
from ib_analysis.records.encoders import encoder_identities, layer_shapes

__all__ = ["JointReader", "decoder_key", "described_runs", "joint_reader", "name_in_decoder"]


@dataclass(frozen=True)
class JointReader:
    """One reader of one layer for all epochs of several runs.

    Arguments:
        key: its name among the experiment's decoders.
        runs: whose layer it reads, in the order of its cells.
        decoder_seed: its seed.
        layer: the tap, of one shape in all runs.
        epochs: checkpoints of every run.
    """

    key: str
    runs: tuple[Run, ...]
    decoder_seed: int
    layer: str
    epochs: tuple[int, ...]

    @property
    def cells(self) -> tuple[tuple[int, str], ...]:
        """(epoch, layer) of all cells, layers by the names that `JoinedActivations` gives them."""
        return tuple((epoch, joined_layer(run.key, self.layer)) for run in self.runs for epoch in self.epochs)

    def inputs(self, experiment: Experiment) -> dict[str, str]:
        """What of the encoders it is made from: name -> hash.

        Raises:
            UserError: one of them is not trained yet.
        """
        found: dict[str, str] = {}
        for run in self.runs:
            identities = encoder_identities(experiment, run)
            found |= {f"encoder {run.key} at epoch {epoch}": identities[epoch] for epoch in sorted(self.epochs)}
        return found


def joint_reader(experiment: Experiment, fit: Fit) -> JointReader:
    """The reader that a part belongs to.

    It reads all runs of the experiment in which the layer has the part's shape. Where it was fitted for more runs than
    the experiment has now, it is that reader, so that a selection of the runs can be looked at without another fit.

    Arguments:
        fit: a part (`Fit.joint`).
    """
    assert fit.run is not None
    layer, epochs = fit.cells[0][1], tuple(epoch for epoch, _ in fit.cells)
    shapes = {run: layer_shapes(experiment, run)[layer] for run in experiment.runs}
    runs = tuple(run for run in experiment.runs if shapes[run] == shapes[fit.run])
    key = f"across_runs_decoder{fit.decoder_seed}/{layer}"
    if runs[0] != experiment.runs[0]:  # beside those of another shape
        key += "_" + "x".join(map(str, shapes[fit.run]))
    chosen = JointReader(key, runs, fit.decoder_seed, layer, epochs)
    return _fitted_for_more(experiment, chosen) or chosen


def _fitted_for_more(experiment: Experiment, chosen: JointReader) -> JointReader | None:
    """The finished reader of these runs and others, from the same encoders as are there now."""
    path = experiment.decoder_folder(chosen.key) / "decoder.pt"
    found = Artifact(path, "decoder", {}).manifest()
    if found is None or not found.get("complete"):
        return None
    try:
        runs = tuple(Run(**described) for described in found["recipe"]["config"]["runs"])
        if not set(chosen.runs) < set(runs):
            return None
        larger = dataclasses.replace(chosen, runs=runs)
        same = larger.inputs(experiment).items() <= found["recipe"]["inputs"].items()
    except (KeyError, TypeError, UserError):  # no such record, or encoders that are gone
        return None
    return larger if same else None


def decoder_key(experiment: Experiment, fit: Fit) -> str:
    """Key of the decoder that is fitted: the fit's own, or that of the reader that it is a part of."""
    return joint_reader(experiment, fit).key if fit.joint else fit.key


def described_runs(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """The runs as plain data, for a recipe."""
    return [dataclasses.asdict(run) for run in runs]


def name_in_decoder(fit: Fit, cell: tuple[int, str]) -> str:
    """A cell's name in the record and the curve of the decoder that was fitted.

    >>> part = Fit("x", Run("classification", "w8a8", 0), 0, ((10, "h3"),), joint=True)
    >>> name_in_decoder(part, (10, "h3"))
    'epoch_0010/classification_w8a8_seed0/h3'
    """
    if not fit.joint or fit.run is None:
        return cell_name(*cell)
    return cell_name(cell[0], joined_layer(fit.run.key, cell[1]))
