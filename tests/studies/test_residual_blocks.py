"""Kinds of blocks at equal parameters, through the command line, and verdicts from made-up evaluations."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.stats import t

from ib_analysis.cli import main, parse_experiment
from ib_analysis.encoders.config import BLOCKS
from ib_analysis.experiment import Experiment
from ib_analysis.information.table import read_table
from ib_analysis.studies.residual_blocks import ResidualBlocksConfig
from ib_analysis.studies.residual_blocks.plan import Member, ResidualBlocks
from ib_analysis.studies.residual_blocks.summary import sentence, summary
from ib_analysis.studies.residual_blocks.table import BlockDifferenceRow, BlockRow, difference_rows

RIR = ["--encoder.architecture", "rir", "--layers", "[]"]
FOLDER = Path("checkpoints/tiny/studies/residual_blocks")


def test_all_kinds_of_blocks_are_trained_with_every_seed_and_compared(
    tiny: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # Layers, and steps of their readers, of which other kinds of blocks know nothing.
    words = ["residual-blocks", "tiny.yaml", "--encoder.architecture", "rir", "--layers", "[h4_residual]"]
    words += ["--reader", "deep", "--sharing", "layer", "--layer_steps", "{h4_residual: 8}"]
    words += ["--residual-blocks.seeds", "[0, 1]"]
    words += ["--residual-blocks.resamples", "50"]
    assert main(words) == 0
    out = capsys.readouterr().out
    rows = read_table(FOLDER / "residual_blocks.csv", BlockRow)
    assert [(row.block, row.seed) for row in rows] == [(block, seed) for block in BLOCKS for seed in (0, 1, None)]
    assert max(row.parameters for row in rows) <= 1.02 * min(row.parameters for row in rows)
    differences = read_table(FOLDER / "residual_blocks_differences.csv", BlockDifferenceRow)
    accuracy = {(row.block, row.seed): row.test_accuracy for row in rows}
    for row in differences:
        by_seed = [accuracy[row.first, seed] - accuracy[row.second, seed] for seed in (0, 1)]
        assert row.difference == pytest.approx(np.mean(by_seed), abs=1e-6)
        assert (row.lowest, row.highest) == pytest.approx((min(by_seed), max(by_seed)), abs=1e-6)
        assert row.difference == pytest.approx(accuracy[row.first, None] - accuracy[row.second, None], abs=1e-6)
    assert summary(rows, differences) in out
    assert Path("figures/tiny/residual_blocks.png").exists()

    # Interrupted: what is lost is made again, and only that.
    (FOLDER / "evaluations" / "rir_seed1.npz").unlink()
    made = {path: path.stat().st_mtime_ns for path in FOLDER.rglob("*.npz")}
    before = (FOLDER / "residual_blocks.csv").read_bytes()
    assert main(words) == 0
    assert all(path.stat().st_mtime_ns == stamp for path, stamp in made.items())
    assert (FOLDER / "evaluations" / "rir_seed1.npz").exists()
    assert (FOLDER / "residual_blocks.csv").read_bytes() == before


def made_up(shares: dict[str, list[float]], n: int = 4000) -> dict[tuple[str, str], BlockDifferenceRow]:
    """The comparisons of networks that are right about so many of the images."""
    rng = np.random.default_rng(0)
    right = {
        Member(block, seed): rng.permutation(np.arange(n) < round(share * n)).astype(np.uint8)
        for block in BLOCKS
        for seed, share in enumerate(shares[block])
    }
    return {(row.first, row.second): row for row in difference_rows("toy", right, 0.95, 200)}


def test_verdicts_are_paired_over_seeds() -> None:
    # Seeds differ by far more than blocks do: only their pairing finds the difference.
    base = [0.3, 0.5, 0.7]
    found = made_up(
        {"plain": base, "resnet": [x + 0.1 for x in base], "resnet_init": [0.2, 0.5, 0.9], "rir": [0.1, 0.3, 0.5]}
    )
    assert len(found) == 6
    assert found["resnet", "plain"].verdict == "better"
    assert found["rir", "plain"].verdict == "worse"
    assert found["resnet_init", "plain"].verdict == "undecided"
    row = found["resnet_init", "plain"]
    half = t.ppf(0.975, 2) * np.std([-0.1, 0.0, 0.2], ddof=1) / np.sqrt(3)
    over_images = 1.96 * np.sqrt(0.5 / 4000)
    assert (row.difference_high - row.difference_low) / 2 == pytest.approx(np.hypot(half, over_images), rel=0.02)
    assert sentence(found["rir", "plain"]).startswith("plain CNN is better than ResNet in ResNet (rir minus plain -20.")


def test_one_seed_decides_nothing() -> None:
    found = made_up({"plain": [0.2], "resnet": [0.9], "resnet_init": [0.5], "rir": [0.5]})
    assert {row.verdict for row in found.values()} == {"one_seed"}


def test_networks_differ_in_their_blocks_and_widths_alone(tiny: Path) -> None:
    words = ["tiny.yaml", "--encoder.architecture", "rir", "--layers", "[]", "--encoder.width", "16"]
    settings = ResidualBlocksConfig(seeds=(3,))
    study = ResidualBlocks(Experiment(parse_experiment("train", words)), settings)
    sizes = study.parameters
    assert max(abs(count - sizes["rir"]) for count in sizes.values()) <= settings.tolerance * sizes["rir"]
    first, *others = [network.config for network in study.networks.values()]
    for other in others:
        assert (other.training, other.data, other.encoder_seeds) == (first.training, first.data, (3,))
        assert other.encoder.depth == first.encoder.depth


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--encoder.architecture", "resnet"], "encoder.architecture is resnet; choose --encoder.architecture rir"),
        (
            [*RIR, "--encoder.shortcut", "projection", "--residual-blocks.tolerance", "0"],
            "No widths near encoder.width 4 give blocks",
        ),
        ([*RIR, "--residual-blocks.seeds", "[]"], "residual-blocks.seeds is []"),
        ([*RIR, "--residual-blocks.seeds", "[1, 1]"], "residual-blocks.seeds is [1, 1]"),
        ([*RIR, "--residual-blocks.tolerance", "1"], "residual-blocks.tolerance is 1"),
        ([*RIR, "--residual-blocks.confidence", "1"], "residual-blocks.confidence is 1"),
        ([*RIR, "--residual-blocks.resamples", "1"], "residual-blocks.resamples is 1"),
    ],
)
def test_mistakes_are_one_sentence(
    tiny: Path, capsys: pytest.CaptureFixture[str], words: list[str], sentence: str
) -> None:
    assert main(["residual-blocks", "tiny.yaml", *words]) == 2
    said = capsys.readouterr().err
    assert sentence in said
    assert said.count("\n") == 1
    assert not Path("checkpoints").exists()
