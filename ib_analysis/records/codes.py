"""Which taps of quantized encoders are made of codes, at which epoch: a small table per run, found once."""

from __future__ import annotations

from dataclasses import dataclass

from ib_analysis.artifacts import Artifact
from ib_analysis.experiment import Experiment, Run
from ib_analysis.information.table import read_table, write_table
from ib_analysis.quantization import CodedTaps, number_format
from ib_analysis.records.encoders import encoder_identities, measured_encoder

__all__ = ["Code", "codes_of"]


@dataclass(frozen=True)
class Code:
    """A tap that is made of codes at an epoch; taps of real numbers have no row."""

    epoch: int
    """Training epochs that the encoder had seen."""
    layer: str
    """The tap."""
    bits: int
    """Bits of each unit's code."""
    is_bottleneck: int
    """1 where the codes are all that goes on to later layers, 0 where real numbers or other codes pass beside them."""


def codes_of(experiment: Experiment, run: Run) -> dict[tuple[int, str], Code]:
    """The run's cells that are made of codes, as the measured encoders have them; nothing for a floating-point format.

    Kept in ``codes/<run>.csv``, so that tables can be made again without loading encoders.

    Raises:
        UserError: the run is not trained yet.
    """
    if not number_format(run.number_format).is_quantized:
        return {}
    path = experiment.folder / "codes" / f"{run.key}.csv"
    inputs = {f"encoder at epoch {epoch}": sha256 for epoch, sha256 in encoder_identities(experiment, run).items()}
    artifact = Artifact(path, "codes", {}, inputs, run.encoder_seed)
    if artifact.status() != "complete":
        artifact.begin()
        write_table(path, Code, _find(experiment, run))
        artifact.finish()
    return {(code.epoch, code.layer): code for code in read_table(path, Code)}


def _find(experiment: Experiment, run: Run) -> list[Code]:
    found = []
    for epoch in experiment.epochs:
        encoder = measured_encoder(experiment, run, epoch)
        assert isinstance(encoder, CodedTaps)
        found += [Code(epoch, tap, code.bits, int(code.is_bottleneck)) for tap, code in encoder.codes.items()]
    return found
