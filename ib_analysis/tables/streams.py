"""From code lengths and probes to `streams.csv`: the two streams of every block, compared image by image."""

from __future__ import annotations

from collections.abc import Sequence

from ib_analysis.encoders import stream_pairs
from ib_analysis.experiment import Experiment, Fit, Run, cell_name
from ib_analysis.information.intervals import Bootstrap
from ib_analysis.information.streams_table import StreamBits, StreamRow, rows_over_seeds, stream_row
from ib_analysis.information.table import InformationRow, write_table
from ib_analysis.records.arrays import load_arrays
from ib_analysis.records.code_lengths import code_length_bits, halfway_code_length_bits
from ib_analysis.records.images import images_of
from ib_analysis.records.probes import best_kind, probe_artifact

__all__ = ["STREAMS_TABLE", "write_streams"]

STREAMS_TABLE = "streams.csv"


def write_streams(experiment: Experiment, rows: Sequence[InformationRow], bootstrap: Bootstrap) -> None:
    """Write ``streams.csv`` where both streams of a block are measured, and remove one that is there without any.

    Arguments:
        rows: of information.csv.
        bootstrap: of the intervals.
    """
    pairs = stream_pairs(experiment.in_order) if images_of(experiment).has_labels else {}
    path = experiment.folder / STREAMS_TABLE
    if not pairs:
        path.unlink(missing_ok=True)
        return
    fits: dict[tuple[Run, int], dict[tuple[int, str], Fit]] = {}
    for fit in experiment.fits:
        if fit.run is not None:
            fits.setdefault((fit.run, fit.decoder_seed), {}).update(dict.fromkeys(fit.cells, fit))
    cells = {
        (Run(row.task, row.number_format, row.encoder_seed), row.decoder_seed, row.epoch, row.layer): row
        for row in rows
    }
    found: list[StreamRow] = []
    for (run, decoder_seed), by_cell in fits.items():
        for block, taps in pairs.items():
            for epoch in experiment.epochs:
                residual, transient = (
                    _bits(experiment, by_cell[epoch, tap], (epoch, tap), cells[run, decoder_seed, epoch, tap])
                    for tap in taps
                )
                of_run = (run.task, run.number_format, run.encoder_seed, decoder_seed)
                found.append(
                    stream_row(experiment.config.name, of_run, epoch, (block, *taps), (residual, transient), bootstrap)
                )
    write_table(path, StreamRow, [*found, *rows_over_seeds(found, bootstrap.confidence)])


def _bits(experiment: Experiment, fit: Fit, cell: tuple[int, str], row: InformationRow) -> StreamBits:
    assert fit.run is not None
    assert row.i_hy_bits is not None
    probes = load_arrays(probe_artifact(experiment, fit.run, cell))
    return StreamBits(
        code_length_bits(experiment, fit, cell_name(*cell)),
        probes[f"label/{best_kind(probes, 'label')}"],
        row.i_xh_bits,
        row.i_hy_bits,
        row.warnings,
        halfway_code_length_bits(experiment, fit, cell_name(*cell)),
    )
