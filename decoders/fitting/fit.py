"""Maximum likelihood fits of a decoder.

Any conditional density model of images with the interface of PixelCNNPP can be fitted.

The settings are in `schedule`, what one step computes in `gradients`, what a checkpoint holds in `fit_state`,
when a fit counts as converged in `fit_warnings`, how it may end twice in `course`. This file is the loop.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from accelerate import Accelerator
from torch import Tensor, distributed

from decoders.code_lengths import code_lengths_bits
from decoders.dropout import set_dropout_stream
from decoders.fitting.batches import Minibatch, TrainingData
from decoders.fitting.checkpoint import Checkpoint, FitCheckpoint
from decoders.fitting.course import Course, Fork
from decoders.fitting.flat_parameters import FlatParameters
from decoders.fitting.gradients import StepDraw, StepGradient, draw_step, uses_bfloat16
from decoders.fitting.initialisation import initialise_from_minibatch
from decoders.fitting.schedule import FittingConfig, cooldown_start, learning_rate, steps_in_all
from decoders.fitting.state import CurvePoint, Fit, FitState, Halfway, Snapshot
from decoders.fitting.validation import validation_bits
from decoders.fitting.warnings import NAN_RECOVERED, curve_warnings
from decoders.matrices import matrices_of

if TYPE_CHECKING:
    from decoders import Decoder

__all__ = [
    "Checkpoint",
    "CurvePoint",
    "Fit",
    "FittingConfig",
    "Halfway",
    "Minibatch",
    "TrainingData",
    "code_lengths_bits",
    "fit",
]

Progress = Callable[[int, int, dict[str, float]], None]

MAXIMUM_RECOVERIES = 5
"""Recoveries from non-finite numbers that a fit may need; each of them halves the learning rate."""


def fit(
    decoder: Decoder,
    data: TrainingData,
    config: FittingConfig,
    *,
    seed: int,
    checkpoint: Checkpoint | None = None,
    progress: Progress | None = None,
    accelerator: Accelerator | None = None,
    initialise: bool = True,
) -> Fit:
    """Fit a decoder by maximum likelihood; on return it has the averaged weights of the best validation.

    Minimises the mean of -log q(x | h) with Adam or Muon, the schedule and the averaged weights of PixelCNN++
    (Salimans et al. 2017, arXiv 1701.05517). Minibatch, null mask and dropout of a step depend on ``(seed,
    step)`` alone: a fit that goes on from a checkpoint is, on a CPU, bit for bit the uninterrupted one. Under
    ``accelerate launch`` the processes share each minibatch: the result is that of one process up to the
    order of floating point sums.

    With ``config.halfway`` the fit also ends at half of its steps, with the weights that a fit of so many steps ends
    with, which the record holds; its own end is the one that it would have without.

    Args:
        decoder: is moved to the accelerator's device and left there, in evaluation mode.
        data: training and validation minibatches.
        config: the settings.
        seed: of everything random, at least 0. The decoder's own random weights are the caller's.
        checkpoint: where to keep the unfinished fit; what it holds already is continued.
        progress: called by the main process after each step with the steps done, all steps (those of a halfway
            cool-down among them), and ``bits``
            (mean of the training minibatches since the last validation) and, once there is one,
            ``validation_bits``, per image.
        accelerator: device and processes; None makes one: the GPU if there is one.
        initialise: whether to scale the weights to the first minibatch (data-dependent initialisation); False
            starts from the weights that the decoder has, e.g. those of an earlier fit.

    Raises:
        ValueError: no validation image, a checkpoint of another fit, bfloat16 on a CPU without it.
        FloatingPointError: the loss or its gradient stayed non-finite after several recoveries.
        torch.OutOfMemoryError: not even one image fits on the GPU.
    """
    accelerator = accelerator or Accelerator(cpu=not torch.cuda.is_available())
    decoder.to(accelerator.device)
    loop = _Loop(decoder, data, config, seed, checkpoint, progress, accelerator, initialise)
    try:
        loop.begin()
        while not loop.ended:
            loop.advance()
        return loop.finish()
    finally:
        loop.release()


class _Loop:
    """One fit; see :func:`fit` for the arguments."""

    def __init__(
        self,
        decoder: Decoder,
        data: TrainingData,
        config: FittingConfig,
        seed: int,
        checkpoint: Checkpoint | None,
        progress: Progress | None,
        accelerator: Accelerator,
        initialise: bool,
    ) -> None:
        self._decoder, self._data, self._config, self._seed = decoder, data, config, seed
        self._checkpoint, self._progress, self._accelerator = checkpoint, progress, accelerator
        self._bfloat16 = uses_bfloat16(config.precision, accelerator.device)
        self._next: tuple[int, StepDraw] | None = None
        self._clock = time.perf_counter()
        self._saved = checkpoint.load() if checkpoint is not None else None
        self._saved_step: tuple[bool, int] | None = None
        self._course = Course(config)
        decoder.train()
        if self._saved is None and initialise:
            draw = draw_step(data, seed, 0, config.null_share)
            initialise_from_minibatch(decoder, draw, accelerator.device)
        # Only now: an initialisation may replace the parameters' memory.
        self._flat = FlatParameters(decoder, matrices_of(decoder) if config.optimiser == "muon" else None)
        self._state = FitState(self._flat, config)
        self._gradient = StepGradient(decoder, self._flat, accelerator, self._bfloat16)
        self._keeper = FitCheckpoint(decoder, self._flat, config, seed)

    # ------------------------------------------------------------------------------------------ begin, end

    def begin(self) -> None:
        """Go on from the checkpoint if there is one."""
        if self._saved is not None:
            self._state.restore(self._keeper.snapshot(self._saved))
            self._course.restore(self._saved)
            self._saved = None
            self._gradient.micro_batch = self._state.numbers.micro_batch
            self._saved_step = self._moment(self._state.numbers.step)
        elif self._accelerator.num_processes > 1:
            distributed.broadcast(self._flat.weights.data, 0)
        self._good = self._state.snapshot()

    @property
    def ended(self) -> bool:
        return self._course_ended and self._course.fork is None

    @property
    def _course_ended(self) -> bool:
        return self._early_stopped or self._state.numbers.step >= self._course.schedule.steps

    @property
    def _early_stopped(self) -> bool:
        return 0 < self._config.patience <= self._state.numbers.validations_since_best

    def finish(self) -> Fit:
        """Give the decoder its best weights, keep the ended fit in the checkpoint, and judge the curve."""
        self._save(self._snapshot())
        self._accelerator.wait_for_everyone()
        numbers = self._state.numbers
        self._flat.weights.data.copy_(self._best())
        self._decoder.eval()
        recovered = (NAN_RECOVERED,) if numbers.recoveries else ()
        curve = numbers.curve
        by_cell = {cell: [point.cell_bits[cell] for point in curve] for cell in curve[-1].cell_bits}
        return Fit(
            curve=curve,
            best_step=numbers.best_step,
            steps_done=numbers.step,
            early_stopped=self._early_stopped,
            warnings=self._judge([point.validation_bits for point in curve]) + recovered,
            cell_warnings={cell: self._judge(bits) + recovered for cell, bits in by_cell.items()},
            null_warnings=self._judge([point.validation_null_bits for point in curve]) + recovered,
            seconds=numbers.seconds,
            micro_batch=numbers.micro_batch,
            halfway=self._halfway(),
        )

    def _best(self) -> Tensor:
        if self._state.best is None:
            raise FloatingPointError(
                "The code length of the validation images was never finite: lower the learning rate, or "
                "raise the decoder's smallest scale."
            )
        return self._state.best

    def _halfway(self) -> Halfway | None:
        if self._course.halfway is None:
            return None
        numbers = self._course.halfway.numbers
        with self._flat.holding(self._course.halfway.tensors["best"]):
            weights = {name: tensor.cpu().clone() for name, tensor in self._decoder.state_dict().items()}
        return Halfway(weights, numbers.curve, numbers.best_step, numbers.step, numbers.recoveries)

    def _judge(self, bits: list[float]) -> tuple[str, ...]:
        steps = [point.step for point in self._state.numbers.curve]
        twice, kept = self._course.halfway is not None, self._state.numbers.best_step
        return curve_warnings(steps, bits, cooldown_start(self._config), kept, ended_twice=twice)

    def release(self) -> None:
        """Leave an ordinary module, also after an error."""
        set_dropout_stream(self._decoder, None)
        self._flat.release()

    # ------------------------------------------------------------------------------------------ one step

    def advance(self) -> None:
        """Do one step, and a validation if one is due; or go back: from a halfway end, or a number not finite."""
        step = self._state.numbers.step
        if self._course_ended:
            self._end_halfway()
            return
        if self._course.forks_at(step):
            self._course.fork = Fork(self._snapshot().to("cpu"), self._good.to("cpu"))
        draw = self._take_draw(step)
        measured = self._gradient.start(draw)
        # While a GPU computes, the next minibatch is read.
        if step + 1 < self._course.schedule.steps:
            self._next = (step + 1, draw_step(self._data, self._seed, step + 1, self._config.null_share))
        loss, norm = measured.tolist()
        if not (math.isfinite(loss) and math.isfinite(norm)):
            self._go_back(step)
            return
        if step % self._config.save_every == 0 and step > self._good.numbers.step:
            # Only now is it known that the weights of this step are good ones to come back to.
            self._good = self._snapshot()
            self._save(self._good)
        numbers = self._state.numbers
        rate = numbers.rate_factor * learning_rate(self._course.schedule, step)
        self._state.update(rate, norm)
        bits = loss * math.prod(draw.minibatch.images.shape[1:]) / math.log(2)
        numbers.training_bits_sum += bits
        numbers.training_steps += 1
        self._report()
        if numbers.step % self._config.validate_every == 0 or numbers.step == self._course.schedule.steps:
            self._validate(rate)

    def _take_draw(self, step: int) -> StepDraw:
        ready, self._next = self._next, None
        if ready is not None and ready[0] == step:
            return ready[1]
        return draw_step(self._data, self._seed, step, self._config.null_share)

    def _end_halfway(self) -> None:
        """Keep the halfway end, and go on from where its cool-down began."""
        self._best()
        ended = self._snapshot()
        fork = self._course.end_halfway(ended)
        self._state.restore(fork.state)
        self._good = fork.good
        for numbers in (self._state.numbers, fork.good.numbers):
            numbers.seconds, numbers.micro_batch = ended.numbers.seconds, ended.numbers.micro_batch
        # Not the fork itself: who goes on from a checkpoint has to be able to go back as far as who was never killed.
        self._save(self._good)

    def _go_back(self, step: int) -> None:
        """Return to the last good state with half the learning rate.

        Good states are those of the checkpoints, so a fit that was interrupted in between goes back to the
        same one.
        """
        recoveries = self._state.numbers.recoveries + 1
        factor = self._state.numbers.rate_factor / 2
        seconds = self._state.numbers.seconds
        if recoveries > MAXIMUM_RECOVERIES:
            raise FloatingPointError(
                f"The loss or its gradient was not finite at step {step}, after {MAXIMUM_RECOVERIES} "
                "recoveries at half the learning rate each: look at the images and activations for "
                "non-finite or huge values, or lower learning_rate."
            )
        self._state.restore(self._good)
        numbers = self._state.numbers
        numbers.recoveries, numbers.rate_factor, numbers.seconds = recoveries, factor, seconds

    def _validate(self, rate: float) -> None:
        with self._flat.holding(self._state.average):
            found = validation_bits(self._decoder, self._data.validation(), self._accelerator)
        numbers = self._state.numbers
        training_bits = numbers.training_bits_sum / numbers.training_steps
        point = CurvePoint(numbers.step, training_bits, found.conditional, found.null, rate, found.cells)
        numbers.curve.append(point)
        numbers.training_bits_sum, numbers.training_steps = 0.0, 0
        if found.conditional < numbers.best_bits:
            numbers.best_bits, numbers.best_step, numbers.validations_since_best = found.conditional, numbers.step, 0
            self._state.best = self._state.average.clone()
        else:
            numbers.validations_since_best += 1
        self._report()

    def _report(self) -> None:
        numbers = self._state.numbers
        if self._progress is None or not self._accelerator.is_main_process:
            return
        shown = {}
        if numbers.training_steps:
            shown["bits"] = numbers.training_bits_sum / numbers.training_steps
        elif numbers.curve:
            shown["bits"] = numbers.curve[-1].training_bits
        if numbers.curve:
            shown["validation_bits"] = numbers.curve[-1].validation_bits
        self._progress(self._course.steps_computed(numbers.step), steps_in_all(self._config), shown)

    # ------------------------------------------------------------------------------------------ checkpoints

    def _snapshot(self) -> Snapshot:
        now = time.perf_counter()
        self._state.numbers.seconds += now - self._clock
        self._clock = now
        self._state.numbers.micro_batch = self._gradient.micro_batch
        return self._state.snapshot()

    def _save(self, snapshot: Snapshot) -> None:
        moment = self._moment(snapshot.numbers.step)
        if self._checkpoint is None or self._saved_step == moment:
            return
        if self._accelerator.is_main_process:
            self._checkpoint.save(self._keeper.state(snapshot, self._course))
        self._saved_step = moment

    def _moment(self, step: int) -> tuple[bool, int]:
        """A step of the halfway fit, or of the whole one: some there are of both."""
        return self._course.halfway is not None, step
