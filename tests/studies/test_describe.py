"""The passes of a tiny experiment, counted by hand and by running it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from decoders import Cell, FittingConfig, ImageSpace, PixelCNNPP, PixelCNNPPConfig, Reader
from decoders.config import Architecture, ReaderArchitecture
from ib_analysis.bases import BaseRecipe
from ib_analysis.data import DataConfig, FactorsConfig, split_sizes
from ib_analysis.encoders import EncoderConfig
from ib_analysis.experiment import ActivationsConfig, Experiment, ExperimentConfig
from ib_analysis.records.bases import base_recipe
from ib_analysis.studies.describe.base_cost import base_cost, base_passes
from ib_analysis.studies.describe.command import cost, describe
from ib_analysis.studies.describe.passes import count_passes
from ib_analysis.training import TrainingConfig

# Decoder images: 24 for fitting, 8 for validation. Three epochs (0, 1, 2) with two layers: six cells.
CONFIG = ExperimentConfig(
    tasks=("classification",),
    layers=("h3", "h4"),
    decoder_seeds=(0, 1),
    data=DataConfig(factors=FactorsConfig(n_encoder=16, n_decoder=32, n_evaluation=12), validation_share=0.25),
    encoder=EncoderConfig(depth=8, width=4),
    training=TrainingConfig(epochs=2, batch_size=8, checkpoints=(0, 1)),
    activations=ActivationsConfig(group_size=4),
    reader="gated",
    sharing="shared",
    decoder=Architecture(blocks=1, filters=4, output="categorical", condition_filters=4),
    fitting=FittingConfig(steps=10, batch_size=8, validate_every=4, validation_images=16),
    base_network=Architecture(blocks=1, filters=4, output="categorical"),
    workers=1,
)

BASE = Architecture(blocks=1, filters=4, output="categorical", dropout=0.0)
"""Of readers."""


def with_mode(mode: str, **options: object) -> Experiment:
    return Experiment(replace(CONFIG, activations=ActivationsConfig(mode, 4), **options))  # type: ignore[arg-type]


def test_passes_of_a_shared_decoder() -> None:
    experiment = with_mode("dump")
    passes = count_passes(experiment, split_sizes(CONFIG.data))
    assert passes.trained == 16 * 2
    assert passes.tested == 16 + 12 * 3  # epoch 0 on the encoder split; epochs 0, 1, 2 on the evaluation split
    assert passes.encoded == (32 + 12) * 3  # each image once per epoch
    assert passes.fitted == 2 * 10 * 8  # two decoder seeds
    # Validations after steps 4, 8 and 10: six cells with one group of 4 images each, with and without conditions.
    assert passes.validated == 2 * 3 * (6 * 4) * 2
    # Code lengths of 12 images in six cells and without conditions, and of the 8 of the validation slice.
    assert passes.measured == 2 * (12 * 6 + 12 + 8)


def test_recomputing_asks_for_activations_again_and_again() -> None:
    passes, dumped = (count_passes(with_mode(mode), split_sizes(CONFIG.data)) for mode in ("recompute", "dump"))
    # Per fit: 3 epochs standardised on 24 images, 10 steps of 8 images, 3 validations of 6 groups of 4 images (each
    # with another cell than the one before), and 12 images in six cells. Beside them the probes: all images, six cells.
    assert passes.encoded == 2 * (3 * 24 + 10 * 8 + 3 * 6 * 4 + 6 * 12) + 6 * 44
    assert replace(passes, encoded=0) == replace(dumped, encoded=0)


def test_passes_of_dedicated_decoders() -> None:
    fitting = replace(CONFIG.fitting, validation_images=4)
    experiment = with_mode("recompute", sharing="dedicated", fitting=fitting)
    passes = count_passes(experiment, split_sizes(CONFIG.data))
    assert passes.fitted == 2 * 7 * 10 * 8
    # Validations of one group. An unconditional decoder is validated once, not twice.
    assert passes.validated == 2 * 3 * 4 * (6 * 2 + 1)
    assert passes.measured == 2 * (6 * (12 + 12 + 8) + (12 + 8))
    assert passes.encoded == 2 * 6 * (24 + 10 * 8 + 3 * 4 + 12) + 6 * 44


def test_operations_and_times_follow_from_the_passes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    threads = torch.get_num_threads()
    experiment = with_mode("recompute")
    found, passes = cost(experiment), count_passes(experiment, split_sizes(CONFIG.data))
    torch.set_num_threads(threads)
    macs, flops = found.encoder_macs, found.decoder_flops_per_image
    assert found.training_flops == 2 * macs * (3 * passes.trained + passes.tested)
    assert found.encoding_flops == 2 * macs * passes.encoded
    assert found.fitting_flops == flops * (3 * passes.fitted + passes.validated)
    assert found.measuring_flops == flops * passes.measured
    assert min(found.training_seconds, found.encoding_seconds, found.fitting_seconds, found.measuring_seconds) > 0


def test_spike_ins_are_counted_in_all_their_variants() -> None:
    # h3 has 16 channels for 16 places of coins and takes them mixed in, h4 has 16 units: three variants of six cells.
    passes, plain = (count_passes(with_mode("recompute", spike_in=m), split_sizes(CONFIG.data)) for m in (16, 0))
    assert passes.measured == 2 * (12 * 6 * 3 + 12 + 8)
    assert passes.validated == 2 * 3 * (6 * 3 * 4) * 2
    assert passes.fitted == plain.fitted
    # Validations of 18 groups; two groups take turns, so that each is another than the one before.
    assert passes.encoded == 2 * (3 * 24 + 10 * 8 + 3 * 18 * 4 + 18 * 12) + 6 * 44


@pytest.mark.parametrize(("mode", "spike_in"), [("dump", 0), ("recompute", 0), ("recompute", 16)])
def test_the_counts_are_those_of_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str, spike_in: int
) -> None:
    """Evaluation passes of the decoder, counted while the stages run."""
    from ib_analysis.stages import fit, measure, prepare, probe, train
    from ib_analysis.stages.dump import dump_units

    monkeypatch.chdir(tmp_path)
    experiment = with_mode(mode, spike_in=spike_in)
    seen = {"fit": 0, "evaluated": 0, "encoded": 0}

    def run_all(units: list) -> None:
        for unit in units:
            unit.function(*unit.arguments, progress=lambda *news: None)

    prepare.prepare(experiment)
    run_all(train.train_units(experiment))

    from ib_analysis.activations.source import RecomputedActivations

    evaluate = RecomputedActivations._evaluate

    def counted(self: RecomputedActivations, epoch: int, group: int) -> dict:
        if self._latest != (epoch, group):
            start, stop = self.groups.bounds[group]
            seen["encoded"] += stop - start
        return evaluate(self, epoch, group)

    monkeypatch.setattr(RecomputedActivations, "_evaluate", counted)
    forward = PixelCNNPP.forward

    def counted_forward(self: PixelCNNPP, *arguments: object, **options: object) -> object:
        distribution = forward(self, *arguments, **options)  # type: ignore[arg-type]

        def count(function: Callable[[torch.Tensor], object]) -> Callable[[torch.Tensor], object]:
            def counted_call(x: torch.Tensor) -> object:
                seen["fit" if self.training else "evaluated"] += len(x)
                return function(x)

            return counted_call

        for name in ("log_prob", "log_prob_with_channels"):  # without and with maps: one pass of the network each
            object.__setattr__(distribution, name, count(getattr(distribution, name)))
        return distribution

    monkeypatch.setattr(PixelCNNPP, "forward", counted_forward)
    run_all(dump_units(experiment))
    run_all(fit.fit_units(experiment))
    run_all(measure.code_length_units(experiment))
    run_all(probe.probe_units(experiment))
    passes = count_passes(experiment, split_sizes(CONFIG.data))
    initialised = 2 * 8  # once per fit, on one minibatch
    assert seen["evaluated"] == passes.validated + passes.measured + initialised
    assert seen["fit"] == passes.fitted
    # Recomputing: a minibatch more per fit, for the initialisation; two layers of one group in a row cost one pass.
    assert seen["encoded"] == pytest.approx(passes.encoded, rel=0.15 if mode == "recompute" else 0)


def base_line(text: str) -> str:
    (line,) = [line for line in text.splitlines() if line.startswith("base ")]
    return line


def deep(mode: str = "dump", unconditional_fit: bool = False, **options: object) -> Experiment:
    readers = {"reader": "deep", "reader_network": ReaderArchitecture(width=8), "base_network": BASE}
    return with_mode(mode, unconditional_fit=unconditional_fit, **readers, **options)


def test_passes_of_readers_are_counted_without_the_base() -> None:
    passes = count_passes(deep(sharing="layer"), split_sizes(CONFIG.data))
    assert passes.fitted == 2 * 2 * 10 * 8  # two layers, two decoder seeds
    # Validations of at least 16 images of each of three cells, but the slice has 8: two groups of 4, both ways.
    assert passes.validated == 4 * 3 * (3 * 8) * 2
    assert passes.measured == 4 * (12 * 3 + 12 + 8)
    recomputed = count_passes(deep("recompute", sharing="layer"), split_sizes(CONFIG.data))
    # Three epochs standardised on 24 images; held in memory once more, instead of read for each step; validations.
    assert recomputed.encoded == 4 * (3 * 24 + 3 * 24 + 3 * 3 * 8 + 3 * 12) + 6 * 44


def test_a_reader_of_several_runs_is_fitted_once_and_validated_and_measured_under_all_of_them() -> None:
    formats = {"number_formats": ("float32", "bfloat16"), "encoder_seeds": (0, 1)}
    one = count_passes(deep(sharing="layer"), split_sizes(CONFIG.data))
    four = count_passes(deep(sharing="across_runs", **formats), split_sizes(CONFIG.data))
    apart = count_passes(deep(sharing="layer", **formats), split_sizes(CONFIG.data))
    assert four.fitted == one.fitted == apart.fitted / 4
    assert four.validated == apart.validated == 4 * one.validated
    assert four.measured == apart.measured
    assert (four.trained, four.tested, four.encoded) == (apart.trained, apart.tested, apart.encoded)


def test_passes_of_readers_whose_fits_end_twice() -> None:
    # 20 steps, and 4 of a cool-down after step 6 that ends at 10: 24 steps and 5 validations.
    fitting = replace(CONFIG.fitting, steps=20, validate_every=5, cooldown_share=0.4, halfway=True)
    passes = count_passes(deep("recompute", sharing="layer", fitting=fitting), split_sizes(CONFIG.data))
    assert passes.fitted == 4 * 24 * 8
    assert passes.validated == 4 * 5 * (3 * 8) * 2
    assert passes.measured == 4 * (2 * 12 * 3 + 12 + 8)  # conditional code lengths under both ends
    # The steps ask for no more, however many they are: activations are held in memory.
    assert passes.encoded == 4 * (3 * 24 + 3 * 24 + 5 * 3 * 8 + 2 * 3 * 12) + 6 * 44


def test_passes_of_unconditional_readers() -> None:
    fitting = replace(CONFIG.fitting, steps=20, validate_every=5, cooldown_share=0.4, halfway=True)
    sizes = split_sizes(CONFIG.data)
    with_it, without = (
        count_passes(deep("recompute", sharing="layer", fitting=fitting, unconditional_fit=chosen), sizes)
        for chosen in (True, False)
    )
    # Two decoder seeds: 24 steps, 5 validations of 16 images, and the evaluation images under both ends.
    assert with_it.fitted - without.fitted == 2 * 24 * 8
    assert with_it.validated - without.validated == 2 * 5 * 16
    assert with_it.measured - without.measured == 2 * (2 * 12 + 8)
    assert with_it.encoded == without.encoded


def test_readers_and_their_base_are_described_by_their_own_sizes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    threads = torch.get_num_threads()
    experiment = deep(sharing="layer")
    found, recomputed = cost(experiment), cost(deep("recompute", sharing="layer"))
    text = describe(experiment)
    torch.set_num_threads(threads)
    assert found.n_fits == 4
    assert found.base is not None
    assert recomputed.base is not None
    image = ImageSpace(1, 8, 8, 16)
    base = PixelCNNPP(PixelCNNPPConfig(image, BASE))
    assert found.base.parameters == sum(parameter.numel() for parameter in base.parameters())
    readers = [
        Reader(base, ReaderArchitecture(width=8), tuple(Cell(f"{e}", layer, shape) for e in range(3)))
        for layer, shape in (("h3", (16, 2, 2)), ("h4", (16,)))
    ]
    sizes = [sum(parameter.numel() for parameter in reader.parameters()) for reader in readers]
    assert found.decoder_parameters == round(sum(sizes) / 2)
    # Features that are looked up cost no operations, but place on the disk: 4 feature maps of 44 images in 16 bits.
    assert found.base.feature_bytes == 2 * 4 * 64 * 44
    assert (recomputed.base.feature_bytes, recomputed.base.feature_flops, recomputed.base.feature_seconds) == (0, 0, 0)
    more = recomputed.decoder_flops_per_image - found.decoder_flops_per_image
    assert 0.8 * found.base.flops_per_image < more <= found.base.flops_per_image
    assert found.base.feature_flops == found.base.flops_per_image * 44
    assert f"; its features of these images: 22.0 KiB, {found.base.feature_flops:.2e} FLOPs" in base_line(text)
    assert f"reader, mean over the layers: {found.decoder_parameters:,} parameters" in text
    assert not found.base.ships
    assert "ships with the package" not in text
    assert found.disk_bytes == found.activation_bytes + found.checkpoint_bytes + found.base.feature_bytes


def test_a_base_that_ships_is_described_as_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(BaseRecipe, "ships", True)
    assert "base: one of this recipe ships with the package" in describe(deep(sharing="layer"))
    assert "ships with the package" not in describe(deep(sharing="layer", base="scratch"))


def test_gated_decoders_are_described_without_a_base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    threads = torch.get_num_threads()
    found, text = cost(with_mode("dump")), describe(with_mode("dump"))
    torch.set_num_threads(threads)
    assert found.base is None
    assert found.disk_bytes == found.activation_bytes + found.checkpoint_bytes
    assert f"\ndecoder: {found.decoder_parameters:,} parameters" in text
    assert not [line for line in text.splitlines() if line.startswith("base ")]


def counted(data: DataConfig, validate_every: int = 4) -> tuple[int, int]:
    fitting = FittingConfig(steps=10, batch_size=8, validate_every=validate_every, validation_images=100)
    return base_passes(Experiment(replace(CONFIG, data=data, base_fitting=fitting)))


def test_passes_of_the_base() -> None:
    """Validations after steps 4, 8 and 10, and one of what is written; then the evaluation images, once."""
    assert counted(CONFIG.data) == (80, 4 * 100 + 12)
    # Digits: 718 of 1797 images are the decoder's, 72 of them validate; the base is that of the whole, without caps.
    sizes = split_sizes(DataConfig(source="digits"))
    whole = counted(DataConfig(source="digits"))
    assert whole == (80, 4 * round(0.1 * sizes["decoder"]) + sizes["evaluation"])
    assert counted(DataConfig(source="digits", per_class=3, evaluation_per_class=1)) == whole
    assert counted(DataConfig(source="cifar10"), validate_every=10) == (80, 2 * 100 + 2000)


def test_the_cost_of_the_base_is_that_of_its_network() -> None:
    experiment = deep(base_fitting=FittingConfig(10, 8))
    network = PixelCNNPP(base_recipe(experiment).network)
    found = base_cost(experiment, base_recipe(experiment).space, lambda _: (7, 0.5, 0.25))
    fitted, looked_at = base_passes(experiment)
    assert found.parameters == sum(parameter.numel() for parameter in network.parameters())
    assert found.flops == 7 * (3 * fitted + looked_at)
    assert found.seconds == 0.5 * fitted + 0.25 * looked_at
    assert (found.flops_per_image, found.feature_flops, found.feature_seconds) == (7, 7 * 44, 0.25 * 44)
    line = base_line(describe(experiment))
    assert "(ib base default; once for all experiments on these images, kept in checkpoints/bases)" in line
    assert f"{found.parameters:,} parameters, 10 steps of 8 images" in line
