"""Tables of `ib cost-quality` as a study of some size would leave them, for tests of figures and words."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path

import numpy as np

from ib_analysis.information.table import write_table
from ib_analysis.studies.cost_quality.dominance import efficient
from ib_analysis.studies.cost_quality.rows import COST_MODELS, CostQualityPointRow, CostQualityRow, DominanceRow

FORMATS = {"bfloat16": (256, 16, 16, 0.0), "w8a8": (64, 8, 8, -0.002), "w4a4_ends8": (18, 4.4, 4.6, -0.009)}
"""name -> quadratic and linear cost per MAC, bits per weight, and what it does to accuracy."""
SIZES = {(8, 8): 0.815, (8, 16): 0.872, (14, 8): 0.856, (14, 16): 0.899}
"""(depth, width) -> accuracy."""
VERDICTS = {("w4a4_ends8", "bfloat16"): "yes", ("bfloat16", "w4a4_ends8"): "no", ("w8a8", "bfloat16"): "undecided"}


def write_tables(
    folder: Path, formats: tuple[str, ...] = tuple(FORMATS), seeds: int = 2, warned: tuple[int, int] | None = None
) -> tuple[list[CostQualityRow], list[CostQualityPointRow], list[DominanceRow]]:
    """Write and return the rows of the three tables.

    Arguments:
        warned: the (depth, width) that has a warning in every format.
    """
    rng = np.random.default_rng(0)
    networks, points = [], []
    for name in formats:
        quadratic, linear, memory, loss = FORMATS[name]
        macs = np.array([depth * width**2 * 3000 for depth, width in SIZES])
        weights = np.array([(depth - 2) * width**2 * 31 for depth, width in SIZES])
        means = np.array(list(SIZES.values())) + loss
        if name == "w8a8":
            means[2] = means[0] - 0.004  # a network that is beaten by a cheaper one
        costs = {"quadratic_cost": macs * quadratic, "linear_cost": macs * linear, "memory_bits": weights * memory}
        best = {model: efficient(costs[model], means) for model in COST_MODELS}
        for index, (depth, width) in enumerate(SIZES):
            known = {
                "experiment": "toy", "number_format": name, "depth": depth, "width": width,
                "parameters": int(weights[index]), "macs": int(macs[index]),
                **{model: int(cost[index]) for model, cost in costs.items()},
            }  # fmt: skip
            warnings = "accuracy_at_chance" if (depth, width) == warned else ""
            accuracy, gap = float(means[index]), 0.03 + 0.02 * index - 3 * abs(loss)
            ends = {
                "test_accuracy": accuracy, "test_accuracy_low": accuracy - 0.011, "test_accuracy_high": accuracy + 0.01,
                "train_accuracy": accuracy + gap, "generalization_gap": gap, "generalization_gap_low": gap - 0.012,
                "generalization_gap_high": gap + 0.012, "warnings": warnings,
            }  # fmt: skip
            points.append(
                CostQualityPointRow(
                    **known, **ends, n_seeds=seeds, confidence=0.95,
                    efficient=";".join(model for model in COST_MODELS if best[model][index]),
                )
            )  # fmt: skip
            for seed in range(seeds):
                shift = float(rng.normal(scale=0.004))
                own = {**ends, "test_accuracy": accuracy + shift, "generalization_gap": gap - shift}
                networks.append(
                    CostQualityRow(
                        **known, **own, seed=seed, n_training_images=45_000, n_images=10_000, test_loss_bits=0.6,
                        train_loss_bits=0.4, seconds=100.0,
                    )
                )  # fmt: skip
    verdicts = [
        DominanceRow(
            experiment="toy", format_a=a, format_b=b, cost_model=model, n_knots=6, n_seeds=seeds, n_images=10_000,
            verdict="no overlap" if model == "quadratic_cost" else VERDICTS.get((a, b), "undecided"), confidence=0.95,
            smallest_difference=0.01, smallest_difference_low=-0.01, smallest_difference_high=0.03, cost=1e7,
            overlap_low=1e6, overlap_high=1e8,
        )
        for model in COST_MODELS
        for a, b in permutations(formats, 2)
    ]  # fmt: skip
    write_table(folder / "cost_quality.csv", CostQualityRow, networks)
    write_table(folder / "cost_quality_points.csv", CostQualityPointRow, points)
    write_table(folder / "dominance.csv", DominanceRow, verdicts)
    return networks, points, verdicts
