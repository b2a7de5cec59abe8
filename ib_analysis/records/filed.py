"""What a user's activations file holds, looked through once and remembered beside what is made of it."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path

from ib_analysis.activations_file import HASHED, FileContents, Findings, findings_of
from ib_analysis.artifacts import UserError, plain, sha256_of_plain, tell_once, write_text
from ib_analysis.experiment import Experiment, cell_name

__all__ = ["check_values", "epoch_identities"]


def epoch_identities(experiment: Experiment) -> dict[int, str]:
    """Epoch -> hash of all that the file holds of it: another epoch that is added later leaves the others' alone.

    Raises:
        UserError: the file is damaged.
    """
    found, contents = _findings(experiment), experiment.contents
    assert contents is not None
    return {
        epoch: sha256_of_plain({layer: found[cell_name(epoch, layer)].sha256 for layer in contents.taps})
        for epoch in contents.epochs
    }


def check_values(experiment: Experiment) -> None:
    """Refuse values that are no numbers or hardly any, and say where infinities and channels that never change are.

    Raises:
        UserError: some of the measured activations are not numbers.
    """
    found = {cell_name(*cell): _findings(experiment)[cell_name(*cell)] for cell in experiment.cells}
    broken = {name: of.n_nan for name, of in found.items() if of.n_nan}
    if broken:
        raise UserError(
            f"{experiment.config.activations_file} holds values that are not numbers (NaN): {_counted(broken)}; leave "
            "these taps or epochs out (--layers), or write the file again without them."
        )
    huge = {name: of.n_huge for name, of in found.items() if of.n_huge}
    if huge:
        raise UserError(
            f"{experiment.config.activations_file} holds values beyond +-1e150, which cannot be squared: "
            f"{_counted(huge)}; write these taps again, divided by a constant, or leave them out (--layers)."
        )
    infinite = {name: of.n_infinite for name, of in found.items() if of.n_infinite}
    if infinite:
        tell_once(
            "infinite activations",
            f"Infinite activations are kept as the largest finite ones: {_counted(infinite)}.",
        )
    constant = {name: of.n_constant for name, of in found.items() if of.n_constant}
    if constant:
        tell_once("constant channels", f"Channels that are the same for all images: {_counted(constant)}.")


def _counted(counts: dict[str, int]) -> str:
    shown = [f"{count:,} in {name}" for name, count in list(counts.items())[:6]]
    return ", ".join([*shown, *(["..."] if len(counts) > 6 else [])])


def _findings(experiment: Experiment) -> dict[str, Findings]:
    """Dataset -> what is found in it."""
    assert experiment.contents is not None
    return _known(experiment.contents, experiment.folder / "activations_file.json")


@lru_cache(maxsize=4)
def _known(contents: FileContents, record: Path) -> dict[str, Findings]:
    """The same; read again only where the file's size or time has changed since the record was written."""
    made_from = [str(contents.path), *contents.state, HASHED]
    try:
        kept = json.loads(record.read_text())
        if kept["made_from"] == made_from:
            return {name: Findings(**found) for name, found in kept["datasets"].items()}
    except (OSError, ValueError, KeyError, TypeError):
        pass  # not looked through yet
    found = {
        cell_name(epoch, layer): findings_of(contents, epoch, layer)
        for epoch in contents.epochs
        for layer in contents.taps
    }
    facts = {
        "made_from": made_from,
        "datasets": plain(found),
        "titles": {layer: tap.title for layer, tap in contents.taps.items() if tap.title},
        "original_shape": contents.original_shape,
        "provenance": plain(contents.provenance),
    }
    write_text(record, json.dumps(facts, indent=1) + "\n")
    return found
