"""What of an experiment's config cannot work: one sentence that says what is wrong and what to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch

from decoders.config import Architecture, ImageSpace, PixelCNNPPConfig
from decoders.fitting.certificate import check_judgeable
from decoders.fitting.fit import FittingConfig
from decoders.precision import cpu_multiplies_bfloat16
from ib_analysis.artifacts import UserError
from ib_analysis.data import image_space
from ib_analysis.experiment_config import ExperimentConfig, taps_of
from ib_analysis.quantization import BINARY, number_format
from ib_analysis.spike_ins import check as check_spike_in
from ib_analysis.training import checkpoint_epochs

__all__ = ["check"]


def check(config: ExperimentConfig) -> None:
    """Refuse settings that cannot work, before anything runs.

    Raises:
        UserError: one of them.
    """
    if not config.name or any(character in config.name for character in "/\\\0") or config.name.startswith("."):
        raise UserError(f"name is {config.name!r}; it names a folder: use letters, digits, '-' and '_'.")
    if config.name == "bases":
        raise UserError("name is 'bases', which is the folder of the data sets' bases; choose another.")
    for field_name in ("tasks", "number_formats", "layers", "encoder_seeds", "decoder_seeds"):
        values = getattr(config, field_name)
        if (not values and field_name != "layers") or len(set(values)) != len(values):
            raise UserError(f"{field_name} is {list(values)}; give at least one value, each once.")
    for name in config.number_formats:
        number_format(name)
    if config.activations_file is None:
        if "recorded" in config.tasks or config.data.source == "activations_file":
            raise UserError(
                "tasks is recorded, or data.source activations_file, but there is no file of activations; set "
                "activations_file to its path."
            )
        _check_binary(config)
    known = taps_of(config)
    for layer in config.layers:
        if layer not in known:
            raise UserError(
                f"layers names {layer!r}, which this {'file' if config.activations_file else 'encoder'} does not have; "
                f"choose from {', '.join(known)}."
            )
    for field_name in ("encoder_seeds", "decoder_seeds"):
        if min(getattr(config, field_name)) < 0:
            raise UserError(f"{field_name} is {list(getattr(config, field_name))}; seeds are whole numbers from 0 on.")
    if config.threads < 1 or config.workers < 0:
        raise UserError("threads must be at least 1 and workers at least 0 (0: one per core).")
    if not config.held_gib >= 0:
        raise UserError(f"held_gib is {config.held_gib}; give the GiB of activations that a fit may hold, 0 for none.")
    if config.activations.group_size < 1:
        raise UserError("activations.group_size must be at least 1.")
    _check_encoder(config)
    _check_joint(config)
    _check_reader(config)
    _check_settings_of_layers(config, known)
    _check_fitting(config)
    _check_base(config)
    _check_brackets(config)


def _check_encoder(config: ExperimentConfig) -> None:
    quantized = [name for name in config.number_formats if number_format(name).is_quantized]
    if config.encoder.form == "one_convolution" and quantized:
        raise UserError(
            f"encoder.form one_convolution holds an identity among its weights, which the number format {quantized[0]} "
            "would round with them; choose --encoder.form four_convolutions."
        )


def _check_joint(config: ExperimentConfig) -> None:
    if "joint" not in config.tasks:
        return
    if not config.joint.trade_offs:
        raise UserError(
            "tasks has joint, but there is no trade-off; give joint.preferences or joint.reconstruction_limits."
        )
    if image_space(config.data, recheck=False).n_classes < 2:
        raise UserError(
            "tasks has joint, which classifies, but the images do not have two classes; choose autoencoding."
        )


def _check_binary(config: ExperimentConfig) -> None:
    """Refuse formats that the architecture does not have, and a teacher that is not there."""
    is_binary = config.encoder.architecture == "binary"
    for name in config.number_formats:
        found = number_format(name)
        if found.is_binary and not is_binary:
            raise UserError(
                f"number_formats has binary, which the architecture {config.encoder.architecture} does not have; "
                "choose --encoder.architecture binary."
            )
        if is_binary and found.is_quantized and not found.is_binary:
            raise UserError(
                f"number_formats has {name}, which the architecture binary does not have; choose binary, or float32 "
                "for its real-valued twin."
            )
    learns = config.binary_training.teacher == "twin" and BINARY in config.number_formats
    if learns and "float32" not in config.number_formats:
        raise UserError(
            "binary_training.teacher is twin, but number_formats has no float32, whose runs are the teachers; add it."
        )


def _check_brackets(config: ExperimentConfig) -> None:
    if not any(number_format(name).is_quantized for name in config.number_formats):
        return  # there will be none
    settings, group_size = config.brackets, config.activations.group_size
    if settings.fitting.batch_size % group_size:
        raise UserError(
            f"brackets.fitting.batch_size ({settings.fitting.batch_size}) must be a multiple of activations.group_size "
            f"({group_size}): a minibatch is made of whole groups."
        )
    known = checkpoint_epochs(config.training)
    for epoch in () if isinstance(settings.epochs, str) else settings.epochs:
        if epoch not in known:
            raise UserError(
                f"brackets.epochs names epoch {epoch}, which has no checkpoint; choose from "
                f"{', '.join(map(str, known))}."
            )


def _check_settings_of_layers(config: ExperimentConfig, known: Sequence[str]) -> None:
    measured = config.layers or known
    for name in ("layer_steps", "layer_dropout", "layer_own_blocks"):
        chosen = getattr(config, name)
        for layer in chosen:
            if layer not in {*measured, *known}:  # a known layer that is not measured needs no decoder
                raise UserError(
                    f"{name} names {layer!r}, which is not among the layers; choose from {', '.join(measured)}."
                )
        if chosen and name != "layer_steps" and config.reader != "deep":
            instead = " (decoder.dropout is there)" if name == "layer_dropout" else ""
            raise UserError(f"{name} is about readers; choose --reader deep, or leave it out{instead}.")
        if chosen and config.sharing == "shared":
            raise UserError(
                f"{name} does not go with sharing: shared, where one decoder reads all layers; choose --sharing layer, "
                "across_runs or dedicated, or leave it out."
            )
    for layer, steps in config.layer_steps.items():
        if steps < 1:
            raise UserError(f"layer_steps gives {layer} {steps} steps; give at least 1.")
    for layer, dropout in config.layer_dropout.items():
        if not 0 <= dropout < 1:
            raise UserError(f"layer_dropout gives {layer} {dropout}; give a probability from 0 up to, but not, 1.")
    for layer, blocks in config.layer_own_blocks.items():
        if blocks < 0:
            raise UserError(f"layer_own_blocks gives {layer} {blocks} residual pairs; give 0 or more.")


def _check_fitting(config: ExperimentConfig) -> None:
    fitting = config.fitting
    if fitting.batch_size % config.activations.group_size:
        raise UserError(
            f"fitting.batch_size ({fitting.batch_size}) must be a multiple of activations.group_size "
            f"({config.activations.group_size}): a minibatch is made of whole groups."
        )
    if fitting.null_share >= 1:
        raise UserError("fitting.null_share is 1: no image would be fitted with its condition; choose less than 1.")
    has_null = (
        config.reader == "deep"
        or fitting.null_share > 0
        or config.unconditional_fit
        or config.estimation.null_from is not None
    )
    if config.sharing != "dedicated" and not has_null:
        raise UserError(
            "fitting.null_share is 0, so that no unconditional model would be fitted and there is no L0; choose a "
            "share above 0, --unconditional_fit true, --sharing dedicated, or an experiment for estimation.null_from."
        )
    _check_precision(fitting, "fitting")
    for steps in (fitting.steps, *config.layer_steps.values()):
        try:
            check_judgeable(replace(fitting, steps=steps))
        except ValueError as error:
            raise UserError(str(error)) from error
    _, height, width = image_space(config.data, recheck=False).image_shape
    check_spike_in(config.spike_in, height, width)
    if config.reader == "gated":
        _check_network(config, config.decoder, "The decoder")


def _check_base(config: ExperimentConfig) -> None:
    if config.base not in ("shipped", "scratch"):
        raise UserError(f"base is {config.base!r}; choose shipped or scratch.")
    if config.base_seed < 0:
        raise UserError(f"base_seed is {config.base_seed}; seeds are whole numbers from 0 on.")
    _check_precision(config.base_fitting, "base_fitting")
    _check_network(config, config.base_network, "The base (base_network)")


def _check_precision(fitting: FittingConfig, name: str) -> None:
    if fitting.precision == "bfloat16" and not (torch.cuda.is_available() or cpu_multiplies_bfloat16()):
        raise UserError(
            f"{name}.precision is bfloat16, for which this machine has neither a GPU nor a CPU with the instructions; "
            "use auto or float32."
        )


def _check_network(config: ExperimentConfig, architecture: Architecture, what: str) -> None:
    (channels, height, width), intensities, _ = image_space(config.data, recheck=False)
    try:
        PixelCNNPPConfig(ImageSpace(channels, height, width, intensities), architecture)
    except ValueError as error:
        raise UserError(f"{what} does not fit the images: {error}.") from error


def _check_reader(config: ExperimentConfig) -> None:
    if config.reader != "deep":
        if config.sharing == "across_runs":
            raise UserError(
                "sharing: across_runs goes with reader: deep only, whose L0 no run has a part in; choose --reader "
                "deep, or --sharing layer."
            )
        return
    if config.spike_in and config.sharing == "across_runs":
        raise UserError(
            "spike_in does not go with sharing: across_runs, as coins are mixed into the layers of each run by scales "
            "of its own; choose --sharing layer, or --spike_in 0."
        )
