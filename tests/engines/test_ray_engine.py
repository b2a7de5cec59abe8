"""Units on a Ray cluster: a killed process changes no number, and mistakes arrive as one sentence."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from ib_analysis.artifacts import UserError, versions
from ib_analysis.cli import main, parse_experiment
from ib_analysis.engines import ray as ray_engine
from ib_analysis.engines.choose import engine_for
from ib_analysis.engines.local import Progress, Unit, exclusive
from ib_analysis.engines.ray import RayEngine
from ib_analysis.engines.ray_connection import Site, difference
from ib_analysis.experiment import Experiment

OPTIONS = ["--fitting.steps", "80", "--layers", "[h3]", "--tasks", "[classification]", "--encoder_seeds", "[0,1]"]
NODE = {"num_cpus": 1, "object_store_memory": 80 * 2**20}


@pytest.fixture
def cluster(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Two machines of one CPU, in the folder of the experiment ``tiny``."""
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    # Ray's own choice is 15: whatever else the machine does would starve the workers.
    monkeypatch.setenv("RAY_worker_niceness", "0")
    # Units of this file are imported by name in the cluster's processes.
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    ray = pytest.importorskip("ray", reason="Ray is not installed (the extra `ray`)")
    from ray.cluster_utils import Cluster

    found = Cluster(initialize_head=True, head_node_args={**NODE, "include_dashboard": False})
    found.add_node(**NODE)
    found.wait_for_nodes()
    yield found
    ray.shutdown()
    found.shutdown()


def table(name: str) -> list[dict[str, str]]:
    with (Path("checkpoints") / name / "information.csv").open() as file:
        return [{k: v for k, v in row.items() if k not in ("seconds", "experiment")} for row in csv.DictReader(file)]


def working_on(stage: str) -> list[psutil.Process]:
    """Processes of the cluster (they are our children) that run a unit of a stage: Ray names them after it."""
    found = []
    for process in psutil.Process().children(recursive=True):
        try:
            words = process.cmdline()
        except psutil.Error:
            continue
        if words and words[0].startswith(f"ray::{stage} "):
            found.append(process)
    return found


def wait_for(condition: Any, process: subprocess.Popen) -> None:
    while process.poll() is None and not condition():
        time.sleep(0.01)


@pytest.mark.slow
def test_a_killed_process_changes_no_number(cluster: Any, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "ib_analysis.cli", "estimate-mi", "tiny.yaml", "--name", "far", *OPTIONS]
    with Path("log").open("w") as log:
        run = subprocess.Popen(
            [*command, "--engine", "ray", "--ray_address", cluster.address], stdout=log, stderr=subprocess.STDOUT
        )
    wait_for(lambda: any(Path("checkpoints/far/decoders").glob("*/resume.pt")), run)
    victims = working_on("fit")
    assert victims, Path("log").read_text()
    victims[0].send_signal(signal.SIGKILL)
    assert run.wait() == 0, Path("log").read_text()
    said = Path("log").read_text()
    assert said.count("is started again") == 1, said

    assert main([*command[3:], "--name", "near"]) == 0
    assert table("far") == table("near")
    assert not list(Path("checkpoints/far").rglob(".*.part*"))
    assert {path.name for path in Path("checkpoints/far").glob(".*")} == {".lock"}


def test_a_mistake_arrives_as_one_sentence_and_is_not_tried_again(
    cluster: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with RayEngine(cluster.address, most=0, here=1, threads=1, folder=tmp_path, quiet=True) as engine:
        with pytest.raises(UserError, match=r"^the folder is full of eels$"):
            engine.run("fit", [Unit("bad", _mistaken, (tmp_path / "tries",))])
        assert (tmp_path / "tries").read_text() == "x"

        monkeypatch.setattr(ray_engine, "MOST_ATTEMPTS", 2)
        with pytest.raises(UserError, match="died 2 times"):
            engine.run("fit", [Unit("deadly", _deadly, (tmp_path / "deaths",))])
        assert (tmp_path / "deaths").read_text() == "xx"

        # A predecessor that is given up as dead and still writes: its successor waits for the lock.
        unit = Unit("patient", _time_of, ())
        with exclusive(engine._lock("fit", unit), "a unit"):
            release = threading.Timer(2.0, lambda: None)
            release.start()
            results: list[float] = []
            thread = threading.Thread(target=lambda: results.extend(engine.run("fit", [unit])))
            thread.start()
            release.join()
            assert not results
            let_go = time.time()
        thread.join()
        assert results[0] >= let_go
    assert not [path for path in tmp_path.glob(".*") if "probe" in path.name]


def _mistaken(tries: Path, progress: Progress) -> None:
    with tries.open("a") as file:
        file.write("x")
    raise UserError("the folder is full of eels")


def _deadly(deaths: Path, progress: Progress) -> None:
    with deaths.open("a") as file:
        file.write("x")
    os.kill(os.getpid(), signal.SIGKILL)


def _time_of(progress: Progress) -> float:
    return time.time()


def test_no_cluster_is_one_sentence(tiny: Path, capsys: pytest.CaptureFixture) -> None:
    pytest.importorskip("ray", reason="Ray is not installed (the extra `ray`)")
    assert main(["train", "tiny.yaml", "--engine", "ray", "--ray_address", "127.0.0.1:1"]) == 2
    (sentence,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("ib: ")]
    assert "127.0.0.1:1" in sentence
    assert "ray start" in sentence


def test_without_ray_the_sentence_says_how_to_install_it(
    tiny: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    assert main(["train", "tiny.yaml", "--engine", "ray"]) == 2
    assert ".[ray]" in capsys.readouterr().err


def test_ray_and_a_launcher_exclude_each_other(tiny: Path) -> None:
    launched = SimpleNamespace(count=2, is_main=True)
    experiment = Experiment(parse_experiment("train", ["tiny.yaml", "--engine", "ray"]))
    with pytest.raises(UserError, match="use one of the two"):
        engine_for(experiment, launched)  # type: ignore[arg-type]


def test_machines_that_see_other_files_or_have_other_versions_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    here = Site(str(tmp_path), "checkpoints/x", "probe", "token")
    (tmp_path / "probe").write_text("token")
    assert here.complaint("far") is None
    (tmp_path / "probe").write_text("the token of another file system")
    assert "far" in str(here.complaint("far"))
    elsewhere = Site(str(tmp_path / "absent"), "checkpoints/x", str(tmp_path / "probe"), "token")
    assert str(tmp_path / "absent/checkpoints/x") in str(elsewhere.complaint("far"))

    assert difference("far", None, versions()) is None
    assert "torch 1.0" in str(difference("far", None, {**versions(), "torch": "1.0"}))
    assert difference("far", "no files", {}) == "no files"
