"""Exact Pareto optimal search against other ways to weight losses, and what it costs in a training step.

    python benchmarks/pareto.py [--variables 20] [--seeds 3] [--steps 400] [--batch 64] [--depth 8] [--width 16] ...

First, two wells whose Pareto points are known in closed form: for four preferences and several starts, the angle
between the losses and the preference's ray, the distance of the losses from the exact point, the gradients that are
needed to come within 1e-2 of it for good, and the time that finding weights takes in a step (for `search`: all that it
does). All but `search` take plain gradient steps: exact Pareto optimal search those of its paper, 10 max(mu, 0.1) x
0.1, the others 0.1. Linear scalarization minimises sum(r l); Chebyshev follows the gradient of the largest r l; MGDA
and UPGrad know no preference. UPGrad needs torchjd[quadprog_projector], libmoon's EPO libmoon (up to 0.1) with cvxpy
and cvxopt; what is not installed is left out, in a line. FERERO (NeurIPS 2024) publishes 10 iterations on this problem
where it counts 80 for EPO; it is not run here.

Then a residual network with two heads: seconds of a training step with exact Pareto optimal search, and with the same
backward passes, one per loss, and no weighting; and the same for a step of the task `joint`.
"""

from __future__ import annotations

import argparse
import statistics
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from ib_analysis.encoders import EncoderConfig, build_encoder
from ib_analysis.pareto import EPODescent, EPOWeighting, SearchConfig, angle_degrees, search
from ib_analysis.pareto.gradients import gradient_rows
from ib_analysis.pareto.problems import gaussian_wells
from ib_analysis.pareto.quadratic_program import shortest_combination
from ib_analysis.training import JointConfig, TradeOff
from ib_analysis.training.joint_step import JointStep, JointWeights

Vector = NDArray[np.float64]
Weights = Callable[[Vector, Vector], Vector]
"""From a Gram matrix (m, m) and losses (m,) to weights (m,)."""

ANSWERS = {
    (0.987688, 0.156434): 0.602384853,
    (0.838671, 0.544639): 0.181210400,
    (0.544639, 0.838671): -0.181210400,
    (0.156434, 0.987688): -0.602384853,
}
"""Preference -> s of the Pareto point x = s / sqrt n."""

CLOSE = 1e-2


@dataclass
class Outcome:
    """Of one method, over preferences and starts."""

    angles: list[float] = field(default_factory=list)
    distances: list[float] = field(default_factory=list)
    gradients: list[float] = field(default_factory=list)
    milliseconds: list[float] = field(default_factory=list)

    def told(self, name: str) -> str:
        reached = [count for count in self.gradients if np.isfinite(count)]
        counts = f"{statistics.median(reached):6.0f} ({max(reached):.0f})" if reached else "never"
        time_per_step = f"{statistics.median(self.milliseconds):8.2f}"
        return (
            f"{name:24s}{statistics.median(self.angles):9.3f}{max(self.angles):9.3f}{max(self.distances):11.1e}"
            f"{counts:>14s}{len(reached):5d}/{len(self.gradients)}{time_per_step}"
        )


def exact_losses(s: float) -> Vector:
    return -np.expm1([-((1 - s) ** 2), -((1 + s) ** 2)])


def start_of(n_variables: int, s: float, seed: int) -> Tensor:
    """Every second start is near the end of the front that is not wanted, the others are near its middle."""
    noise = torch.randn(n_variables, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    noise = noise / n_variables**0.5
    return 0.3 * noise if seed % 2 == 0 else 0.1 * noise - np.sign(s) * 0.95 / n_variables**0.5


# ---------------------------------------------------------------------------------------------- methods


def one_hot(index: int, size: int) -> Vector:
    return np.eye(size)[index]


def weightings(preference: tuple[float, ...], n_variables: int) -> dict[str, Weights | str]:
    """Methods by name; a string says why one is left out."""
    r = np.array(preference)
    found: dict[str, Weights | str] = {
        "linear scalarization": lambda gramian, losses: r / r.sum(),
        "Chebyshev": lambda gramian, losses: one_hot(int(np.argmax(r * losses)), len(r)),
        "MGDA": lambda gramian, losses: shortest_combination(gramian, len(r))[0],
    }
    try:
        from torchjd.aggregation import UPGradWeighting

        upgrad = UPGradWeighting()
    except ImportError as error:
        found["UPGrad (torchjd)"] = str(error)
    else:
        found["UPGrad (torchjd)"] = lambda gramian, losses: upgrad(torch.from_numpy(gramian)).numpy()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from libmoon.solver.gradient.epo_solver import EPO_LP
    except Exception as error:  # what it lacks differs with its release
        found["EPO (libmoon)"] = f"libmoon's EPO cannot be imported ({type(error).__name__}: {error})"
    else:
        program = EPO_LP(len(r), n_variables, r)

        def of_libmoon(gramian: Vector, losses: Vector) -> Vector:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                alpha = program.get_alpha(losses, gramian, C=True)
            return r / r.sum() if alpha is None else np.asarray(alpha, dtype=np.float64)

        found["EPO (libmoon)"] = of_libmoon
    return found


def follow(options: argparse.Namespace, preference: tuple[float, ...], seed: int, weights: Weights) -> Outcome:
    """Plain gradient steps with some weights; those of exact Pareto optimal search as long as its paper's."""
    problem, s = gaussian_wells(options.variables), ANSWERS[preference]
    x = start_of(options.variables, s, seed)
    wanted, r = exact_losses(s), np.array(preference)
    near, seconds = [], []
    for _ in range(options.steps):
        leaf = x.clone().requires_grad_()
        losses = problem.losses(leaf)
        rows = torch.stack([row[0] for row in gradient_rows(list(losses.unbind()), [leaf])])  # type: ignore[misc]
        values = losses.detach().numpy()
        near.append(bool(np.abs(values - wanted).max() < CLOSE))
        before = time.perf_counter()
        alpha = weights((rows @ rows.T).numpy(), values)
        seconds.append(time.perf_counter() - before)
        size = 0.1
        if getattr(weights, "paper", False):
            share = r * values / (r * values).sum()
            size *= 10 * max(0.1, float(share @ np.log(len(r) * share)))
        x = x - size * torch.from_numpy(np.ascontiguousarray(alpha)) @ rows
    values = problem.losses(x).numpy()
    count = float("inf") if not near[-1] else len(near) - near[::-1].index(False) + 1 if False in near else 1.0
    return Outcome(
        [angle_degrees(values, r)], [float(np.abs(values - wanted).max())], [count], [1e3 * statistics.median(seconds)]
    )


class Ours:
    """`EPOWeighting` as a function of Gram matrix and losses."""

    paper = True

    def __init__(self, preference: tuple[float, ...], form: str) -> None:
        self.weighting = EPOWeighting(preference, form=form, tolerance=1e-4)  # type: ignore[arg-type]

    def __call__(self, gramian: Vector, losses: Vector) -> Vector:
        self.weighting.set_losses(losses)
        return self.weighting.weights(gramian)


def searched(options: argparse.Namespace, preference: tuple[float, ...], seed: int) -> Outcome:
    """`search`, begun anew with one gradient more until its losses are near."""
    problem, s = gaussian_wells(options.variables), ANSWERS[preference]
    start, wanted = start_of(options.variables, s, seed), exact_losses(s)
    before = time.perf_counter()
    point = search(problem, preference, start)
    milliseconds = 1e3 * (time.perf_counter() - before) / point.iterations
    count = float("inf")
    for iterations in range(1, point.iterations + 1):
        found = search(problem, preference, start, SearchConfig(iterations=iterations))
        if np.abs(found.losses - wanted).max() < CLOSE:
            count = iterations
            break
    distance = float(np.abs(point.losses - wanted).max())
    return Outcome([angle_degrees(point.losses, preference)], [distance], [count], [milliseconds])


def compare(options: argparse.Namespace) -> dict[str, Outcome]:
    outcomes: dict[str, Outcome] = {}
    left_out: dict[str, str] = {}
    for preference in ANSWERS:
        for seed in range(options.seeds):
            methods: dict[str, Weights | str] = {
                "EPO, linear (ours)": Ours(preference, "linear"),
                "EPO, quadratic (ours)": Ours(preference, "quadratic"),
                **weightings(preference, options.variables),
            }
            runs = {"search (ours)": searched(options, preference, seed)}
            for name, weights in methods.items():
                if isinstance(weights, str):
                    left_out[name] = weights
                    continue
                if name == "EPO (libmoon)":
                    weights.paper = True  # type: ignore[attr-defined]
                runs[name] = follow(options, preference, seed, weights)
            for name, run in runs.items():
                total = outcomes.setdefault(name, Outcome())
                total.angles += run.angles
                total.distances += run.distances
                total.gradients += run.gradients
                total.milliseconds += run.milliseconds
    print(
        f"two wells, {options.variables} variables, {len(ANSWERS)} preferences x {options.seeds} starts, "
        f"{options.steps} steps"
    )
    print(
        f"{'':24s}{'angle':>9s}{'largest':>9s}{'distance':>11s}{'gradients':>14s}{'reached':>9s}{'ms':>6s}\n"
        f"{'':24s}{'degrees':>9s}{'':9s}{'largest':>11s}{'median (max)':>14s}{'':9s}{'/step':>6s}"
    )
    for name, outcome in outcomes.items():
        print(outcome.told(name))
    for name, why in left_out.items():
        print(f"{name}: left out, {why}")
    print("FERERO: 10 iterations published on this problem, where it counts 80 for EPO (not run here)")
    return outcomes


# ---------------------------------------------------------------------------------------------- a training step


class TwoHeads(nn.Module):
    """A residual trunk and a linear head per task."""

    def __init__(self, options: argparse.Namespace) -> None:
        super().__init__()
        config = EncoderConfig(depth=options.depth, width=options.width)
        self.trunk = build_encoder(config, "classification", (3, 32, 32), 256, 10, seed=0)
        self.heads = nn.ModuleList([nn.Linear(4 * options.width, 10) for _ in range(options.tasks)])

    def losses(self, images: Tensor, labels: list[Tensor]) -> list[Tensor]:
        code = self.trunk.taps(images)["h4"]  # type: ignore[operator]
        return [F.cross_entropy(head(code), y) for head, y in zip(self.heads, labels, strict=True)]


def overhead(options: argparse.Namespace) -> float:
    """Seconds of a step with weighting over those with as many backward passes, as a ratio."""
    torch.manual_seed(0)
    model = TwoHeads(options).train()
    parameters = [p for p in (*model.trunk.trunk.parameters(), *model.heads.parameters()) if p.requires_grad]  # type: ignore[union-attr]
    optimizer = torch.optim.SGD(parameters, lr=1e-3)
    descent = EPODescent(optimizer, EPOWeighting([1.0 + task for task in range(options.tasks)]))
    images = torch.randint(256, (options.batch, 3, 32, 32), dtype=torch.uint8)
    labels = [torch.randint(10, (options.batch,)) for _ in range(options.tasks)]

    def weighted() -> None:
        descent.step(model.losses(images, labels))

    def plain() -> None:
        """One backward pass per loss, accumulated by torch itself."""
        optimizer.zero_grad()
        losses = model.losses(images, labels)
        for index, loss in enumerate(losses):
            loss.backward(retain_graph=index < len(losses) - 1)
        optimizer.step()

    return ratio(options, f"training step, {options.tasks} tasks", weighted, plain)


def joint_overhead(options: argparse.Namespace) -> float:
    """The same for the step of the task `joint`, whose heads follow their own losses."""
    network = build_encoder(
        EncoderConfig(depth=options.depth, width=options.width), "joint", (3, 32, 32), 256, 10, seed=0
    ).train()
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-3)
    own = ([*network.head.parameters()], [*network.mirror.parameters()])  # type: ignore[union-attr, operator]
    trunk = [*network.trunk.parameters()]  # type: ignore[union-attr, operator]
    step = JointStep(trunk, own, JointWeights(TradeOff("exact", (4.0, 1.0)), JointConfig()))
    images = torch.randint(256, (options.batch, 3, 32, 32), dtype=torch.uint8)
    labels = torch.randint(10, (options.batch,))

    def losses() -> Tensor:
        output = network(images)
        return torch.stack([F.cross_entropy(output.logits, labels), F.mse_loss(output.image, images / 255)])

    def weighted() -> None:
        step.backward(losses())
        optimizer.step()

    def plain() -> None:
        optimizer.zero_grad()
        first, second = losses()
        first.backward(retain_graph=True)
        second.backward()
        optimizer.step()

    return ratio(options, "training step of the task joint", weighted, plain)


def ratio(options: argparse.Namespace, what: str, weighted: Callable[[], None], plain: Callable[[], None]) -> float:
    """Time both in turns and tell the medians."""
    seconds: dict[Callable[[], None], list[float]] = {weighted: [], plain: []}
    for repeat in range(options.repeats + 1):
        for step, known in seconds.items():
            before = time.process_time()
            step()
            if repeat:  # the first is warm-up
                known.append(time.process_time() - before)
    ours, theirs = (statistics.median(known) for known in seconds.values())
    print(
        f"{what}, residual network of depth {options.depth} and width {options.width}, batch {options.batch}, "
        f"1 thread: {1e3 * ours:.0f} ms of CPU, {1e3 * theirs:.0f} ms with the backward passes alone, "
        f"ratio {ours / theirs:.2f}"
    )
    return ours / theirs


def main(arguments: list[str] | None = None) -> tuple[dict[str, Outcome], tuple[float, float]]:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--variables", type=int, default=20)
    parser.add_argument("--seeds", type=int, default=4, help="starts for each preference")
    parser.add_argument("--steps", type=int, default=150, help="gradient steps of every method but search")
    parser.add_argument("--tasks", type=int, default=2, help="heads of the network")
    parser.add_argument("--depth", type=int, default=8)
    parser.add_argument("--width", type=int, default=16)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=7, help="timed training steps; the median counts")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    return compare(options), (overhead(options), joint_overhead(options))


if __name__ == "__main__":
    main()
