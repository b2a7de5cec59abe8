"""What a base depends on, by its key; and when one that ships with the package is taken."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from decoders import Architecture, ImageSpace, PixelCNNPP
from decoders.fitting.schedule import FittingConfig
from ib_analysis.artifacts import Artifact, UserError
from ib_analysis.bases import BaseRecipe, recipe, write_base
from ib_analysis.bases.files import rounded
from ib_analysis.cli import parse_experiment
from ib_analysis.data import DataConfig, image_space
from ib_analysis.experiment import Experiment, ExperimentConfig
from ib_analysis.records.bases import base_artifact, base_feed, base_recipe, load_base
from ib_analysis.spike_ins import Coins
from ib_analysis.stages.base import base_units

ROOT = Path(__file__).parents[2]
SPACE = ImageSpace(1, 8, 8, 16)
RECIPE = BaseRecipe("a hash", SPACE, Architecture(blocks=1, filters=4), FittingConfig(steps=20), 0)

OTHER: dict[str, Any] = {"output": "categorical", "optimiser": "muon", "precision": "float32", "betas": (0.9, 0.99)}
"""Values that are no numbers; numbers are moved."""


def moved(config: Any, name: str) -> Any:
    """The config with another value of one setting."""
    value = getattr(config, name)
    if name in OTHER:
        other = OTHER[name]
    elif value is None:
        other = 1
    elif isinstance(value, bool):
        other = not value
    else:
        other = value + 1 if isinstance(value, int) else value / 2 + 0.003
    return dataclasses.replace(config, **{name: other})


SETTINGS = [
    (part, field.name)
    for part, kind in (("architecture", Architecture), ("fitting", FittingConfig))
    for field in dataclasses.fields(kind)
]


@pytest.mark.parametrize(("part", "name"), SETTINGS)
def test_every_setting_that_is_chosen_changes_the_key(part: str, name: str) -> None:
    before = RECIPE
    if name == "halfway":  # takes a cool-down
        before = dataclasses.replace(RECIPE, fitting=dataclasses.replace(RECIPE.fitting, cooldown_share=0.5))
    changed = dataclasses.replace(before, **{part: moved(getattr(before, part), name)})
    assert changed.key != before.key


def test_coins_make_another_base_whose_network_marks_their_pixels() -> None:
    keys = {RECIPE.key}
    for coins in (Coins(4), Coins(5), Coins(4, seed=1), Coins(4, "least_significant_bit")):
        changed = dataclasses.replace(RECIPE, coins=coins)
        assert changed.network.marked_pixels == coins.pixels(8, 8)
        assert changed.at(Path("x")).config != RECIPE.at(Path("x")).config
        assert changed.shipped() is None
        keys.add(changed.key)
    assert len(keys) == 5


@pytest.mark.parametrize("name", ["default", "digits", "cifar10-16", "cifar10-small"])
def test_a_recipe_knows_without_the_images_whether_a_base_of_it_ships(name: str) -> None:
    config = parse_experiment("describe", [name])
    found = image_space(config.data)
    space = ImageSpace(*found.image_shape, found.intensities)
    ours = BaseRecipe("", space, config.base_network, config.base_fitting, config.base_seed)
    assert ours.ships
    for change in ({"seed": 1}, {"coins": Coins(4)}, {"space": dataclasses.replace(space, intensities=2)}):
        assert not dataclasses.replace(ours, **change).ships
    longer = dataclasses.replace(ours.fitting, steps=ours.fitting.steps + 1)
    assert not dataclasses.replace(ours, fitting=longer).ships


@pytest.mark.parametrize("change", [{"images": "other"}, {"space": ImageSpace(1, 8, 8, 17)}, {"seed": 1}])
def test_images_and_seed_change_the_key(change: dict[str, Any]) -> None:
    assert dataclasses.replace(RECIPE, **change).key != RECIPE.key


def test_the_key_is_the_same_in_every_version() -> None:
    """Written down: whoever changes how it is computed gives every base that there is another name."""
    assert RECIPE.key == "6e990fffc3a3"
    assert len({dataclasses.replace(RECIPE, seed=seed).key for seed in range(100)}) == 100


def test_a_new_setting_with_its_default_does_not_change_the_key() -> None:
    @dataclasses.dataclass(frozen=True)
    class Later(Architecture):
        new: int = 3
        moved: float = dataclasses.field(default=0.7, metadata={"absent": 0.5})

    def later(**options: Any) -> str:
        return dataclasses.replace(RECIPE, architecture=Later(blocks=1, filters=4, **options)).key

    assert later(moved=0.5) == RECIPE.key  # what was done before there was a choice
    assert later(new=4, moved=0.5) != RECIPE.key
    assert later() != RECIPE.key


def test_lists_and_tuples_are_one_value() -> None:
    listed = dataclasses.replace(RECIPE.fitting, betas=[0.95, 0.9995])  # type: ignore[arg-type]
    assert dataclasses.replace(RECIPE, fitting=listed).key == RECIPE.key


def test_experiments_on_the_same_images_name_the_same_base() -> None:
    """As far as configs tell; `quantized` studies the images of `cifar10-16`."""

    def settings_of(name: str) -> tuple:
        config = parse_experiment("base", [str(ROOT / "experiments" / f"{name}.yaml")])
        whole = dataclasses.replace(config.data, per_class=None, evaluation_per_class=None)
        return whole, config.base_network, config.base_fitting, config.base_seed

    assert settings_of("quantized") == settings_of("cifar10-16")


# name -> key of a base with the settings of the file: with another, a base that was fitted, or ships, is not found
PUBLISHED = {
    "default": "bcf371512efb",
    "digits": "b23471ecfcaf",
    "cifar10-16": "2135bebfcd87",
    "cifar10-small": "d888ee05a8cb",
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_defaults_of_settings_may_change_but_not_what_experiments_mean(name: str) -> None:
    config = parse_experiment("base", [str(ROOT / "experiments" / f"{name}.yaml")])
    (channels, height, width), intensities, _ = image_space(config.data)
    space = ImageSpace(channels, height, width, intensities)
    found = BaseRecipe("IMAGES", space, config.base_network, config.base_fitting, config.base_seed)
    assert found.key == PUBLISHED[name]


# ------------------------------------------------------------------------------------------- shipped bases


@pytest.fixture
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of bases that ship, empty."""
    folder = tmp_path / "package" / "shipped"
    folder.mkdir(parents=True)
    monkeypatch.setattr(recipe, "SHIPPED", folder)
    monkeypatch.chdir(tmp_path)
    return folder


def digits(**options: Any) -> Experiment:
    known: dict[str, Any] = {
        "name": "digits",
        "data": DataConfig(source="digits"),
        "base_network": Architecture(blocks=1, filters=3, output="categorical"),
        "base_fitting": FittingConfig(steps=3, validation_images=20),
    }
    return Experiment(ExperimentConfig(**{**known, **options}))


def put(experiment: Experiment, folder: Path, unseen: np.ndarray | None = None) -> Artifact:
    """A base of an experiment's recipe, not fitted; its file as if it were."""
    wanted = base_recipe(experiment)
    artifact = wanted.at(folder)
    torch.manual_seed(0)
    base = PixelCNNPP(wanted.network)
    rounded(base)
    write_base(artifact.path, base, base_feed(experiment).unseen if unseen is None else unseen)
    artifact.finish()
    return artifact


CPU = torch.device("cpu")


def test_a_shipped_base_is_taken_whatever_its_folder_is_called(shipped: Path) -> None:
    (shipped / "README.md").write_text("Bases.")
    (shipped / "another").mkdir()
    artifact = put(digits(), shipped / "digits")
    part = digits(name="part", data=DataConfig(source="digits", per_class=20), tasks=("classification",))
    for experiment in (digits(), part):
        assert base_artifact(experiment).path == artifact.path
        assert base_units(experiment) == []
        assert isinstance(load_base(experiment, CPU), PixelCNNPP)


@pytest.mark.parametrize(
    "change",
    [
        {"base": "scratch"},
        {"base_seed": 1},
        {"base_network": Architecture(blocks=1, filters=4, output="categorical")},
        {"base_fitting": FittingConfig(steps=4, validation_images=20)},
        {"data": DataConfig(source="digits", seed=1)},
    ],
)
def test_a_shipped_base_of_another_recipe_or_other_images_is_not_taken(shipped: Path, change: dict[str, Any]) -> None:
    put(digits(), shipped / "digits")
    experiment = digits(**change)
    assert base_artifact(experiment).path.parent == Path("checkpoints/bases") / base_recipe(experiment).key
    assert len(base_units(experiment)) == 1


def test_a_shipped_base_that_is_damaged_or_unfinished_is_not_taken(shipped: Path) -> None:
    artifact = put(digits(), shipped / "digits")
    content = artifact.path.read_bytes()
    artifact.path.write_bytes(content[:-1] + b"x")
    assert not base_artifact(digits()).path.is_relative_to(shipped)
    artifact.path.write_bytes(content)
    assert base_artifact(digits()).path == artifact.path
    artifact.begin()
    assert not base_artifact(digits()).path.is_relative_to(shipped)


def test_a_package_without_bases_breaks_nothing(shipped: Path) -> None:
    assert base_artifact(digits()).path.parts[:2] == ("checkpoints", "bases")
    shutil.rmtree(shipped)
    assert base_artifact(digits()).path.parts[:2] == ("checkpoints", "bases")


# ------------------------------------------------------------------------------------------- what may be loaded


def test_a_base_that_is_not_there_is_a_sentence(shipped: Path) -> None:
    with pytest.raises(UserError, match="is not finished"):
        load_base(digits(), CPU)


def test_a_damaged_base_is_a_sentence(shipped: Path) -> None:
    """Also one whose bytes are a base: nobody measured it."""
    artifact = put(digits(), base_artifact(digits()).path.parent)
    load_base(digits(), CPU)
    content = bytearray(artifact.path.read_bytes())
    content[-1] ^= 1
    artifact.path.write_bytes(content)
    with pytest.raises(UserError, match=r"is damaged, or not the base .* run ib base digits"):
        load_base(digits(), CPU)


@pytest.mark.parametrize("left_out", [1, 7, None])
def test_a_base_that_may_have_seen_an_evaluation_image_is_refused(shipped: Path, left_out: int | None) -> None:
    unseen = base_feed(digits()).unseen
    n = len(np.unique(unseen))
    put(digits(), shipped / "digits", np.unique(unseen)[left_out:] if left_out else np.empty(0, dtype=np.int64))
    with pytest.raises(UserError, match=f"^{left_out or n} evaluation images .*--base scratch") as raised:
        load_base(digits(), CPU)
    assert "\n" not in str(raised.value)


def test_more_images_unseen_than_are_evaluated_are_no_matter(shipped: Path) -> None:
    unseen = base_feed(digits()).unseen
    put(digits(), shipped / "digits", np.concatenate([unseen, [1, 2, 3]]))
    load_base(digits(), CPU)
