"""Problems that several tests share: small tables, and NAS-Bench-201 where it is at hand."""

from __future__ import annotations

import os
from itertools import pairwise, product
from pathlib import Path

import numpy as np
import pytest

from ib_analysis.search.evaluations import Evaluated
from ib_analysis.search.nas_bench_201 import NAS_BENCH_201, architecture_of, macs
from ib_analysis.search.problem import Objective, Problem
from ib_analysis.search.space import Architecture, Choice, Space
from ib_analysis.search.table import TableEvaluator, read_table

OPERATIONS = ("none", "small", "large")
SMALL = Space(tuple(Choice(f"layer_{k}", OPERATIONS) for k in range(5)))


def small_metrics(architecture: Architecture, seed: int = 0) -> dict[str, float]:
    """Costs of two currencies, and an error that falls with the layers and with which of them meet.

    Additive parts, a pairwise part and noise, so that the front is neither the product of greedy choices nor random.
    """
    sizes = np.array([(0.0, 1.0, 3.0)[k] for k in architecture])
    worth = np.array([(0.0, 2.0, 3.0)[k] for k in architecture]) * np.array([1.0, 1.4, 0.7, 1.2, 0.9])
    pairs = sum(1.5 for a, b in pairwise(architecture) if {a, b} == {1, 2})
    noise = np.random.default_rng([seed, *architecture]).normal(0, 0.2)
    return {
        "error": float(40 - 1.6 * worth.sum() - pairs + noise),
        "cost": float(1 + sizes.sum()),
        "time": float(2 + (sizes * np.array([3, 2, 1, 1, 2])).sum()),
    }


def small_problem(cost: str = "cost") -> Problem:
    table = {a: small_metrics(a) for a in product(range(3), repeat=5)}
    evaluator = TableEvaluator(table, device_metrics=("cost", "time"))
    reference = float(evaluator.column(cost).max())
    return Problem(
        SMALL,
        (Objective("error", "minimize", 0.0, 45.0), Objective(cost, "minimize", 0.0, reference)),
        evaluator,
    )


def evaluated(problem: Problem, architecture: Architecture) -> Evaluated:
    metrics = problem.evaluator.evaluate(architecture)
    return Evaluated(architecture, metrics, problem.losses(metrics), problem.violation(metrics))


ACCURACY = "CIFAR10TestAccuracy200Epochs"
COSTS = {
    "macs": "macs",
    "pi5_ms": "raspberry_pi5_onnx_ms",
    "pi5_mj": "raspberry_pi5_onnx_mj",
    "xeon_ms": "xeon_gold_6226_ms",
    "pi4_ms": "raspberry_pi4_ms",
    "eyeriss_ms": "eyeriss_ms",
    "gtx_1080ti_ms": "gtx_1080ti_batch1_ms",
}


def nas_bench_201() -> TableEvaluator:
    """All cells with all costs, read from the data root; a test that asks for it is skipped where they are not."""
    folder = Path(os.environ.get("IB_DATA_ROOT", "data"))
    paths = [folder / "nas-bench-201" / name for name in ("nats_bench.csv", "devices.csv")]
    if not all(path.is_file() for path in paths):
        pytest.skip("the tables of NAS-Bench-201 are not under IB_DATA_ROOT")
    return read_table(
        paths,
        NAS_BENCH_201,
        [ACCURACY, *COSTS.values()],
        architecture_column="ArchitectureString",
        parse=architecture_of,
        device_metrics=tuple(COSTS.values()),
        derived={"macs": macs},
    )


def error_against(table: TableEvaluator, cost: str) -> Problem:
    """Accuracy with reference 80 %, and a cost with its largest as reference."""
    column = COSTS[cost]
    return Problem(
        NAS_BENCH_201,
        (
            Objective(ACCURACY, "maximize", 100.0, 80.0),
            Objective(column, "minimize", 0.0, float(table.column(column).max())),
        ),
        table,
    )
