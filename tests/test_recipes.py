"""Records of before: which artifacts stay valid when the program learns something new, and which are made again."""

from __future__ import annotations

import ast
import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from ib_analysis.artifacts import ALGORITHMS, Artifact, Setting, UserError, begin_notices, settings_of
from ib_analysis.artifacts import origins as origins_module


@dataclass(frozen=True)
class Before:
    """Settings as an earlier version knew them."""

    width: int = 16
    slope: float = 0.1


@dataclass(frozen=True)
class Now:
    """One is new, `slope` is no more, and the default of `width` is another."""

    width: int = 32
    depth: int = 2


@dataclass(frozen=True)
class Later:
    """The default of `depth` has changed since it came: records without it are from before, when it was 2."""

    width: int = 16
    depth: int = field(default=3, metadata={"absent": 2})


@pytest.fixture(autouse=True)
def new_command() -> None:
    begin_notices()


def artifact(folder: Path, network: Any, **options: Any) -> Artifact:
    return Artifact(
        folder / "bits.npz", "decoder", {"network": network, "cells": ["h1"], **options}, {"data": "abc"}, 3
    )


def made(folder: Path, network: Any, **options: Any) -> Artifact:
    found = artifact(folder, network, **options)
    found.begin()
    found.path.write_bytes(b"content")
    found.finish()
    return found


def edit(made: Artifact, **changes: Any) -> None:
    record = json.loads(made.manifest_path.read_text())
    made.manifest_path.write_text(json.dumps({**record, **changes}))


@pytest.mark.parametrize(
    ("before", "now", "refusal"),
    [
        (Before(), Now(width=16), None),  # a new setting at its default, a retired one that had its own
        (Before(), Now(width=16, depth=3), "network.depth was 2, now 3"),
        (Before(), Now(), "network.width was 16, now 32"),  # another default is another value
        (Before(width=32), Now(), None),
        (Before(slope=0.3), Now(width=16), "network.slope was 0.3, now unset"),
        (Before(), Later(depth=2), None),
        (Before(), Later(), "network.depth was 2, now 3"),
        (Now(width=16), Before(), None),  # back to an earlier version
        (Now(width=16, depth=5), Before(), "network.depth was 5, now unset"),
    ],
)
def test_a_setting_that_a_record_lacks_has_the_value_that_its_absence_means(
    tmp_path: Path, before: Any, now: Any, refusal: str | None
) -> None:
    made(tmp_path, before)
    asked = artifact(tmp_path, now)
    if refusal is None:
        asked.check()
        assert asked.status() == "complete"
    else:
        assert asked.status() == "partial"
        with pytest.raises(UserError, match=refusal):
            asked.begin()


def test_a_whole_section_may_be_new(tmp_path: Path) -> None:
    made(tmp_path, Before())
    assert artifact(tmp_path, Before(), brackets=Setting(Now(), absent=Now())).status() == "complete"
    asked = artifact(tmp_path, Before(), brackets=Setting(Now(depth=7), absent=Now()))
    with pytest.raises(UserError, match=r"brackets\.depth was 2, now 7"):
        asked.check()
    with pytest.raises(UserError, match=r"brackets was unset, now"):  # without a default it is a choice like all
        artifact(tmp_path, Before(), brackets=Now()).check()


def test_manifests_without_defaults_and_number_are_those_of_before(tmp_path: Path) -> None:
    found = made(tmp_path, Before())
    record = json.loads(found.manifest_path.read_text())
    assert set(record["recipe"]) == {"kind", "config", "inputs", "seed"}  # what an earlier version had written
    assert record["recipe"]["config"] == {"network": {"width": 16, "slope": 0.1}, "cells": ["h1"]}
    del record["defaults"], record["threads"]
    found.manifest_path.write_text(json.dumps(record))
    assert found.status() == "complete"
    assert artifact(tmp_path, Later(depth=2)).status() == "partial"  # it had a slope, of which nothing more is known


def test_another_algorithm_makes_it_again_and_says_so_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = (made(tmp_path / name, Before()) for name in ("first", "second"))
    monkeypatch.setitem(ALGORITHMS, "decoder", 2)
    assert [first.status(), second.status(), first.status()] == ["partial"] * 3
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "algorithm 1 of 'decoder', now 2" in caplog.text
    first.check()
    first.begin()
    first.path.write_bytes(b"other content")
    first.finish()
    assert first.status() == "complete"
    assert first.manifest()["recipe"]["algorithm"] == 2  # type: ignore[index]
    monkeypatch.setitem(ALGORITHMS, "decoder", 1)
    assert first.status() == "partial"
    with pytest.raises(UserError, match=r"network\.width was 16, now 5"):  # the config is still not to be mixed
        artifact(tmp_path / "first", Before(width=5)).check()


def test_work_in_progress_is_recognised_by_a_version_with_further_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = artifact(tmp_path, Before())
    begun.begin()
    key = begun.begun
    asked = artifact(tmp_path, Now(width=16))
    asked.begin()
    assert asked.begun == key
    monkeypatch.setitem(ALGORITHMS, "decoder", 2)
    asked.begin()
    assert asked.begun != key


def test_other_libraries_are_said_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    artifacts = [made(tmp_path / name, Before()) for name in ("first", "second")]
    assert [found.status() for found in artifacts] == ["complete"] * 2
    assert not caplog.records
    now = dict(origins_module.versions())
    for found in artifacts:
        other = {**now, "torch": "1.0", "python": now["python"] + "1", "ib-analysis": "0.0.1"}
        edit(found, versions=other)
    assert [found.status() for found in artifacts] == ["complete"] * 2
    (told,) = caplog.records
    assert f"made with torch 1.0 (now {now['torch']});" in told.message
    begin_notices()
    assert artifacts[0].status() == "complete"
    assert len(caplog.records) == 2


def test_another_number_of_threads_is_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    found = made(tmp_path, Before())
    edit(found, threads=7)
    assert found.status() == found.status() == "complete"
    (told,) = caplog.records
    assert "use --threads 7" in told.message
    begin_notices()
    record = json.loads(found.manifest_path.read_text())
    del record["threads"]  # of an earlier version, which did not record it
    found.manifest_path.write_text(json.dumps(record))
    assert found.status() == "complete"
    assert len(caplog.records) == 1


def test_settings_without_a_default_were_always_there() -> None:
    @dataclass
    class Config:
        size: int
        shape: tuple[int, ...] = dataclasses.field(default_factory=lambda: (1, 2))

    assert settings_of(Config(3)) == {"size": 3, "shape": Setting((1, 2), (1, 2))}
    assert settings_of(Config(3), "size") == {"size": 3}


def test_every_kind_of_artifact_has_its_number() -> None:
    """Kinds and algorithms as they stand in the code, wherever an `Artifact` is made."""
    found = set()
    for path in sorted((Path(__file__).parent.parent / "ib_analysis").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", None) == "Artifact":
                given = {word.arg: word.value for word in node.keywords}
                given |= dict(zip(("path", "kind", "config", "inputs", "seed", "algorithm"), node.args, strict=False))
                name = given.get("algorithm", given["kind"])
                choices = [name]
                while isinstance(choices[-1], ast.IfExp):
                    choices[-1:] = [choices[-1].body, choices[-1].orelse]
                for choice in choices:
                    assert isinstance(choice, ast.Constant), f"{path}:{node.lineno}"
                    found.add(choice.value)
    assert found | {"figures"} == set(ALGORITHMS)  # figures have no manifest each (see test_drawn.py)
