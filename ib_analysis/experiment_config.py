"""An experiment's config, composed of the packages' own."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, TypeVar, get_args

from decoders.config import Architecture, ReaderArchitecture
from decoders.fitting.fit import FittingConfig
from ib_analysis.activations import Storage
from ib_analysis.activations_file import FileContents, contents_of
from ib_analysis.artifacts import UserError
from ib_analysis.binary import BinaryTrainingConfig
from ib_analysis.brackets import BracketsConfig
from ib_analysis.data import DataConfig, image_space
from ib_analysis.encoders import EncoderConfig, check_tap_names, tap_names
from ib_analysis.information.probe import ProbeConfig
from ib_analysis.quantization import QuantizationConfig
from ib_analysis.spike_ins import SpikeInConfig
from ib_analysis.training import JointConfig, TrainingConfig

__all__ = [
    "ActivationsConfig",
    "EstimationConfig",
    "ExperimentConfig",
    "SamplingConfig",
    "Task",
    "contents_for",
    "taps_of",
    "unused_by_architecture",
    "unused_with_activations_file",
    "with_activations_file",
    "without_layers",
]

_Number = TypeVar("_Number", int, float)

Task = Literal["classification", "autoencoding", "joint", "recorded"]
"""`joint`: both at once, a network per trade-off in the section `joint`; `recorded`: whatever the network of an
activations file was trained for."""


@dataclass(frozen=True)
class ActivationsConfig:
    """Where decoders and probes get activations from."""

    mode: Literal["dump", "recompute"] = "dump"
    """`dump` keeps them on disk (16 bits each, compressed); `recompute` makes them again from the checkpoint whenever
    they are needed, with the same numbers: the choice where a dump would take tens of gigabytes. With
    `activations_file`, `dump` keeps a copy of that file in the order in which it is read, which is fast, and
    `recompute` reads the file itself."""
    group_size: int = 16
    """Images that are always evaluated together, kept as one chunk and drawn together for a minibatch, so that dump
    and recompute agree bit for bit."""
    storage: Storage = "auto"
    """Numbers that activations are kept in and handed on as. `auto`: float16 as it is where that loses nothing of note
    (rounding below 1/32 of each channel's standard deviation, less than 1 value in 1000 flushed to zero, whole numbers
    exact), else each channel shifted and scaled into float16, else float32. `float16`: as it is, whatever it loses.
    `float32`: twice the space. What loses even so has the warning activations_lose_precision."""

    def __post_init__(self) -> None:
        if self.storage not in get_args(Storage):
            raise UserError(f"activations.storage is {self.storage!r}; choose from {', '.join(get_args(Storage))}.")


@dataclass(frozen=True)
class EstimationConfig:
    """How code lengths become estimates with intervals."""

    confidence: float = 0.95
    """Level of the bootstrap intervals."""
    resamples: int = 2000
    """Bootstrap resamples of the evaluation images per interval."""
    null_from: str | None = None
    """Another finished experiment on the same data whose common null code lengths may serve as L0; the better one on
    the validation slice is taken."""

    def __post_init__(self) -> None:
        if not 0 < self.confidence < 1:
            raise UserError(f"estimation.confidence is {self.confidence}; choose a level between 0 and 1.")
        if self.resamples < 1:
            raise UserError(f"estimation.resamples is {self.resamples}; it must be at least 1.")


@dataclass(frozen=True)
class SamplingConfig:
    """What is drawn from the conditional distributions."""

    images: int = 6
    """Evaluation images whose activations are sampled from."""
    draws: int = 4
    """Samples per image and cell. Draw k of image i uses the same random numbers in every cell, so that what changes
    from cell to cell is the layer's knowledge alone."""
    batch_size: int = 512
    """Images sampled at once."""

    def __post_init__(self) -> None:
        for name in ("images", "draws", "batch_size"):
            if getattr(self, name) < 1:
                raise UserError(f"sampling.{name} is {getattr(self, name)}; it must be at least 1.")


@dataclass(frozen=True)
class ExperimentConfig:
    """An experiment: data, networks, what is measured and how. Any field can be set by --field value."""

    name: str = "default"
    """Folder of this experiment under the checkpoints and figures folders."""
    activations_file: str | None = None
    """An HDF5 file of images and of what any network made of them, at its own epochs and taps (docs/own_networks.md).
    Images and activations come from it, no encoder is trained, and `encoder`, `training` and what else is about
    training is not used. Relative to the current folder, or absolute."""
    tasks: tuple[Task, ...] = ("classification", "autoencoding")
    """What the encoders are trained for: `joint` is both at once (docs/joint.md), `recorded` stands for the network of
    an activations_file."""
    number_formats: tuple[str, ...] = ("float32",)
    """Arithmetic of the encoders, each trained from the same weights on: float32, bfloat16 (trained in float32, costed
    at 16 bits), or AQT integers such as w8a8, w4a4, w2a2 and w4a4_ends8 (bits of weights and activations; ends8: 8 bits
    in the first and the last layer). Of `encoder.architecture: binary`: binary, and float32 for its twin."""
    quantization: QuantizationConfig = field(default_factory=QuantizationConfig)
    """Details of the quantized ones among the number formats."""
    layers: tuple[str, ...] = ()
    """Taps that are measured, by the names that the network gives them; empty: all that it has. Of `resnet`: h1, h2 and
    h3, the ends of the three stages, and h4, the pooled features. Of `rir` with two streams each of them (both streams
    together), and its streams on their own: h1_residual, h1_transient, ..."""
    encoder_seeds: tuple[int, ...] = (0,)
    """One encoder per task and seed."""
    decoder_seeds: tuple[int, ...] = (0,)
    """Every decoder is fitted once per seed."""
    sharing: Literal["shared", "layer", "across_runs", "dedicated"] = "layer"
    """`layer`: one decoder for all epochs of a layer of a run; `across_runs`: one for all epochs of a layer in all runs
    (tasks, number formats, encoder seeds) in which the layer has the same shape, at about the cost of one of `layer`;
    `deep` readers only, and further runs need another name, as they make it another reader; `shared`: one for all
    layers and epochs of a run; `dedicated`: one per cell and one unconditional (the protocol of Darlow & Storkey
    2020)."""
    reader: Literal["gated", "deep"] = "deep"
    """What reads the layers: `deep`, a deep network that adds to the base of the images what a layer tells; `gated`, a
    PixelCNN++ per decoder, fitted from scratch, with the condition before every gate."""
    reader_network: ReaderArchitecture = field(default_factory=ReaderArchitecture)
    """Size of a `deep` reader."""
    unconditional_fit: bool | None = None
    """Whether an unconditional decoder is fitted beside the others and may serve as L0, whichever is shorter on the
    validation slice; it costs one more fit for each decoder seed. Null: yes for `deep` readers and no for `gated` ones,
    but for `dedicated` ones, which always have it. Of `deep` readers it is one that reads nothing, fitted like that of
    the network's last layer: what it finds in earlier pixels that the base has missed, others find too, and no layer
    told them. Of `gated` decoders it gives all its steps to what shared ones learn in a share of theirs."""
    start_from: str | None = None
    """Another finished experiment whose decoders (of the same name and shape) the fits start from."""
    data: DataConfig = field(default_factory=DataConfig)
    """Images and their splits."""
    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    """The network that is studied."""
    training: TrainingConfig = field(default_factory=TrainingConfig)
    """How encoders are trained."""
    joint: JointConfig = field(default_factory=JointConfig)
    """Of the task `joint`: trade-offs between classification and reconstruction, each with networks of its own."""
    binary_training: BinaryTrainingConfig = field(default_factory=BinaryTrainingConfig)
    """What is different for those of the number format `binary`."""
    activations: ActivationsConfig = field(default_factory=ActivationsConfig)
    """Dump or recompute."""
    decoder: Architecture = field(default_factory=Architecture)
    """Size and output distribution of `gated` decoders; by default those of PixelCNN++ at full size, for GPUs."""
    fitting: FittingConfig = field(
        default_factory=lambda: FittingConfig(
            steps=3500,
            batch_size=32,
            optimiser="muon",
            learning_rate=3e-3,
            matrix_learning_rate=0.01,
            betas=(0.9, 0.99),
            lr_decay_per_step=1.0,
            warmup_steps=50,
            cooldown_share=0.8,
            halfway=True,
            averaging=0.998,
            gradient_clip=1.0,
            validate_every=500,
            validation_images=256,
        )
    )
    """How decoders are fitted; by default as suits `deep` readers on two cores."""
    layer_steps: dict[str, int] = field(default_factory=dict)
    """Layer -> steps of its fits, where they need more or fewer than `fitting.steps`: a pooled layer tells few bits,
    which take long to find (twice the steps are a good start), and an early one many that are found soon. Not with
    `shared` decoders, which read all."""
    layer_dropout: dict[str, float] = field(default_factory=dict)
    """Layer -> `reader_network.dropout` of its readers: with few images a late layer, which tells little, is read best
    with much of it, and an early one, whose values are copied exactly, with none."""
    layer_own_blocks: dict[str, int] = field(default_factory=dict)
    """Layer -> `reader_network.own_blocks` of its readers: an early layer tells much, and residual pairs that each
    cell has for itself read more of it than what all share; a late one has no use for them."""
    base_learns_from: Literal["all", "encoder_images"] = "all"
    """Images that the base is fitted to: `all` but the evaluation images, or only those that encoders are trained on.
    A base that knows a few hundred images by heart gives readers features of their training images that are better than
    those of new ones; with `encoder_images` it has seen neither. Of no meaning where images are drawn, and always `all`
    with an activations file, which holds no images of encoders."""
    held_gib: float = 3.0
    """Activations that the fit of a reader may hold in memory, in GiB, in each process: of what fits, minibatches mix
    images and cells freely; else they are made of whole groups of one cell each, from which readers learn more slowly.
    Changes numbers only where it decides between the two."""
    base: Literal["shipped", "scratch"] = "shipped"
    """The unconditional model of the images: `shipped` takes one of this recipe that is part of the package, if there
    is one; else, and with `scratch`, it is fitted once and kept in `bases` under `checkpoints` for all experiments on
    the same images."""
    base_network: Architecture = field(
        default_factory=lambda: Architecture(blocks=1, filters=24, dropout=0.0, log_scale_min=-9.0)
    )
    """Size and output distribution of the base; by default one that two cores can fit, as that of cifar10-16."""
    base_fitting: FittingConfig = field(
        default_factory=lambda: FittingConfig(
            steps=5000,
            batch_size=32,
            optimiser="muon",
            learning_rate=3e-3,
            betas=(0.9, 0.99),
            lr_decay_per_step=1.0,
            warmup_steps=50,
            cooldown_share=1.0,
            averaging=0.998,
            gradient_clip=1.0,
            validate_every=250,
            validation_images=1024,
            save_every=250,
        )
    )
    """How the base is fitted."""
    base_seed: int = 0
    """Seed of the base."""
    probe: ProbeConfig = field(default_factory=ProbeConfig)
    """Probes for I(H;Y) and for the factors."""
    estimation: EstimationConfig = field(default_factory=EstimationConfig)
    """Intervals and the common null."""
    brackets: BracketsConfig = field(default_factory=BracketsConfig)
    """Upper ends of the information in layers that are made of codes; of use for quantized number formats only."""
    sampling: SamplingConfig = field(default_factory=SamplingConfig)
    """Conditional samples."""
    spike_in: int = 0
    """Pixels (at most a quarter) of the decoder's and the evaluation's images that are overwritten with fair coins,
    which the encoder never sees, to measure how many of these known bits decoders find. 0: none. Readers stand on a
    base of such images, fitted for them."""
    spike_in_options: SpikeInConfig = field(default_factory=SpikeInConfig)
    """How coins are shown, and mixed into activations."""
    workers: int = 0
    """Processes that work side by side; 0: one per core without a GPU, one with a GPU. Does not change numbers."""
    engine: Literal["local", "ray"] = "local"
    """What the processes run on: `local`, this machine; `ray`, a Ray cluster whose nodes all see this folder (or a
    Ray of this machine), on which `workers` is the most that run at once (0: as many as there is room for) and share
    its GPUs. Does not change numbers."""
    ray_address: str | None = None
    """With `engine: ray`: `auto` or host:port of a running cluster; empty: RAY_ADDRESS where that is set, else a Ray
    of this machine is started for the run."""
    threads: int = 1
    """Threads of each process. At small sizes two processes of one thread beat one of two. On a CPU another number sums
    in another order: numbers differ by rounding and what training makes of it. Manifests record it, and going on with
    another number is said."""
    checkpoints: str = "checkpoints"
    """Folder for everything that is computed."""
    figures: str = "figures"
    """Folder for figures and pages."""


def with_activations_file(config: ExperimentConfig) -> ExperimentConfig:
    """The config with what an activations file decides: where images come from, and that nothing is trained here."""
    if config.activations_file is None:
        return config
    path = str(Path(config.activations_file).expanduser().absolute())
    return replace(
        config,
        layer_steps=_of_file(config, config.layer_steps),
        layer_dropout=_of_file(config, config.layer_dropout),
        layer_own_blocks=_of_file(config, config.layer_own_blocks),
        base_learns_from="all",
        tasks=("recorded",),
        number_formats=("float32",),
        encoder_seeds=(0,),
        data=replace(config.data, source="activations_file", folder=path),
    )


def without_layers(config: ExperimentConfig) -> ExperimentConfig:
    """The config with no layer named: those of an experiment may be of another kind of network than a study's."""
    return replace(config, layers=(), layer_steps={}, layer_dropout={}, layer_own_blocks={})


def _of_file(config: ExperimentConfig, settings: dict[str, _Number]) -> dict[str, _Number]:
    """Settings of layers without those of the network that they were written for and the file does not have.

    Names that neither has stay, to be refused.
    """
    contents = contents_for(config)
    assert contents is not None
    if set(settings) <= set(contents.taps):
        return settings
    elsewhere = tap_names(config.encoder, "classification", (3, 32, 32), 256, 10)  # whatever its images are
    return {name: n for name, n in settings.items() if name in contents.taps or name not in elsewhere}


def unused_with_activations_file(config: ExperimentConfig) -> list[str]:
    """Fields that are not at their defaults and mean nothing where an activations file is measured.

    Arguments:
        config: as the user gave it, or what `with_activations_file` has made of it.
    """
    if config.activations_file is None:
        return []
    about_training = ("encoder", "training", "joint", "quantization", "binary_training", "brackets")
    decided = ("tasks", "number_formats", "encoder_seeds", "base_learns_from")
    default, made = ExperimentConfig(), with_activations_file(config)
    found = [name for name in about_training if getattr(config, name) != getattr(default, name)]
    found += [name for name in decided if getattr(config, name) not in (getattr(default, name), getattr(made, name))]
    return [*found, *(["data.source"] if config.data.source not in (default.data.source, made.data.source) else [])]


def unused_by_architecture(config: ExperimentConfig) -> list[str]:
    """What is chosen about the encoders and changes nothing about those that are trained, a sentence each."""
    encoder, default = config.encoder, EncoderConfig()
    found = [
        f"encoder.{name} is of the architecture {name} alone and is not used: this is {encoder.architecture}."
        for name in ("binary", "dense")
        if encoder.architecture != name and getattr(encoder, name) != getattr(default, name)
    ]
    if encoder.architecture == "binary" and "binary" not in config.number_formats:
        found.append(
            "Without the number format binary only the real-valued twin of the binary network is trained; "
            '--number_formats "[float32, binary]" trains both.'
        )
    return found


def contents_for(config: ExperimentConfig) -> FileContents | None:
    """What is in the config's activations file; None where encoders are trained here.

    Raises:
        UserError: the file does not have its layout.
    """
    if config.activations_file is None:
        return None
    return contents_of(Path(config.activations_file).expanduser().absolute())


def taps_of(config: ExperimentConfig) -> tuple[str, ...]:
    """Taps that the networks of all tasks have, from input to output.

    Raises:
        UserError: the images are too small for the network, or a file of activations cannot be used.
    """
    contents = contents_for(config)
    if contents is not None:
        check_tap_names(contents.taps)
        return tuple(contents.taps)
    space = image_space(config.data, recheck=False)
    first, *others = (
        tap_names(config.encoder, task, tuple(space.image_shape), space.intensities, space.n_classes)
        for task in config.tasks
        if task != "recorded"
    )
    return tuple(name for name in first if all(name in names for names in others))
