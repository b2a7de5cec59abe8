"""Information in bits from code lengths and activations: pure functions of arrays, and the tables of results."""

from ib_analysis.information.estimates import (
    bits_per_dim,
    information_from_probes,
    lower_bound,
    plug_in_entropy_bits,
    usable_information,
)
from ib_analysis.information.intervals import (
    Bootstrap,
    Interval,
    paired_bootstrap_interval,
    paired_bootstrap_intervals,
)
from ib_analysis.information.noise_probe import probe_noise
from ib_analysis.information.probe import ProbeConfig, ProbeFit, ProbePair, ProbeSplit, probe_targets
from ib_analysis.information.table import FactorRow, InformationRow, read_table, write_table
from ib_analysis.information.warnings import EXPLANATIONS

__all__ = [
    "EXPLANATIONS",
    "Bootstrap",
    "FactorRow",
    "InformationRow",
    "Interval",
    "ProbeConfig",
    "ProbeFit",
    "ProbePair",
    "ProbeSplit",
    "bits_per_dim",
    "information_from_probes",
    "lower_bound",
    "paired_bootstrap_interval",
    "paired_bootstrap_intervals",
    "plug_in_entropy_bits",
    "probe_noise",
    "probe_targets",
    "read_table",
    "usable_information",
    "write_table",
]
