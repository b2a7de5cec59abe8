"""Which layers are measured: the network says which taps it has, the config picks among them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from decoders import ReaderArchitecture
from decoders.fitting.fit import FittingConfig
from ib_analysis.artifacts import UserError
from ib_analysis.cli import parse_experiment
from ib_analysis.encoders import EncoderConfig, build_encoder, tap_names
from ib_analysis.encoders import build as networks
from ib_analysis.encoders.interface import TappedNetwork
from ib_analysis.experiment import BASE, Experiment, ExperimentConfig
from ib_analysis.records.activations import activations_config


def test_all_taps_of_the_network_are_measured_unless_some_are_named() -> None:
    assert Experiment(ExperimentConfig()).layers == ("h1", "h2", "h3", "h4")
    assert {layer for _, layer in Experiment(ExperimentConfig()).cells} == {"h1", "h2", "h3", "h4"}
    assert Experiment(ExperimentConfig(layers=("h3", "h1"))).layers == ("h3", "h1")


def test_naming_all_taps_makes_the_same_artifacts_as_naming_none() -> None:
    named = Experiment(ExperimentConfig(layers=("h1", "h2", "h3", "h4")))
    assert activations_config(named) == activations_config(Experiment(ExperimentConfig()))
    assert named.cells == Experiment(ExperimentConfig()).cells


def test_the_order_of_computation_is_the_networks_and_not_the_alphabets(monkeypatch: pytest.MonkeyPatch) -> None:
    def renamed(*arguments: object, **named: object) -> TappedNetwork:
        network = build_encoder(*arguments, **named)  # type: ignore[arg-type]
        network.layers = ("stem", "middle", "late", "features")
        return network

    tap_names.cache_clear()
    monkeypatch.setattr(networks, "build_encoder", renamed)
    try:
        experiment = Experiment(ExperimentConfig(layers=("features", "stem", "late")))
        assert experiment.layers == ("features", "stem", "late")
        assert experiment.in_order == ("stem", "late", "features")
        assert experiment.deepest == "features"
        with pytest.raises(UserError, match="'h1', which this encoder does not have; choose from stem, middle, late"):
            Experiment(ExperimentConfig(layers=("h1",)))
    finally:
        tap_names.cache_clear()


def test_a_layer_is_named_once() -> None:
    with pytest.raises(UserError, match=r"layers is .* each once"):
        Experiment(ExperimentConfig(layers=("h1", "h1")))


def test_a_layer_may_have_steps_of_its_own() -> None:
    config = ExperimentConfig(layer_steps={"h4": 7000})
    experiment, plain = Experiment(config), Experiment(replace(config, layer_steps={}))
    steps = {fit.cells[0][1]: experiment.fitting_for(fit).steps for fit in experiment.fits if fit.run is not None}
    assert steps == {"h1": 3500, "h2": 3500, "h3": 3500, "h4": 7000}
    base, unconditional = (fit for fit in experiment.fits if fit.run is None)
    assert experiment.fitting_for(base).steps == 3500  # of no consequence: it has a fitting of its own
    assert experiment.fitting_for(unconditional).steps == 7000  # as of the layer that tells least
    assert experiment.fitting_of(("h3", "h4")) == plain.fitting  # no one number
    assert {plain.fitting_for(fit).steps for fit in plain.fits} == {3500}


def test_a_config_that_says_nothing_has_readers_with_the_schedule_of_cifar10_16() -> None:
    """Whoever measures data of their own names them and no more; the schedule is one that was tried on real images."""
    config = ExperimentConfig()
    assert (config.reader, config.sharing, config.fitting.halfway) == ("deep", "layer", True)
    tried = parse_experiment("train", [str(Path(__file__).parents[1] / "experiments" / "cifar10-16.yaml")])
    for name in ("reader_network", "fitting", "base_network", "base_fitting"):
        assert getattr(config, name) == getattr(tried, name)
    fits = Experiment(config).fits
    assert [fit.key for fit in fits if fit.run is None] == [BASE, "unconditional_decoder0"]
    assert all({layer for _, layer in fit.cells} == {fit.key.split("/")[1]} for fit in fits if fit.run is not None)
    for part in ("base_fitting", "fitting"):  # what only shortens it is still a schedule that can be judged
        Experiment(replace(config, **{part: replace(getattr(config, part), steps=3000)}))


def test_dropout_of_a_layer_is_that_of_its_readers_and_of_no_other() -> None:
    plain = Experiment(ExperimentConfig())
    chosen = Experiment(ExperimentConfig(layer_dropout={"h4": 0.5}))
    for fit in chosen.fits:
        size, layers = chosen.decoder_size_for(fit), {layer for _, layer in fit.cells}
        assert isinstance(size, ReaderArchitecture)
        assert size.dropout == (0.5 if layers == {"h4"} or chosen.reads_nothing(fit) else 0.0)
        assert replace(size, dropout=0.0) == plain.decoder_size_for(fit) == plain.decoder_size


def test_own_blocks_of_a_layer_are_those_of_its_readers_and_of_no_other() -> None:
    plain = Experiment(ExperimentConfig())
    chosen = Experiment(ExperimentConfig(layer_own_blocks={"h1": 1}, layer_dropout={"h1": 0.25, "h4": 0.5}))
    assert {layer for fit in chosen.fits for _, layer in fit.cells} == {"h1", "h2", "h3", "h4"}
    for fit in chosen.fits:
        size, layers = chosen.decoder_size_for(fit), {layer for _, layer in fit.cells}
        if chosen.reads_nothing(fit):
            layers = {"h4"}  # like the network's last layer
        assert isinstance(size, ReaderArchitecture)
        assert size.own_blocks == (1 if layers == {"h1"} else 0)
        assert size.dropout == {"h1": 0.25, "h4": 0.5}.get("".join(layers), 0.0)
        assert replace(size, own_blocks=0, dropout=0.0) == plain.decoder_size_for(fit)


def test_networks_of_two_streams_have_the_reader_of_nothing_of_those_with_one() -> None:
    """Their last tap is a stream of h4, which has settings of its own."""
    steps = {}
    for architecture in ("resnet", "rir"):
        encoder = EncoderConfig(architecture=architecture, depth=14, shortcut="B")
        chosen = Experiment(
            ExperimentConfig(encoder=encoder, layers=("h4",), layer_steps={"h4": 70}, unconditional_fit=True)
        )
        (steps[architecture],) = {chosen.fitting_for(fit).steps for fit in chosen.fits if chosen.reads_nothing(fit)}
    assert steps["rir"] == steps["resnet"] == 70


def test_settings_of_a_layer_that_is_not_measured_are_of_no_consequence() -> None:
    """So that `--layers "[h3]"` goes with a file that has settings for h1."""
    chosen = Experiment(ExperimentConfig(layers=("h3",), layer_steps={"h1": 10}, layer_own_blocks={"h1": 1}))
    assert {chosen.fitting_for(fit).steps for fit in chosen.fits} == {3500}
    with pytest.raises(UserError, match="layer_own_blocks names 'h9'"):
        Experiment(ExperimentConfig(layers=("h3",), layer_own_blocks={"h9": 1}))


def test_gated_decoders_of_layers_need_a_null_condition_too() -> None:
    config = ExperimentConfig(reader="gated")
    Experiment(config)
    with pytest.raises(UserError, match="there is no L0"):
        Experiment(replace(config, fitting=replace(config.fitting, null_share=0.0)))


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"layer_steps": {"h9": 10}}, "layer_steps names 'h9', which is not among the layers; choose from h1, h2"),
        ({"layer_steps": {"h1": 0}}, "layer_steps gives h1 0 steps"),
        ({"layer_steps": {"h1": 10}, "sharing": "shared"}, "layer_steps does not go with sharing: shared"),
        ({"layer_dropout": {"h9": 0.5}}, "layer_dropout names 'h9', which is not among the layers; choose from h1, h2"),
        ({"layer_dropout": {"h1": 1.0}}, "layer_dropout gives h1 1.0"),
        ({"layer_dropout": {"h1": 0.5}, "reader": "gated"}, "layer_dropout is about readers"),
        ({"layer_dropout": {"h1": 0.5}, "sharing": "shared"}, "layer_dropout does not go with sharing: shared"),
        ({"layer_own_blocks": {"h9": 1}}, "layer_own_blocks names 'h9', which is not among the layers; choose from h1"),
        ({"layer_own_blocks": {"h1": -1}}, "layer_own_blocks gives h1 -1 residual pairs; give 0 or more"),
        ({"layer_own_blocks": {"h1": 1}, "reader": "gated"}, "layer_own_blocks is about readers; choose --reader deep"),
        ({"layer_own_blocks": {"h1": 1}, "sharing": "shared"}, "layer_own_blocks does not go with sharing: shared"),
        ({"layer_steps": {"h1": 1200}, "fitting": FittingConfig(validate_every=1000)}, "validat"),
    ],
)
def test_steps_of_layers_that_cannot_work(settings: dict, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        Experiment(ExperimentConfig(**settings))
