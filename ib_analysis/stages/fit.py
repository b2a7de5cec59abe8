"""Fit decoders: one per run (shared), per layer, per cell, or per layer of several runs, and unconditional ones."""

from __future__ import annotations

from decoders import Decoder
from ib_analysis.artifacts import UserError, load_tensors, sha256_of_plain
from ib_analysis.engines.local import Progress, Unit
from ib_analysis.experiment import BASE, Experiment, ExperimentConfig, Fit
from ib_analysis.fits.artifact import fit_artifact
from ib_analysis.records.decoders import decoder_artifact, feed_of_fit, new_decoder_of_fit, start_path
from ib_analysis.records.joint import decoder_key

__all__ = ["fit_seed", "fit_units"]


def fit_units(experiment: Experiment) -> list[Unit]:
    """One unit per decoder that is not complete; the longest first, so that no worker waits for another at the end."""
    # Of a decoder that reads several runs any part stands for the whole.
    fits = {decoder_key(experiment, fit): fit for fit in experiment.fits if fit.key != BASE}
    missing = {key: fit for key, fit in fits.items() if decoder_artifact(experiment, fit).status() != "complete"}
    longest_first = sorted(missing.items(), key=lambda item: -experiment.fitting_for(item[1]).steps)
    return [Unit(key, _fit, (experiment.config, fit)) for key, fit in longest_first]


def _fit(config: ExperimentConfig, unit: Fit, progress: Progress) -> None:
    experiment = Experiment(config)
    fit_artifact(
        decoder_artifact(experiment, unit),
        lambda: new_decoder_of_fit(experiment, unit),
        feed_of_fit(experiment, unit),
        experiment.fitting_for(unit),
        fit_seed(experiment, unit),
        progress,
        start=lambda decoder: _start_from(experiment, unit, decoder),
    )


def fit_seed(experiment: Experiment, fit: Fit) -> int:
    """The seed of one fit: what distinguishes decoders enters it, else all would see the same random numbers.

    Readers of the same layer do see the same: minibatches, cells and first weights are common to all tasks, number
    formats and encoder seeds, so that their differences do not carry the noise of two fits.
    """
    if experiment.has_base and fit.run is not None:
        layers = sorted({layer for _, layer in fit.cells})
        epochs = sorted({epoch for epoch, _ in fit.cells}) if experiment.config.sharing == "dedicated" else []
        return int(sha256_of_plain(["reader", layers, epochs, fit.decoder_seed])[:8], 16)
    return int(sha256_of_plain([fit.key, fit.decoder_seed])[:8], 16)


def _start_from(experiment: Experiment, fit: Fit, decoder: Decoder) -> bool:
    """Take over the weights of another experiment's decoder of the same name; whether there was one to take over.

    An unconditional reader starts at the base: the other experiment may have none.

    Raises:
        UserError: the other experiment has no such decoder, or one of another shape.
    """
    name = experiment.config.start_from
    if name is None or experiment.reads_nothing(fit):
        return False
    path = start_path(experiment, fit, name)
    own = decoder.state_dict()
    found = load_tensors(path)
    differing = [key for key in own if key not in found or own[key].shape != found[key].shape]
    if differing:
        raise UserError(
            f"start_from: {path} is a decoder of another shape ({len(differing)} of {len(own)} tensors differ, first "
            f"{differing[0]}); use the same decoder settings, layers and checkpoint epochs."
        )
    # The standardisation belongs to this experiment's activations.
    kept = {key: own[key] for key in own if key.endswith((".mean", ".inverse_deviation"))}
    decoder.load_state_dict({**{key: found[key] for key in own}, **kept})
    return True
