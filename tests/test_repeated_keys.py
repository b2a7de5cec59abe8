"""A key that stands twice in a mapping is refused wherever a user may have written it: YAML itself keeps the last."""

from __future__ import annotations

from pathlib import Path

import pytest

from ib_analysis.cli import main, parse_experiment

FURTHER = """\
training:
  epochs: 1
  epochs: 2
"""


def lines_of(path: Path, start: str | tuple[str, ...]) -> list[int]:
    """The lines of a file, from 1, that begin with a text, or with one of several."""
    return [number for number, line in enumerate(path.read_text().splitlines(), 1) if line.startswith(start)]


@pytest.mark.parametrize(
    ("added", "key", "start"),
    [
        ("encoder: {width: 8}", "encoder", "encoder:"),
        ("sampling:\n  images: 2", "sampling", "sampling:"),
        ("'layers': [h1]", "layers", ("layers:", "'layers':")),
        ("cost-quality: {widths: [4]}\ncost_quality: {widths: [8]}", "cost-quality", "cost"),
        ("budget:\n  shares: [0.5]\n  shares: [0.25]", "budget.shares", "  shares"),
    ],
)
def test_both_lines_and_the_key_are_named(
    tiny: Path, capsys: pytest.CaptureFixture, added: str, key: str, start: str | tuple[str, ...]
) -> None:
    tiny.write_text(f"{tiny.read_text().strip()}\n{added}\n")
    assert main(["describe", "tiny.yaml"]) == 2
    first, second = lines_of(tiny, start)
    assert f"ib: tiny.yaml: {key} is set in lines {first} and {second}" in capsys.readouterr().err


def test_in_a_mapping_within_a_list(tiny: Path, capsys: pytest.CaptureFixture) -> None:
    tiny.write_text("layers:\n- {y: 1,\n   y: 2}\n")
    assert main(["describe", "tiny.yaml"]) == 2
    assert "layers.y is set in lines 2 and 3" in capsys.readouterr().err


def test_in_further_files(tiny: Path, capsys: pytest.CaptureFixture) -> None:
    Path("further.yaml").write_text(FURTHER)
    for words in (["--config", "further.yaml"], ["--config=further.yaml"]):
        assert main(["describe", "tiny.yaml", *words]) == 2
        assert "ib: further.yaml: training.epochs is set in lines 2 and 3" in capsys.readouterr().err


def test_in_a_calibrations_file(tiny: Path, capsys: pytest.CaptureFixture) -> None:
    Path("mine.yaml").write_text("fitting: {steps: 1, steps: 2}\n")
    assert main(["calibrate", "mine.yaml"]) == 2
    assert "ib: mine.yaml: fitting.steps is set twice in line 1" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["--encoder", "{width: 3, width: 5}"], ["--encoder={width: 3, width: 5}"]])
def test_on_the_command_line(tiny: Path, capsys: pytest.CaptureFixture, words: list[str]) -> None:
    assert main(["describe", "tiny.yaml", *words]) == 2
    assert "width is set twice" in capsys.readouterr().err


def test_what_is_no_repetition(tiny: Path) -> None:
    """A key beside a merged one overrides it, and keys of different mappings have nothing to do with each other."""
    tiny.write_text(
        "encoder: &small {depth: 8, width: 3}\n"
        "training: {epochs: 2}\n"
        "decoder: {filters: 6}\n"
        "probe: {epochs: 2}\n"
    )  # fmt: skip
    assert parse_experiment("train", ["tiny.yaml"]).encoder.width == 3
    Path("other.yaml").write_text("decoder: &a {blocks: 1, filters: 4}\nbrackets: {density: {<<: *a, filters: 6}}\n")
    config = parse_experiment("train", ["other.yaml"])
    assert (config.decoder.filters, config.brackets.density.blocks, config.brackets.density.filters) == (4, 1, 6)
    assert parse_experiment("train", ["tiny.yaml", "--config", "other.yaml", "--encoder.width", "5"]).encoder.width == 5
