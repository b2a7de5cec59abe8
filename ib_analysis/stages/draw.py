"""Draw figures and the page from what is saved, and print the closing table."""

from __future__ import annotations

import json
from pathlib import Path

from ib_analysis.artifacts import sha256_of_file, write_text
from ib_analysis.experiment import Experiment

__all__ = ["draw", "print_table"]

SOURCES = (
    "information.csv",
    "factors.csv",
    "phases.csv",
    "certificates.csv",
    "brackets.csv",
    "code_lengths.h5",
    "samples.h5",
    "data.json",
)


def draw(experiment: Experiment, page_only: bool = False) -> None:
    """Draw all figures (or only the page of samples) unless those on disk were drawn from the same artifacts."""
    from ib_analysis.plots import draw_all, write_samples_page  # matplotlib is slow to import

    record = experiment.figures / "drawn.json"
    sources = _hashes(experiment)
    kind = "page" if page_only else "figures"
    known = _read(record)
    drawn = known.get(kind, {})
    if drawn.get("sources") != sources or not all(Path(path).exists() for path in drawn.get("files", [""])):
        if page_only:
            files = [write_samples_page(experiment.folder, experiment.figures)]
        else:
            files = draw_all(experiment.folder, experiment.figures)
        drawn = {"sources": sources, "files": [str(path) for path in files]}
        write_text(record, json.dumps({**known, kind: drawn}, indent=1) + "\n")
    for path in drawn["files"]:
        if not path.endswith(".svg"):  # every figure has one beside its PNG
            print(path)


def print_table(experiment: Experiment) -> None:
    """I(X;H) and I(H;Y) per task and layer: first, peak and last, with intervals; then how far decoders converged."""
    from ib_analysis.information.brackets_table import BracketRow, brackets_text
    from ib_analysis.information.certificates_table import CertificateRow, certificates_line
    from ib_analysis.information.summary import summary
    from ib_analysis.information.table import read_table
    from ib_analysis.results import load_results

    print()
    print(summary(load_results(experiment.config.name, experiment.config.checkpoints)))
    print()
    print(certificates_line(read_table(experiment.folder / "certificates.csv", CertificateRow)))
    brackets = experiment.folder / "brackets.csv"
    if brackets.exists():
        print(f"\n{brackets_text(read_table(brackets, BracketRow))}")


def _hashes(experiment: Experiment) -> dict[str, str]:
    paths = [experiment.folder / name for name in SOURCES]
    paths += sorted((experiment.folder / "encoders").glob("*/training.csv"))
    return {str(path.relative_to(experiment.folder)): sha256_of_file(path) for path in paths if path.exists()}


def _read(record: Path) -> dict:
    try:
        found = json.loads(record.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
