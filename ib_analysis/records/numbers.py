"""In which numbers each cell's activations were handed on, and whether they lost something by it."""

from __future__ import annotations

from dataclasses import dataclass

from ib_analysis.artifacts import Artifact
from ib_analysis.experiment import Experiment, Run, cell_name
from ib_analysis.information.table import read_table, write_table
from ib_analysis.records.activations import activations_config, dump_artifact, recomputed
from ib_analysis.records.encoders import encoder_identities
from ib_analysis.records.images import images_of

__all__ = ["KeptNumbers", "numbers_of"]


@dataclass(frozen=True)
class KeptNumbers:
    """The numbers of one cell."""

    epoch: int
    """Training epochs that the encoder had seen."""
    layer: str
    """The tap."""
    bits: int
    """Bits of each number, 16 or 32."""
    loses: int
    """1 where the numbers lose precision, or values beyond their range, that was worth keeping; 0 where not."""


def numbers_of(experiment: Experiment, run: Run) -> dict[tuple[int, str], KeptNumbers]:
    """The numbers of all cells of a run.

    The manifest of a dump tells them. Where activations are recomputed they are found once from the checkpoints, and
    kept in ``numbers/<run>.csv``, so that tables can be made again without loading encoders.

    Raises:
        UserError: the run is not trained or dumped yet.
    """
    if experiment.config.activations.mode == "dump":
        record = dump_artifact(experiment, run).record
        # Dumps of before say nothing of bits: all of theirs are float16.
        bits, losing = record.get("bits_of_numbers", {}), set(record.get("losing_precision", ()))
        losing |= set(record.get("values_beyond_float16", {}))
        return {
            (epoch, layer): KeptNumbers(epoch, layer, bits.get(name, 16), int(name in losing))
            for epoch, layer in experiment.cells
            for name in [cell_name(epoch, layer)]
        }
    path = experiment.folder / "numbers" / f"{run.key}.csv"
    inputs = {"data": images_of(experiment).sha256} | {
        f"encoder at epoch {epoch}": sha256 for epoch, sha256 in encoder_identities(experiment, run).items()
    }
    artifact = Artifact(path, "numbers", activations_config(experiment), inputs, run.encoder_seed)
    if artifact.status() != "complete":
        artifact.begin()
        source = recomputed(experiment, run)
        found = [(cell, source.layout(*cell).numbers) for cell in experiment.cells]
        write_table(
            path, KeptNumbers, [KeptNumbers(*cell, numbers.bits, int(numbers.loses)) for cell, numbers in found]
        )
        artifact.finish()
    return {(kept.epoch, kept.layer): kept for kept in read_table(path, KeptNumbers)}
