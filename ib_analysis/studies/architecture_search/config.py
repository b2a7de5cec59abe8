"""What a user chooses about a comparison of search methods."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import isfinite

from ib_analysis.artifacts import UserError
from ib_analysis.studies.architecture_search.methods import METHODS

__all__ = ["ArchitectureSearchConfig"]


@dataclass(frozen=True)
class ArchitectureSearchConfig:
    """A table of architectures, an accuracy and costs in it, and the methods that search it. Any field can be set by
    --field value.

    Raises:
        UserError: a setting that cannot work.
    """

    name: str = "architecture-search"
    """Folder of this comparison under the checkpoints and figures folders."""
    tables: tuple[str, ...] = ("nas-bench-201/nats_bench.csv", "nas-bench-201/devices.csv")
    """CSV files, relative to the data root or with their full paths; every architecture must be in each."""
    root: str = ""
    """The data root; empty: the environment variable IB_DATA_ROOT, else the folder data."""
    architecture: str = "ArchitectureString"
    """Column with the string of a NAS-Bench-201 cell; not used where there are `choices`."""
    choices: dict[str, list[str]] = field(default_factory=dict)
    """Space of another table: name of a choice, which is a column, -> its options as they are written there. Empty: the
    cells of NAS-Bench-201, whose `macs` are known as well."""
    only_if: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    """Choices that are not always there: name -> earlier choice -> the options of it with which it is there."""
    accuracy: str = "CIFAR10TestAccuracy200Epochs"
    """Column of the accuracy, which is to be large."""
    accuracy_ideal: float = 100.0
    """The accuracy with loss 0."""
    accuracy_reference: float = 80.0
    """The accuracy with loss 1: what is worse adds nothing to a hypervolume."""
    costs: tuple[str, ...] = ("macs", "raspberry_pi5_onnx_mj", "xeon_gold_6226_ms")
    """Columns of what is to be small, each a search problem of its own with the accuracy. Its reference is its largest
    value in the table, its ideal 0."""
    limits: dict[str, float] = field(default_factory=dict)
    """Column -> its limit, in all problems: the accuracy must be at least that, any other column at most. Where no
    architecture keeps them all, what comes nearest is looked for."""
    devices: tuple[str, ...] = ()
    """Columns of costs between which fronts are transferred: what the front for one is worth on another. Empty: the
    `costs` alone."""
    methods: tuple[str, ...] = ("random", "nsga2", "tpe", "local_search", "monas", "monas_refined", "dpp_net",
                                "dpp_net_costs_learned")  # fmt: skip
    """Methods, each a name of `ib_analysis.studies.architecture_search.methods`. Only dpp_net knows what an
    architecture costs before it is evaluated."""
    budget: int = 200
    """Distinct evaluations of a search; what is asked for again does not count."""
    seeds: tuple[int, ...] = tuple(range(20))
    """Searches of each method on each problem."""
    confidence: float = 0.95
    """Level of the intervals over seeds."""
    threads: int = 1
    """Threads of the process."""
    checkpoints: str = "checkpoints"
    """Folder for everything that is computed."""
    figures: str = "figures"
    """Folder for figures."""

    def __post_init__(self) -> None:
        if not self.name or any(character in self.name for character in "/\\\0") or self.name.startswith("."):
            raise UserError(f"name is {self.name!r}; it names a folder: use letters, digits, '-' and '_'.")
        for name in ("tables", "costs", "methods", "seeds"):
            values = getattr(self, name)
            if not values or len(set(values)) != len(values):
                raise UserError(f"{name} is {list(values)}; give at least one, each once.")
        for method in self.methods:
            if method not in METHODS:
                raise UserError(f"there is no search method {method!r}; choose from {', '.join(METHODS)}.")
        if len(set(self.devices)) != len(self.devices):
            raise UserError(f"devices is {list(self.devices)}; give each once.")
        if self.accuracy in (*self.costs, *self.devices):
            raise UserError(f"{self.accuracy} is the accuracy; it cannot be a cost as well.")
        if not all(isfinite(limit) for limit in self.limits.values()):
            raise UserError("limits are finite numbers.")
        if self.accuracy_ideal <= self.accuracy_reference:
            raise UserError("accuracy_ideal must be larger than accuracy_reference.")
        if self.budget < 1 or min(self.seeds) < 0 or self.threads < 1 or not 0 < self.confidence < 1:
            raise UserError("budget and threads are at least 1, seeds at least 0, confidence is between 0 and 1.")
