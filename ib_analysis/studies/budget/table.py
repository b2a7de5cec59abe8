"""From the study's code lengths to budget.csv, and to the lines that are printed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from decoders import PixelCNNPP
from ib_analysis.artifacts import Artifact, sha256_of_plain
from ib_analysis.experiment import cell_name
from ib_analysis.information.intervals import Bootstrap, paired_bootstrap_intervals
from ib_analysis.information.plain_text import align
from ib_analysis.information.table import read_table, write_table
from ib_analysis.information.warnings import join_warnings
from ib_analysis.records.code_lengths import NULL
from ib_analysis.records.images import images_of
from ib_analysis.studies.budget.plan import Budget
from ib_analysis.studies.budget.rows import BudgetRow
from ib_analysis.studies.describe.decoder_cost import decoder_flops
from ib_analysis.studies.describe.passes import BACKWARD
from ib_analysis.studies.extra_fits import ExtraFits
from ib_analysis.tables.certificates import certificates_of

__all__ = ["summary", "tabulate"]


def tabulate(study: ExtraFits, plan: Sequence[Budget]) -> list[BudgetRow]:
    """Write ``budget.csv`` unless it is there and made of the same code lengths; return its rows.

    Raises:
        UserError: something is not measured yet.
    """
    artifact = _artifact(study, plan)
    if artifact.status() != "complete":
        artifact.begin()
        rows = [row for budget in plan for row in _rows(study, budget)]
        rows.sort(key=lambda row: (row.steps, row.parameters, row.decoder))  # layers keep their order
        write_table(artifact.path, BudgetRow, rows)
        artifact.finish()
    return read_table(artifact.path, BudgetRow)


def summary(rows: Sequence[BudgetRow]) -> str:
    """The table for a reader: how every number moves with the budget."""
    lines = [["steps", "blocks", "filters", "parameters", "FLOPs", "seconds", "L0", "layer", "L", "I(X;H)"]]
    for row in rows:
        lines.append(
            [
                f"{row.steps_done:,}", str(row.blocks), str(row.filters), f"{row.parameters:,}",
                f"{row.training_flops:.1e}", f"{row.seconds:.0f}", f"{row.null_code_length_bits:.2f}", row.layer,
                f"{row.code_length_bits:.2f}",
                f"{row.i_xh_bits:.2f} [{row.i_xh_bits_low:.2f}, {row.i_xh_bits_high:.2f}]"
                + (" !" if row.warnings else ""),
            ]
        )  # fmt: skip
    about = "Budget of the decoder against what it measures, bits (means over epochs; ! a cell with a warning)"
    return "\n".join([about, *align(lines)])


def _artifact(study: ExtraFits, plan: Sequence[Budget]) -> Artifact:
    inputs = {
        f"{budget.fit.key}/{name}": artifact.identity
        for budget in plan
        for name, artifact in study.code_length_artifacts(budget.fit).items()
    }
    # As inputs and not as config: with other budgets or intervals the table is made again, which costs nothing.
    inputs["plan"] = sha256_of_plain([[b.fit.key, b.against_steps, b.against_size] for b in plan])
    inputs["estimation"] = sha256_of_plain(study.experiment.section("estimation"))
    return Artifact(
        study.folder / "budget.csv", "budget_table", study.experiment.section("name"), inputs, algorithm="tables"
    )


def _rows(study: ExtraFits, budget: Budget) -> list[BudgetRow]:
    experiment, fit = study.experiment, budget.fit
    assert fit.run is not None
    estimation, record = experiment.config.estimation, study.record(fit)
    network = PixelCNNPP(study.network(fit))
    flops = decoder_flops(network)
    certificates = certificates_of(study.decoder_artifact(fit).path, estimation.confidence)
    null = study.code_lengths(fit, NULL)
    rows = []
    for layer in experiment.layers:
        cells = [cell_name(*cell) for cell in fit.cells if cell[1] == layer]
        lengths = np.mean([study.code_lengths(fit, name) for name in cells], axis=0)
        length, unconditional, information = paired_bootstrap_intervals(
            np.stack([lengths, null, null - lengths]), Bootstrap(estimation.confidence, estimation.resamples)
        )
        rows.append(
            BudgetRow(
                experiment=experiment.config.name,
                task=fit.run.task,
                number_format=fit.run.number_format,
                encoder_seed=fit.run.encoder_seed,
                decoder_seed=fit.decoder_seed,
                decoder=fit.key,
                against_steps="yes" if budget.against_steps else "no",
                against_size="yes" if budget.against_size else "no",
                steps=fit.fitting.steps,
                steps_done=int(record["steps_done"]),
                filters=budget.architecture.filters,
                blocks=budget.architecture.blocks,
                parameters=sum(tensor.numel() for tensor in network.parameters()),
                flops_per_image=flops,
                training_flops=float(flops) * (1 + BACKWARD) * int(record["steps_done"]) * fit.fitting.batch_size,
                seconds=float(record["seconds"]),
                layer=layer,
                n_epochs=len(cells),
                n_images=len(null),
                code_length_bits=length.estimate,
                code_length_bits_low=length.low,
                code_length_bits_high=length.high,
                null_code_length_bits=unconditional.estimate,
                null_code_length_bits_low=unconditional.low,
                null_code_length_bits_high=unconditional.high,
                i_xh_bits=information.estimate,
                i_xh_bits_low=information.low,
                i_xh_bits_high=information.high,
                h_x_bits=images_of(experiment).h_x_bits,
                bits_to_gain_high=max(certificates[name].bits_to_gain_high for name in cells),
                warnings=join_warnings([item for name in cells for item in record["cell_warnings"][name]]),
            )
        )
    return rows
