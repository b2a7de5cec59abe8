"""Draw figures and the page from what is saved, and print the closing table."""

from __future__ import annotations

from pathlib import Path

from ib_analysis.drawn import draw_unless_drawn, show_paths
from ib_analysis.experiment import Experiment
from ib_analysis.records.common_null import l0_in_words

__all__ = ["draw", "print_table"]

SOURCES = (
    "information.csv",
    "factors.csv",
    "phases.csv",
    "certificates.csv",
    "brackets.csv",
    "streams.csv",
    "stream_verdict.csv",
    "counted.csv",
    "code_lengths.h5",
    "samples.h5",
    "data.json",
    "activations_file.json",
)


def draw(experiment: Experiment, page_only: bool = False) -> None:
    """Draw all figures (or only the page of samples) unless those on disk were drawn from the same artifacts."""
    paths = [experiment.folder / name for name in SOURCES]
    paths += sorted((experiment.folder / "encoders").glob("*/training.csv"))

    def drawn() -> list[Path]:
        from ib_analysis.plots import draw_all, write_samples_page  # matplotlib is slow to import

        if page_only:
            return [write_samples_page(experiment.folder, experiment.figures)]
        return draw_all(experiment.folder, experiment.figures)

    show_paths(draw_unless_drawn(experiment.figures, "page" if page_only else "figures", paths, drawn))


def print_table(experiment: Experiment) -> None:
    """I(X;H) and I(H;Y) per task and layer: first, peak and last, with intervals; then how far decoders converged,
    brackets, streams, counts and claims where there are any."""
    from ib_analysis.information.brackets_table import BracketRow, brackets_text
    from ib_analysis.information.certificates_table import CertificateRow, certificates_line
    from ib_analysis.information.claims_table import ClaimRow, claims_text
    from ib_analysis.information.counted_table import CountedRow, counted_text
    from ib_analysis.information.stream_verdict import StreamVerdictRow, stream_verdict_text
    from ib_analysis.information.streams_table import StreamRow, streams_text
    from ib_analysis.information.summary import summary
    from ib_analysis.information.table import read_table
    from ib_analysis.results import load_results

    print()
    print(summary(load_results(experiment.config.name, experiment.config.checkpoints)))
    print(l0_in_words(experiment))
    print()
    certificates = read_table(experiment.folder / "certificates.csv", CertificateRow)
    if certificates:
        print(certificates_line(certificates))
    brackets = experiment.folder / "brackets.csv"
    if brackets.exists():
        print(f"\n{brackets_text(read_table(brackets, BracketRow))}")
    streams = experiment.folder / "streams.csv"
    if streams.exists():
        print(f"\n{streams_text(read_table(streams, StreamRow))}")
    verdict = experiment.folder / "stream_verdict.csv"
    if verdict.exists():
        print(stream_verdict_text(read_table(verdict, StreamVerdictRow)))
    counted = experiment.folder / "counted.csv"
    if counted.exists():
        print(f"\n{counted_text(read_table(counted, CountedRow))}")
    claims = experiment.folder / "claims.csv"
    if claims.exists():
        print(f"\n{claims_text(read_table(claims, ClaimRow))}")
