"""A search whose proposals are trained side by side finds the same, whoever trains, and goes on when it was killed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from test_network_search import CONFIG
from test_network_search_parts import make

from ib_analysis.artifacts import UserError
from ib_analysis.cli import main
from ib_analysis.engines.local import Unit, Workers
from ib_analysis.studies.network_search import side_by_side

SEARCH = (
    CONFIG.replace("[error, quadratic_cost, latency_ms, energy_mj]", "[error, quadratic_cost]")
    .replace("budget: 2", "budget: 5\n  at_once: 3\n  methods: [dpp_net, tpe]")
    .replace("kept: 1", "kept: 3")
    .replace("final: 2", "final: 1")
    .replace("final_seeds: [0, 1]", "final_seeds: [0]")
)
FOLDER = Path("checkpoints/mine/studies/search")


def found() -> dict[str, Any]:
    """What each method found, and what each network came to; not how long it took."""
    files = [*FOLDER.glob("searches/*.json"), *FOLDER.glob("networks/*.json")]
    kept = {path.name: json.loads(path.read_text()) for path in files}
    return {name: {k: v for k, v in content.items() if k != "seconds"} for name, content in kept.items()}


class Killed(BaseException):
    pass


def test_side_by_side(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for needed in ("optuna", "pymoo", "numba"):
        pytest.importorskip(needed)
    waves: list[list[str]] = []
    original = Workers.run

    def run(self: Workers, stage: str, units: Sequence[Unit]) -> list[Any]:
        if units and units[0].label.startswith("search/"):
            waves.append([unit.label for unit in units])
        return original(self, stage, units)

    monkeypatch.setattr(Workers, "run", run)
    for name in ("here", "killed"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "mine.yaml").write_text(SEARCH)

    monkeypatch.chdir(tmp_path / "here")
    assert main(["search", "mine.yaml"]) == 0
    whole, here = found(), list(waves)
    networks = [label for wave in here for label in wave]
    assert len(networks) == len(set(networks)) == sum(name.endswith(".json") and "_seed0_" in name for name in whole)
    assert len(here[0]) > 3  # of several methods
    assert len(here) <= 4  # rounds, where one after the other would be five at least for each method
    assert all(len(content["architectures"]) == 5 for name, content in whole.items() if "_seed0_" not in name)

    monkeypatch.chdir(tmp_path / "killed")
    waves.clear()

    def dying(self: Workers, stage: str, units: Sequence[Unit]) -> list[Any]:
        if len(waves) == 1:  # in the middle of the second round
            original(self, stage, units[:1])
            raise Killed
        return run(self, stage, units)

    monkeypatch.setattr(Workers, "run", dying)
    with pytest.raises(Killed):
        main(["search", "mine.yaml"])
    assert not list(FOLDER.glob("searches/*.json"))
    monkeypatch.setattr(Workers, "run", run)
    assert main(["search", "mine.yaml", "--workers", "2"]) == 0
    assert waves == [here[0], here[1][1:], *here[2:]]  # the one that was finished is not trained again
    assert found() == whole


def test_what_another_machine_trained_and_nobody_finds(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As where it sees other images: one sentence, and not the same round for ever."""

    class Elsewhere:
        def run(self, stage: str, units: Sequence[Unit]) -> list[None]:
            return [None for _ in units]

    monkeypatch.setattr(side_by_side, "PATIENCE", 0.0)
    with pytest.raises(UserError, match="trained elsewhere"):
        side_by_side.run_side_by_side(
            make(folder=tmp_path), ["tpe"], lambda name, ahead: ahead([(0, 0, 0, -1, 0, 0, 0)]), Elsewhere()
        )
