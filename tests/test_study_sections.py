"""Sections for studies in an experiment's file, through the real command line: who heeds them, and who only checks."""

from __future__ import annotations

from pathlib import Path

import pytest

from ib_analysis.cli import STUDIES, main
from ib_analysis.information.table import read_table
from ib_analysis.parsing import parse
from ib_analysis.studies.calibration.config import CalibrationConfig
from ib_analysis.studies.cost_quality.rows import CostQualityRow

GRID = """
cost-quality:
  depths: [8]
  widths: [2, 4]
  number_formats: [bfloat16]
  seeds: [0]
  resamples: 50
"""
ALL = (
    GRID
    + """
controls: {only: permuted_labels}
budget: {step_factors: [1.0], filter_factors: []}
convergence: {factor: 2, layers: [h3]}
audit: {cells: 1, multiples: [1]}
"""
)
SMALL = [
    "--tasks", "[classification]", "--layers", "[h3]", "--fitting.halfway", "true", "--fitting.cooldown_share", "0.5",
]  # fmt: skip


@pytest.fixture
def with_sections(tiny: Path):
    """Put sections at the end of ``tiny.yaml``."""

    def write(text: str) -> None:
        tiny.write_text(tiny.read_text() + text)

    return write


def grid() -> list[tuple[int, int, str, int]]:
    rows = read_table(Path("checkpoints/tiny/studies/cost_quality/cost_quality.csv"), CostQualityRow)
    return [(row.depth, row.width, row.number_format, row.seed) for row in rows]


def test_figures_runs_every_study_of_the_file_with_its_settings(with_sections, capsys: pytest.CaptureFixture) -> None:
    with_sections(ALL)
    assert main(["figures", "tiny.yaml", *SMALL, "--budget.step_factors", "[0.5]", "--cost-quality.widths", "[2]"]) == 0
    out = capsys.readouterr().out
    assert {path.stem for path in Path("figures/tiny").glob("*.png")} >= {
        "information_plane", "controls", "budget", "convergence", "audit", "cost_quality", "generalization_gap",
    }  # fmt: skip
    in_file = [study for study in STUDIES if f"{study}:" in ALL]
    places = [out.index(f"# effective config of 'tiny, {study}'") for study in in_file]
    assert len(places) == 5
    assert out.index("figures/tiny/information_plane.png") < places[0]
    assert places == sorted(places)
    assert "step_factors: [0.5]" in out
    assert "only: permuted_labels" in out
    assert grid() == [(8, 2, "bfloat16", 0)]

    # The study's own command starts from the same section.
    assert main(["cost-quality", "tiny.yaml", *SMALL, "--cost-quality.seeds", "[0, 1]"]) == 0
    assert grid() == [(8, width, "bfloat16", seed) for width in (2, 4) for seed in (0, 1)]


def test_other_commands_take_the_file_and_run_no_study(with_sections, capsys: pytest.CaptureFixture) -> None:
    with_sections(ALL + "\n")
    assert main(["train", "tiny.yaml", *SMALL]) == 0
    assert not Path("checkpoints/tiny/studies").exists()
    assert "effective config of 'tiny, " not in capsys.readouterr().out
    assert main(["describe", "tiny.yaml", *SMALL, "--cost-quality.seeds", "[0, 1, 2]"]) == 0
    told = capsys.readouterr().out.splitlines()[-1]
    assert told == (
        "on top of all this, by `ib figures`: controls (decoder fits: 0, steps in all: 0), "
        "budget (decoder fits: 1, steps in all: 12), convergence (decoder fits: 1, steps in all: 24), "
        "audit (dedicated decoder fits: 1), cost-quality (networks: 6)"
    )


def test_a_section_without_fields_is_the_study_by_default(with_sections, capsys: pytest.CaptureFixture) -> None:
    with_sections("\nbudget:\n")
    assert main(["describe", "tiny.yaml"]) == 0
    assert "by `ib figures`: budget (" in capsys.readouterr().out


def test_a_further_file_may_have_sections_too(tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    (tmp_path / "grid.yaml").write_text(GRID)
    assert main(["describe", "tiny.yaml", "--config", "grid.yaml"]) == 0
    assert "cost-quality (networks: 2)" in capsys.readouterr().out
    assert main(["describe", "tiny.yaml"]) == 0
    assert "on top" not in capsys.readouterr().out


@pytest.mark.parametrize("command", ["train", "figures", "budget", "cost-quality"])
@pytest.mark.parametrize(
    ("section", "sentence"),
    [
        ("cost-quality: {dephts: [8]}", "'cost-quality.dephts' is not accepted"),
        ("cost-quality: {depths: [x]}", '"cost-quality.depths": Expected a'),
        ("cost-quality: {depths: [10]}", "cost-quality.depths is [10]; a CIFAR ResNet needs 6n+2"),
        ("cost-quality: [8]", "the section cost-quality must hold fields (name: value), not [8]"),
        ("controls: all", "the section controls must hold fields (name: value), not 'all'"),
        ("joint: [[4, 1], [1, 1]]", "joint must hold fields (name: value), not [[4, 1], [1, 1]]"),
        ("joint: 3", "joint must hold fields (name: value), not 3"),
        ("controls: {only: imago}", "controls.only is a list, or one of shuffled, "),
        ("budget: {step_factors: []}\ncost_quality: {widths: [0]}", "cost-quality.widths is [0]"),
        ("audit: {cells: 0}", "audit.cells is 0"),
        ("budgte: {blocks: [1]}", "there is no field or section 'budgte'; did you mean 'budget'?"),
        ("calibrate: {}", "there is no field or section 'calibrate'."),
    ],
)
def test_a_mistake_in_a_section_is_one_sentence_that_names_the_file(
    with_sections, capsys: pytest.CaptureFixture, command: str, section: str, sentence: str
) -> None:
    with_sections(f"\n{section}\n")
    assert main([command, "tiny.yaml"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("ib: tiny.yaml: ")
    assert sentence in said
    assert said.count("\n") == 1
    assert not Path("checkpoints").exists()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["train", "tiny.yaml", "--cost-quality.depths", "[8]"], "`ib train` does not run here; use `ib cost-quality`"),
        (["figures", "tiny.yaml", "--audit.cells=3"], "or a section audit in the experiment's file"),
        (["budget", "tiny.yaml", "--cost_quality.depths", "[8]"], "`ib budget` does not run here"),
        (["figures", "tiny.yaml", "--cost-quality.depths", "[10]"], "cost-quality.depths is [10]"),
        (["figures", "tiny.yaml", "--cost-quality.dephts", "[8]"], "--cost-quality.dephts"),
        # what does not fit the experiment is told before anything runs
        (["figures", "tiny.yaml", "--cost-quality.number_formats", "[w4a4]"], "from training step 51 on"),
        (["describe", "tiny.yaml", "--cost-quality.number_formats", "[w4a4]"], "from training step 51 on"),
    ],
)
def test_a_mistake_on_the_command_line_is_one_sentence(
    with_sections, capsys: pytest.CaptureFixture, words: list[str], sentence: str
) -> None:
    with_sections(GRID)
    assert main(words) == 2
    said = capsys.readouterr().err
    assert sentence in said
    assert said.count("\n") == 1
    assert not Path("checkpoints").exists()


@pytest.mark.parametrize(
    ("section", "sentence"),
    [
        ("controls: {epoch: 7}", "controls.epoch is 7"),
        ("budget: {encoder_seed: 3}", "which tiny does not have"),
        ("convergence: {}", "tiny's fits end once"),
        ("audit: {cells: 99}", "audit.cells is 99"),
    ],
)
def test_every_study_is_checked_before_figures_runs_anything(
    with_sections, capsys: pytest.CaptureFixture, section: str, sentence: str
) -> None:
    with_sections(f"\n{section}\n")
    assert main(["figures", "tiny.yaml"]) == 2
    assert sentence in capsys.readouterr().err
    assert not Path("checkpoints").exists()


def test_spike_ins_refuse_the_studies_of_decoders_before_anything_runs(
    with_sections, capsys: pytest.CaptureFixture
) -> None:
    for section in ("controls", "budget", "convergence", "audit"):
        with_sections(f"\n{section}:\n")
        assert main(["figures", "tiny.yaml", "--spike_in", "8"]) == 2
        assert "spike-ins" in capsys.readouterr().err
    assert not Path("checkpoints").exists()


def test_help_tells_of_sections(capsys: pytest.CaptureFixture) -> None:
    assert main(["--help"]) == 0
    expected = (
        "sections for studies (controls, budget, convergence, audit, cost-quality, stream-ablation, residual-blocks, "
        "two-step, yardsticks, search, pareto-front)"
    )
    assert expected in " ".join(capsys.readouterr().out.split())
    with pytest.raises(SystemExit):
        main(["figures", "--help"])
    assert "then the studies in the file" in " ".join(capsys.readouterr().out.split())


def test_a_config_without_studies_has_no_sections(tiny: Path) -> None:
    tiny.write_text("budget: {}\n")
    with pytest.raises(Exception, match=r"tiny\.yaml: there is no field or section 'budget'"):
        parse(CalibrationConfig, "calibrate", "", ["tiny.yaml"])
