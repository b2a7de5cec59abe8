"""From code lengths and probes to `streams.csv` and `stream_verdict.csv`: the streams of blocks, image by image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ib_analysis.encoders import stream_pairs
from ib_analysis.experiment import Experiment, Fit, Run, cell_name
from ib_analysis.information.intervals import Bootstrap
from ib_analysis.information.stream_verdict import BlockStreams, StreamVerdictRow, stream_verdicts
from ib_analysis.information.streams_table import StreamBits, StreamRow, rows_over_seeds, stream_row
from ib_analysis.information.table import InformationRow, write_table
from ib_analysis.information.warnings import join_warnings, split_warnings
from ib_analysis.records.arrays import load_arrays
from ib_analysis.records.code_lengths import code_length_bits, halfway_code_length_bits
from ib_analysis.records.images import images_of
from ib_analysis.records.probes import best_kind, probe_artifact

__all__ = ["STREAMS_TABLE", "STREAM_VERDICT", "write_streams"]

STREAMS_TABLE, STREAM_VERDICT = "streams.csv", "stream_verdict.csv"

_Pair = tuple[StreamBits, StreamBits]
_Measured = dict[tuple[Run, int], dict[tuple[int, str], _Pair]]
"""(run, decoder seed) -> (epoch, block) -> its residual and its transient stream."""


def write_streams(experiment: Experiment, rows: Sequence[InformationRow], bootstrap: Bootstrap) -> None:
    """Write both tables where both streams of a block are measured, and remove those that are there without any.

    Arguments:
        rows: of information.csv.
        bootstrap: of the intervals.
    """
    pairs = stream_pairs(experiment.in_order) if images_of(experiment).has_labels else {}
    if not pairs:
        for name in (STREAMS_TABLE, STREAM_VERDICT):
            (experiment.folder / name).unlink(missing_ok=True)
        return
    measured = _measured(experiment, rows, pairs)
    found: list[StreamRow] = []
    for (run, decoder_seed), cells in measured.items():
        of_run = (run.task, run.number_format, run.encoder_seed, decoder_seed)
        for (epoch, block), pair in cells.items():
            found.append(stream_row(experiment.config.name, of_run, epoch, (block, *pairs[block]), pair, bootstrap))
    write_table(experiment.folder / STREAMS_TABLE, StreamRow, [*found, *rows_over_seeds(found, bootstrap.confidence)])
    write_table(experiment.folder / STREAM_VERDICT, StreamVerdictRow, _verdicts(experiment, measured, bootstrap))


def _measured(
    experiment: Experiment, rows: Sequence[InformationRow], pairs: Mapping[str, tuple[str, str]]
) -> _Measured:
    fits: dict[tuple[Run, int], dict[tuple[int, str], Fit]] = {}
    for fit in experiment.fits:
        if fit.run is not None:
            fits.setdefault((fit.run, fit.decoder_seed), {}).update(dict.fromkeys(fit.cells, fit))
    cells = {
        (Run(row.task, row.number_format, row.encoder_seed), row.decoder_seed, row.epoch, row.layer): row
        for row in rows
    }
    found: _Measured = {}
    for (run, decoder_seed), by_cell in fits.items():
        of_run = found.setdefault((run, decoder_seed), {})
        for block, taps in pairs.items():
            for epoch in experiment.epochs:
                residual, transient = (
                    _bits(experiment, by_cell[epoch, tap], (epoch, tap), cells[run, decoder_seed, epoch, tap])
                    for tap in taps
                )
                of_run[epoch, block] = (residual, transient)
    return found


def _verdicts(experiment: Experiment, measured: _Measured, bootstrap: Bootstrap) -> list[StreamVerdictRow]:
    epochs = experiment.epochs
    by_run: dict[tuple[str, str], dict[str, dict[tuple[int, int], BlockStreams]]] = {}
    for (run, decoder_seed), cells in measured.items():
        blocks = by_run.setdefault((run.task, run.number_format), {})
        for block in dict.fromkeys(block for _, block in cells):
            pairs = [cells[epoch, block] for epoch in epochs]
            blocks.setdefault(block, {})[run.encoder_seed, decoder_seed] = _block(pairs)
    return [
        row
        for of, blocks in by_run.items()
        for row in stream_verdicts(experiment.config.name, of, epochs, blocks, bootstrap)
    ]


def _block(pairs: Sequence[_Pair]) -> BlockStreams:
    """Arguments: pairs: both streams at every epoch, in order."""
    residual, transient = pairs[-1]
    about_image = [pair[1].code_lengths - pair[0].code_lengths for pair in pairs]
    return BlockStreams(
        about_image[-1],
        about_image[0] if len(pairs) > 1 else None,
        transient.label_bits - residual.label_bits,
        np.stack([of_transient.code_lengths for _, of_transient in pairs]),
        join_warnings(name for pair in pairs for cell in pair for name in split_warnings(cell.warnings)),
    )


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
