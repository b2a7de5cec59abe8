"""`ib search` of trained networks: search, fix the front, train it again, tabulate and draw."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from ib_analysis.artifacts import UserError
from ib_analysis.data import image_space, split_sizes
from ib_analysis.drawn import draw_unless_drawn, show_paths
from ib_analysis.engines.local import clear_remains, exclusive
from ib_analysis.experiment import Experiment
from ib_analysis.records.encoders import initial_encoder
from ib_analysis.studies.network_search.config import ENERGY, ERROR, LATENCY, NetworkSearchConfig
from ib_analysis.studies.network_search.counters import energy_counter
from ib_analysis.studies.network_search.evaluator import TrainingEvaluator, problem_of
from ib_analysis.studies.network_search.execution import check_runnable
from ib_analysis.studies.network_search.final import train_final
from ib_analysis.studies.network_search.front import (
    check_front,
    experiment_path,
    final_front,
    write_experiments,
)
from ib_analysis.studies.network_search.plan import NetworkSearch
from ib_analysis.studies.network_search.searching import found_by, run_searches
from ib_analysis.studies.network_search.summary import summary
from ib_analysis.studies.network_search.table import BITS, COST_BITS, FRONT, PAIRS, SEARCHED, tabulate

__all__ = ["check", "extent", "run"]


def check(experiment: Experiment, settings: NetworkSearchConfig) -> None:
    """Refuse what cannot be run, before anything is trained; no image is loaded.

    Raises:
        UserError: a package is missing; a kind of network cannot be built, quantized in so few epochs, or measured on
            this machine; or a search of this name with other settings has fixed its front already.
    """
    if experiment.config.activations_file is not None:
        raise UserError("a search trains networks, and with activations_file there are none; leave the file out.")
    if experiment.config.quantization.overrides:
        raise UserError("a search says itself which layer has which number format; leave quantization.overrides out.")
    if any(find_spec(name) is None for name in ("optuna", "pymoo")):
        raise UserError('a search needs optuna and pymoo: pip install "ib-analysis[search]".')
    search = NetworkSearch(experiment, settings)
    check_front(search)
    data = experiment.config.data
    space, sizes = image_space(data, recheck=False), split_sizes(data, recheck=False)
    n_images = max(1, round((1 - settings.validation_share) * sizes["encoder"]))
    for values in search.kind.largest(settings):
        architecture = search.space.architecture(values)
        searched = search.searched(architecture)
        initial_encoder(searched, search.run(architecture, 0), space, n_images)
        if LATENCY in search.measured or (ENERGY in search.measured and energy_counter(settings.device) is not None):
            check_runnable(search.network(architecture), settings.device)


def extent(experiment: Experiment, settings: NetworkSearchConfig) -> str:
    """What the study adds to an experiment, in words."""
    search = NetworkSearch(experiment, settings)
    final = settings.final * len(settings.final_seeds)
    searched = settings.budget * len(settings.methods) * len(settings.network_seeds)
    return f"networks: at most {searched} of {search.space.size:,} in the search, and {final} of its front"


def run(experiment: Experiment, settings: NetworkSearchConfig) -> None:
    """Run whatever is missing of a search, draw it and print its tables.

    Each method trains networks on a part of the encoder images and judges them on the rest. Then the front of all is
    fixed (``front.json``), an ordinary experiment is written for each of its networks (``experiments/*.yaml``), and
    these are trained on all encoder images and judged on the test images, which nothing else has seen. Writes
    ``searched.csv``, ``methods.csv``, ``rounds.csv``, ``network_front.csv``, ``front_bits.csv``,
    ``front_cost_bits.csv`` and ``front_pairs.csv`` under ``checkpoints/<experiment>/studies/search``, and the figures
    ``network_search`` and, once `ib figures` has measured the front's experiments, ``network_search_bits``.

    Raises:
        UserError: a user's mistake; nothing finished is lost.
    """
    check(experiment, settings)
    search = NetworkSearch(experiment, settings)
    with exclusive(search.folder / ".lock", str(search.folder)):
        clear_remains(search.folder)
        problem = problem_of(search, TrainingEvaluator(search))
        run_searches(search)
        found = [found_by(search, problem, method) for method in settings.methods]
        members = final_front(search, found)
        write_experiments(search, members)
        train_final(search, members)
        tables = tabulate(search, found, members)
        paths = _draw(search)
    measured = {row.name for row in tables.bits}
    waiting = [experiment_path(search, member) for member in members if member.name not in measured]
    print(summary(search, tables, waiting))
    print()
    show_paths(paths)


def _draw(search: NetworkSearch) -> list[Path]:
    costs = [name for name in search.settings.objectives if name != ERROR]

    def drawn() -> list[Path]:
        from ib_analysis.plots.style import save_all  # matplotlib is slow to import
        from ib_analysis.studies.network_search.figure import draw

        return save_all(draw(search.folder, costs, search.settings.confidence), search.experiment.figures)

    sources = [search.folder / name for name in (SEARCHED, FRONT, BITS, COST_BITS, PAIRS)]
    return draw_unless_drawn(search.experiment.figures, "search", sources, drawn)
