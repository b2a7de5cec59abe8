"""Train an encoder: resumable, bit-identical however often it is interrupted."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from accelerate import Accelerator
from torch import Tensor

from ib_analysis.artifacts import UserError
from ib_analysis.data.interface import ImageData, Split
from ib_analysis.encoders import ResNetJoint, TappedNetwork, Task
from ib_analysis.training.batches import Batches
from ib_analysis.training.checkpoints import Checkpoints, history_path
from ib_analysis.training.config import TrainingConfig, checkpoint_epochs
from ib_analysis.training.course import Course, ordinary_course
from ib_analysis.training.devices import make_accelerator
from ib_analysis.training.fresh_normalisation import calibrate_fresh
from ib_analysis.training.history import write_history
from ib_analysis.training.objectives import Joint, Objective, objective_for
from ib_analysis.training.small_batches import check_smallest_batch

if TYPE_CHECKING:
    from ib_analysis.training.joint_step import JointStep

__all__ = ["TrainingDiverged", "train"]


class TrainingDiverged(UserError):
    """The loss became infinite or not a number."""


Progress = Callable[[int, int, dict[str, float]], None]

EVALUATION_BATCH = 500


def train(
    encoder: TappedNetwork,
    task: Task,
    data: ImageData,
    config: TrainingConfig,
    *,
    seed: int,
    folder: Path,
    recipe: Mapping[str, Any],
    course: Course | None = None,
    progress: Progress | None = None,
    accelerator: Accelerator | None = None,
) -> list[int]:
    """Train on the encoder split and keep the listed epochs as ``epoch_0010.pt``; write ``training.csv``.

    Batches and augmentation follow from (seed, epoch, step) alone and the whole state is kept after every epoch
    (``resume.pt``), so that on a CPU with a fixed number of threads a run that was interrupted ends with the same
    bits as one that was not. A checkpoint that is missing or damaged is named in the log and made again from the
    last intact state before it. Where all is complete nothing is done. The evaluation split is only reported on.

    Arguments:
        encoder: at its initialisation; it holds some later state afterwards (see `load_encoder`).
        task: what it is trained for; `joint` needs the course's trade-off.
        data: the images.
        config: see `TrainingConfig`.
        seed: of the order of images and of augmentation.
        folder: where the run is kept.
        recipe: plain data: everything chosen by the user that the weights depend on, kept with each checkpoint.
        course: the steps of the run, a teacher, a trade-off; by default one step of SGD.
        progress: called with (steps done, steps in all, {"epoch", "loss", "accuracy" or "psnr_db" or both, and the
            held-out quality of the last epoch}).
        accelerator: devices and precision; by default `make_accelerator`.

    Returns:
        The epochs that are kept.

    Raises:
        TrainingDiverged: the loss became infinite or not a number.
        UserError: a batch is too small for batch normalisation, another config made the folder, the disk is full, or
            `joint` is to be trained by several processes or in float16.
    """
    epochs = checkpoint_epochs(config)
    checkpoints = Checkpoints(folder, epochs, recipe=recipe, data_sha256=data.sha256, seed=seed)
    if checkpoints.missing:
        accelerator = accelerator or make_accelerator(config)
        course = course or ordinary_course(config)
        run = _Run(encoder, objective_for(task, data, course.trade_off), data, course, seed, folder, accelerator)
        accelerator.wait_for_everyone()  # all have seen what is there before the first of them writes
        try:
            _complete(run, checkpoints, progress)
        finally:
            run.close()
    if accelerator is None or accelerator.is_main_process:
        last = checkpoints.latest(config.epochs)
        assert last is not None
        write_history(history_path(folder), last["history"])
        checkpoints.close()
    return epochs


def _complete(run: _Run, checkpoints: Checkpoints, progress: Progress | None) -> None:
    """Make every missing checkpoint, each from the last intact state before it."""
    for target in list(checkpoints.missing):
        state = checkpoints.latest(target)
        run.accelerator.wait_for_everyone()
        if state is not None and state["epoch"] > run.epoch:
            run.load(state)
        elif run.epoch < 0:
            run.initialise()
        while run.epoch < target:
            run.train_epoch(progress)
            if run.accelerator.is_main_process:
                checkpoints.save_resume(run.state())
                if run.epoch > max(set(checkpoints.epochs) - set(checkpoints.missing), default=-1):
                    write_history(history_path(run.folder), run.history)
        if run.accelerator.is_main_process:
            checkpoints.save(run.state())
        else:
            checkpoints.missing.remove(target)
        run.accelerator.wait_for_everyone()


class _Run:
    """Network, optimizer and history at the end of an epoch (-1: nothing done yet)."""

    def __init__(
        self,
        network: TappedNetwork,
        objective: Objective,
        data: ImageData,
        course: Course,
        seed: int,
        folder: Path,
        accelerator: Accelerator,
    ) -> None:
        self.network = network.to(accelerator.device)
        config = course.config
        self.objective, self.course, self.config = objective, course, config
        self.accelerator, self.folder = accelerator, folder
        self.batches = _batches(data.encoder, config, seed, data.augment, accelerator.device)
        check_smallest_batch(self.network, self.batches, config.batch_size, accelerator.num_processes)
        self.model = accelerator.prepare(self.network)
        self._enter(0)
        self.joint = self._joint_step()
        self.epoch = -1
        self.history: list[dict[str, Any]] = []
        self.held_out: dict[str, float] = {}
        self.evaluation = _batches(data.evaluation, config, seed, False, accelerator.device)

    def _enter(self, step: int) -> None:
        """Give a step of the course its optimiser."""
        self.step = step
        self.optimizer = self.course.optimizer(self.network, step)
        self.stepper = self.accelerator.prepare(self.optimizer)

    def _joint_step(self) -> JointStep | None:
        """What weighs the losses of a network that is trained for two tasks."""
        if not isinstance(self.network, ResNetJoint):
            return None
        from ib_analysis.training.joint_step import joint_step  # SciPy, which other tasks need not wait for

        assert self.course.trade_off is not None
        return joint_step(self.network, self.course.trade_off, self.course.joint, self.accelerator)

    # ------------------------------------------------------------------ state

    def initialise(self) -> None:
        """Epoch 0: set what is learned from the images without training, and report."""
        self.network.fit_preprocessing(self.batches.images)
        calibrate_fresh(self.network, self.batches)
        self.epoch = 0
        self._record("train", self._evaluate(self.batches))
        self._record("evaluation", self._evaluate(self.evaluation))

    def state(self) -> dict[str, Any]:
        """Everything that is needed to go on, as plain tensors and numbers."""
        scaler = self.accelerator.scaler
        joint = {} if self.joint is None else {"joint": self.joint.weights.state_dict()}
        return {
            **joint,
            "epoch": self.epoch,
            "state_dict": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": scaler.state_dict() if scaler is not None else {},
            "history": [dict(row) for row in self.history],
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Go to a kept state."""
        self.network.load_state_dict(state["state_dict"])
        self._enter(self.course.step_of(state["epoch"]))
        self.optimizer.load_state_dict(state["optimizer"])
        if self.accelerator.scaler is not None and state["scaler"]:
            self.accelerator.scaler.load_state_dict(state["scaler"])
        if self.joint is not None:
            self.joint.weights.load_state_dict(state["joint"])
        self.epoch, self.history = state["epoch"], [dict(row) for row in state["history"]]
        self.held_out = {"held_out": self.history[-1][self.objective.quality]}

    def close(self) -> None:
        """Take off the network what accelerate put on it for mixed precision."""
        self.accelerator.unwrap_model(self.model, keep_fp32_wrapper=False)
        self.network.__dict__.pop("forward", None)

    # ------------------------------------------------------------------ work

    def train_epoch(self, progress: Progress | None) -> None:
        """One pass over the encoder images."""
        step_of_course = self.course.step_of(self.epoch + 1)
        if step_of_course != self.step:
            self._enter(step_of_course)
            begin = self.course.steps[step_of_course].begin
            if begin is not None:
                begin(self.network)
        self.model.train()
        steps = len(self.batches)
        share, shares = self.accelerator.process_index, self.accelerator.num_processes
        sums: Tensor | float = 0.0
        count = 0
        for step in range(steps):
            for group in self.optimizer.param_groups:
                group["lr"] = self.course.learning_rate(self.epoch + (step + 1) / steps)
            images, labels = self.batches.batch(self.epoch, step, share, shares)
            output = self.model(images)
            scores = self.objective.scores(output, images, labels)
            self.stepper.zero_grad()
            self._backward(scores, output, images)
            self.stepper.step()
            sums = sums + scores.detach().double().sum(0)
            count += len(labels)
            # Reading the loss waits for the GPU: only now and then.
            if progress is not None and (step + 1) % max(1, steps // 10) == 0 and step + 1 < steps:
                self._tell(progress, step + 1, self._report(sums, count))
        assert isinstance(sums, Tensor)
        totals = self.accelerator.reduce(torch.cat([sums, sums.new_tensor([count])]))
        figures = self._report(totals[:-1], int(totals[-1]))
        self.epoch += 1
        self._record("train", figures | self._weighing())
        held_out = self._evaluate(self.evaluation)
        self._record("evaluation", held_out)
        self.held_out = {"held_out": held_out[self.objective.quality]}
        if progress is not None:
            self._tell(progress, 0, figures)

    def _backward(self, scores: Tensor, output: Any, images: Tensor) -> None:
        """Write the gradients of what is minimised, from the scores of a batch."""
        if self.joint is not None:
            assert isinstance(self.objective, Joint)
            means = scores.mean(0)
            try:
                self.joint.backward(self.objective.losses(means))
            except ArithmeticError as error:
                raise self._diverged(float(means[0].detach())) from error
            return
        loss = self.objective.minimised(scores[:, 0].mean())
        if self.course.distillation is not None:
            loss = self.course.distillation.mixed(loss, output, images)
        self.accelerator.backward(loss)

    def _weighing(self) -> dict[str, float]:
        """What the epoch's steps made of two losses."""
        if self.joint is None:
            return {}
        weights, self.joint.first_weights = self.joint.first_weights, []
        stationarities, self.joint.stationarities = self.joint.stationarities, []
        return {
            "classification_weight": sum(weights) / len(weights),
            "fallbacks": self.joint.weights.fallbacks,
            "stationarity": sum(stationarities) / len(stationarities),
        }

    @torch.no_grad()
    def _evaluate(self, batches: Batches) -> dict[str, float]:
        """Mean scores in evaluation mode, without augmentation; data-parallel like training."""
        self.model.eval()
        share, shares = self.accelerator.process_index, self.accelerator.num_processes
        sums: Tensor | float = 0.0
        count = 0
        for index, start in enumerate(range(0, len(batches.images), EVALUATION_BATCH)):
            if index % shares != share:
                continue
            images = batches.images[start : start + EVALUATION_BATCH]
            labels = batches.labels[start : start + EVALUATION_BATCH]
            with self.accelerator.autocast():
                output = self.network(images)
            sums = sums + self.objective.scores(output, images, labels).double().sum(0)
            count += len(labels)
        if not isinstance(sums, Tensor):  # this process had no batch
            n_scores = self.objective.scores(self.network(batches.images[:1]), batches.images[:1], batches.labels[:1])
            sums = torch.zeros(n_scores.shape[1], dtype=torch.float64, device=self.accelerator.device)
        totals = self.accelerator.reduce(torch.cat([sums, sums.new_tensor([count])]))
        return self._report(totals[:-1], int(totals[-1]))

    def _report(self, sums: Tensor | float, count: int) -> dict[str, float]:
        assert isinstance(sums, Tensor)
        means = (sums / count).tolist()
        if not all(math.isfinite(mean) for mean in means):
            raise self._diverged(means[0])
        return self.objective.report(means)

    def _diverged(self, loss: float) -> TrainingDiverged:
        step = self.course.steps[self.step]
        return TrainingDiverged(
            f"Training in {self.folder} diverged in epoch {self.epoch + 1} (the loss is {loss}): lower {step.setting} "
            f"(now {step.learning_rate}) or raise training.warmup_epochs, and give the experiment another name."
        )

    def _record(self, split: str, figures: Mapping[str, float]) -> None:
        self.history.append({"epoch": self.epoch, "split": split, **figures})

    def _tell(self, progress: Progress, step: int, figures: Mapping[str, float]) -> None:
        steps = len(self.batches)
        shown = {"epoch": self.epoch + (step > 0), **figures, **self.held_out}
        progress(self.epoch * steps + step, self.config.epochs * steps, shown)


def _batches(split: Split, config: TrainingConfig, seed: int, augment: bool, device: torch.device) -> Batches:
    return Batches(
        torch.as_tensor(split.images),
        torch.as_tensor(split.labels),
        batch_size=config.batch_size,
        seed=seed,
        augment=augment,
        device=device,
    )
