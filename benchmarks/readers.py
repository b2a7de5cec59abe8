"""Usable information against CPU seconds: a gated PixelCNN++ and a deep reader on its base, fitted to the same cells.

    python benchmarks/readers.py cifar10-16 [--layers h1 h2 h3 h4] [--task classification] [--seconds 240] ...

The experiment's encoders, activations and base have to be there (`ib train`, `ib base`); nothing is written there.
For each layer one decoder of either kind reads all its epochs. The first steps of either are timed, to choose how many
fill the budget; the schedule (warm-up, cool-down) is stretched to these. Seconds are CPU seconds of the training steps
on one thread, with the reading of activations, without validations and without standardising the activations, which is
the same for both.

Readers have the experiment's `reader_network`, with what single layers have of their own, and `fitting`. Gated decoders
have `decoder` and `fitting` of --gated, with two changes in their favour: their pixels have the distribution of the
base, and none of their images sees the null condition, since L0 is the base's for both. I(X;H) is the mean of L0 - L
over the cells, on the same validation images.

The ratio is the time after which a reader's code is as short as the gated decoder's best, over the time at which that
one had it: above what it could be, as it is read off at a validation of a fit that has not cooled down yet. The base's
features of the images and its fit serve all layers, tasks, seeds and number formats; the ratios "with" them share them
over the layers of this run alone. Further options are fields of the experiment, for instance --data.root.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from courses.course import KINDS, Course, Pair, headline, table
from courses.figure import draw

from decoders import Decoder, FittingConfig, Minibatch, PixelCNNPP, Reader, ReaderArchitecture, TrainingData, fit
from ib_analysis.artifacts import UserError
from ib_analysis.bases.features import StoredFeatures, write_features
from ib_analysis.cli import parse_experiment
from ib_analysis.experiment import Experiment, ExperimentConfig, Fit, Run
from ib_analysis.records.activations import dump_artifact
from ib_analysis.records.bases import base_artifact, load_base
from ib_analysis.records.decoders import decoder_network, feed_for
from ib_analysis.records.images import measured_images
from ib_analysis.studies.budget.plan import scaled

REHEARSAL = 30
"""Steps that are timed before a fit, to choose its number of steps."""
SEED = 0
FORMATS = ("png", "svg", "pdf")


class Timed:
    """Minibatches of a fit (`decoders.TrainingData`), and a clock of its steps that stands still in validations.

    Arguments:
        training: where minibatches come from.
        held_out: the validation's.
        clock: CPU seconds.

    Attributes:
        steps: CPU seconds of each step; the first has the initialisation too.
        validations: CPU seconds of all steps before each validation.
    """

    def __init__(
        self, training: TrainingData, held_out: Sequence[Minibatch], clock: Callable[[], float] = time.process_time
    ) -> None:
        self._training, self._held_out, self._clock = training, held_out, clock
        self._validating = False
        self.steps: list[float] = []
        self.validations: list[float] = []
        self._since = clock()

    def minibatch(self, rng: np.random.Generator) -> Minibatch:
        return self._training.minibatch(rng)

    def validation(self) -> Iterator[Minibatch]:
        self._validating = True
        self.validations.append(sum(self.steps))
        return iter(self._held_out)

    def progress(self, *_: object) -> None:
        """To be called by the fit: after each step, and after each validation."""
        now = self._clock()
        if not self._validating:
            self.steps.append(now - self._since)
        self._validating, self._since = False, now


# ---------------------------------------------------------------------------------------------- fits


def steps_for(budget: float, timed: Sequence[float]) -> int:
    """Steps that fill a budget of seconds; what the timed steps took beyond their median is taken to occur once.

    >>> steps_for(10.0, [1.5, 0.5, 0.5])
    18
    """
    step = statistics.median(timed)
    once = max(0.0, sum(timed) - step * len(timed))
    return max(1, int((budget - once) / step))


def schedule(fitting: FittingConfig, steps: int, validations: int) -> FittingConfig:
    """The same schedule for other steps, with so many validations, to its end."""
    stretched = scaled(fitting, steps / fitting.steps)
    return replace(stretched, steps=steps, validate_every=max(1, steps // validations), patience=0)


class Bench:
    """The decoders of one experiment that are compared.

    Arguments:
        config: of the experiment, whose `reader` is `deep`.
        gated: an experiment whose `decoder` and `fitting` the gated decoders have.
        task: of the encoder; None: the experiment's first.
        layers: to read; None: all of the experiment's.
        seconds: budget of each decoder.
        validations: of each fit.
        validation_images: of each cell.
        features: file for the base's features of the images.

    Raises:
        UserError: the experiment is of another kind or not trained, or its base is not fitted; there is no such task or
            layer.
    """

    def __init__(
        self,
        config: ExperimentConfig,
        gated: ExperimentConfig,
        task: str | None,
        layers: Sequence[str] | None,
        seconds: float,
        validations: int,
        validation_images: int,
        features: Path,
    ) -> None:
        if config.reader != "deep":
            raise UserError(
                f"the reader of {config.name} is {config.reader!r}, and its fitting is not that of deep readers; name "
                "an experiment with reader: deep, whose gated counterpart --gated names."
            )
        self._seconds, self._validations = seconds, validations
        config = replace(config, sharing="layer", fitting=replace(config.fitting, validation_images=validation_images))
        pixels = config.base_network
        decoder = replace(
            gated.decoder,
            output=pixels.output,
            components=pixels.components,
            fourier_features=pixels.fourier_features,
            log_scale_min=pixels.log_scale_min,
        )
        fitting = replace(gated.fitting, halfway=False)
        self.experiments = {
            "gated": Experiment(
                replace(config, reader="gated", decoder=decoder, fitting=fitting, layer_dropout={}, layer_own_blocks={})
            ),
            "deep": Experiment(config),
        }
        deep = self.experiments["deep"]
        self.run = _run(deep, task)
        self.layers = _layers(deep, layers)
        _require_dump(deep, self.run)
        record = _base_record(deep)
        self.base = load_base(deep, torch.device("cpu"))
        self.base_seconds, self.base_device = float(record["seconds"]), str(record["device"])
        images = measured_images(deep).decoder.images
        start = time.process_time()
        write_features(features, self.base, torch.from_numpy(images))
        self._stored = StoredFeatures(images, [(features, len(images))])
        self.feature_seconds, self.images = time.process_time() - start, len(images)

    def layer(self, layer: str) -> dict[str, Course]:
        """Both decoders' courses on all epochs of a layer."""
        cells = tuple((epoch, layer) for epoch in self.experiments["deep"].epochs)
        wanted = Fit(f"benchmark/{layer}", self.run, SEED, cells)
        feed = feed_for(self.experiments["deep"], wanted)  # the same images of each cell, for both
        held_out, statistics_of_cells = list(feed.validation()), feed.standardisation()
        found = {}
        for kind in KINDS:
            experiment = self.experiments[kind]

            def fitted(
                steps: int, validations: int, images: Sequence[Minibatch], experiment: Experiment = experiment
            ) -> tuple[Timed, Course]:
                torch.manual_seed(SEED)
                decoder = self._decoder(experiment, wanted)
                for cell, (mean, deviation) in statistics_of_cells.items():
                    decoder.standardise(cell, mean, deviation)
                return _fitted(
                    decoder,
                    Timed(feed_for(experiment, wanted).guarded(), images),
                    # L0 is the base's for both: no image needs to be seen under the null condition.
                    schedule(replace(experiment.fitting, null_share=0.0), steps, validations),
                )

            timed, _ = fitted(REHEARSAL, 1, held_out[:1])
            found[kind] = fitted(steps_for(self._seconds, timed.steps), self._validations, held_out)[1]
        return found

    def _decoder(self, experiment: Experiment, wanted: Fit) -> Decoder:
        network, size = decoder_network(experiment, wanted), experiment.decoder_size_for(wanted)
        if not isinstance(size, ReaderArchitecture):
            return PixelCNNPP(network)
        reader = Reader(self.base, size, network.cells)
        reader.stored = self._stored
        return reader


def _fitted(decoder: Decoder, timed: Timed, fitting: FittingConfig) -> tuple[Timed, Course]:
    record = fit(decoder, timed, fitting, seed=SEED, progress=timed.progress, accelerator=Accelerator(cpu=True))
    course = Course(
        seconds=tuple(timed.validations),
        bits=tuple(point.validation_bits for point in record.curve),
        null_bits=record.curve[-1].validation_null_bits,
        steps=record.steps_done,
        ms_per_image=1e3 * statistics.median(timed.steps) / fitting.batch_size,
    )
    return timed, course


def _run(experiment: Experiment, task: str | None) -> Run:
    for run in experiment.runs:
        if task in (None, run.task):
            return run
    raise UserError(
        f"{experiment.config.name} has no task {task!r}; choose from {', '.join(experiment.config.tasks)} (--task)."
    )


def _layers(experiment: Experiment, wanted: Sequence[str] | None) -> tuple[str, ...]:
    for layer in wanted or ():
        if layer not in experiment.layers:
            known = ", ".join(experiment.layers)
            raise UserError(f"{experiment.config.name} has no layer {layer!r}; choose from {known} (--layers).")
    return tuple(dict.fromkeys(wanted or experiment.layers))


def _require_dump(experiment: Experiment, run: Run) -> None:
    name = experiment.config.name
    if experiment.config.activations.mode != "dump":
        raise UserError(
            f"activations.mode of {name} is recompute, whose time would hide that of the decoders; use a name of its "
            "own with --activations.mode dump, for ib train as well."
        )
    if not experiment.activations_path(run).exists() or dump_artifact(experiment, run).status() != "complete":
        raise UserError(f"{name} has no activations of {run.key}; run ib train {name} with the same options first.")


def _base_record(experiment: Experiment) -> dict:
    artifact, name = base_artifact(experiment), experiment.config.name
    if not artifact.is_whole:
        raise UserError(f"the base of {name} is not fitted; run ib base {name} with the same options first.")
    return artifact.record


# ---------------------------------------------------------------------------------------------- the command


def options_of(arguments: Sequence[str] | None) -> tuple[argparse.ArgumentParser, argparse.Namespace, list[str]]:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("experiment", nargs="?", help="with reader: deep, after ib train and ib base")
    parser.add_argument("--layers", nargs="+", help="all of the experiment's by default")
    parser.add_argument("--task", help="of the encoder; by default the experiment's first")
    parser.add_argument("--seconds", type=float, default=240.0, help="CPU seconds of each decoder")
    parser.add_argument("--gated", default="default-gated", help="whose decoder and fitting the gated decoders have")
    parser.add_argument("--validations", type=int, default=48, help="of each fit, at equal distances")
    parser.add_argument("--validation-images", type=int, default=256, help="of each cell, at the least")
    parser.add_argument("--figure", type=Path, help=f"file to draw to, one of {', '.join(FORMATS)}")
    options, fields = parser.parse_known_args(arguments)
    if options.seconds <= 0 or options.validations < 1 or options.validation_images < 1:
        parser.error("--seconds must be above 0, --validations and --validation-images at least 1")
    if options.figure is not None and options.figure.suffix[1:] not in FORMATS:
        parser.error(f"--figure {options.figure}: the name must end in one of .{', .'.join(FORMATS)}")
    return parser, options, fields


def main(arguments: Sequence[str] | None = None) -> list[Pair]:
    parser, options, fields = options_of(arguments)
    if options.experiment is None:  # as `make bench` runs it: there may be no experiment yet
        print(f"{parser.prog} needs a trained experiment (see --help), and none is named: nothing is measured.")
        return []
    torch.set_num_threads(1)
    try:
        with tempfile.TemporaryDirectory() as folder:
            return _compare(options, fields, Path(folder) / "features.npy")
    except (UserError, ValueError) as error:
        raise SystemExit(f"{parser.prog}: {error}") from error


def _compare(options: argparse.Namespace, fields: list[str], features: Path) -> list[Pair]:
    config = parse_experiment("train", [options.experiment, *fields])
    gated = parse_experiment("train", [options.gated])
    bench = Bench(
        config,
        gated,
        task=options.task,
        layers=options.layers,
        seconds=options.seconds,
        validations=options.validations,
        validation_images=options.validation_images,
        features=features,
    )
    deep = bench.experiments["deep"]
    print(f"{config.name}, {bench.run.key}, {len(deep.epochs)} epochs of each layer, one thread, {options.seconds:g} s")
    for kind in KINDS:
        print(f"{kind}: {_described(bench.experiments[kind])}")
    print(
        f"base: fitted in {bench.base_seconds:,.0f} s (wall-clock time on {bench.base_device}); its features of "
        f"{bench.images:,} images: {bench.feature_seconds:.1f} CPU seconds"
    )
    pairs = []
    count = len(bench.layers)
    for layer in bench.layers:
        found = bench.layer(layer)
        pair = Pair(layer, found["gated"], found["deep"], bench.base_seconds / count, bench.feature_seconds / count)
        pairs.append(pair)
        chosen = ", ".join(f"{kind} {course.steps:,} in {course.seconds[-1]:.0f} s" for kind, course in found.items())
        print(f"{layer}: L0 {pair.deep.null_bits:,.2f} bits; steps that fill the budget: {chosen}", flush=True)
    print(*table(pairs, options.seconds), *headline(pairs), sep="\n")
    if options.figure is not None:
        draw(options.figure, pairs, f"{config.name}, {bench.run.task}")
        print(f"drawn: {options.figure}")
    return pairs


def _described(experiment: Experiment) -> str:
    config, fitting = experiment.config, experiment.fitting
    optimiser = f"{fitting.optimiser}, learning rate {fitting.learning_rate:g}, minibatches of {fitting.batch_size}"
    if experiment.has_base:
        reader, base = config.reader_network, config.base_network
        return f"width {reader.width}, on a base of {base.blocks} blocks and {base.filters} filters; {optimiser}"
    size = config.decoder
    return f"{size.blocks} blocks, {size.filters} filters, {size.output}; {optimiser}"


if __name__ == "__main__":
    main()
