"""Two tasks on one image, in the manner of Multi-MNIST: exact Pareto optimal search beside linear scalarization.

    python benchmarks/pareto_digits.py [--preferences 5] [--seeds 3] [--epochs 10] [--pairs 3000] [--csv FILE] ...

Each image shows two of scikit-learn's handwritten digits, enlarged to 16x16, one at the upper left and one at the lower
right of 24x24 pixels, overlapping; a network of the size of LeNet (two convolutions, a shared layer of 50, two heads)
is to name both. Pairs for training and for testing are of different digits. For preferences at equal angles on the
quarter circle, the table has the losses reached on the training and test pairs, the angle between them and the
preference's ray, and both accuracies: means over seeds, with the spread (standard deviation) of the angle; then the
hypervolume of all points of a method, below the loss of guessing, log 10 nats for both tasks.

    python benchmarks/pareto_digits.py --draw FILE.csv

trains nothing and draws the losses of the networks in such a file, as FILE.png and FILE.svg beside it.
"""

from __future__ import annotations

import argparse
import csv
import io
import math
import statistics
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import get_type_hints

import numpy as np
import torch
import torch.nn.functional as F
from matplotlib.figure import Figure
from torch import Tensor, nn

from ib_analysis.artifacts import write_text
from ib_analysis.pareto import EPODescent, EPOWeighting, angle_degrees, circle_preferences, hypervolume
from ib_analysis.plots.style import LIGHT, drawing_style, framed, layer_colour, layer_marker, save

CANVAS, ENLARGED = 24, 16
METHODS = ("EPO", "linear")
LABELS = {"EPO": "exact Pareto optimal search", "linear": "weighted sum"}


class Pairs:
    """Images with two digits.

    Arguments:
        images: digits, shape (N, 8, 8), 0 to 16.
        labels: shape (N,).
        count: pairs drawn.
        rng: what draws them.

    Attributes:
        images: shape (count, 1, 24, 24), 0 to 1.
        labels: shape (count, 2): of the digit at the upper left, and at the lower right.
    """

    def __init__(self, images: np.ndarray, labels: np.ndarray, count: int, rng: np.random.Generator) -> None:
        chosen = rng.integers(len(images), size=(count, 2))
        digits = torch.from_numpy(images[chosen].reshape(-1, 1, 8, 8) / 16).float()
        large = F.interpolate(digits, size=(ENLARGED, ENLARGED), mode="bilinear", align_corners=False)
        large = large.reshape(count, 2, ENLARGED, ENLARGED)
        margin = CANVAS - ENLARGED
        upper = F.pad(large[:, :1], (0, margin, 0, margin))
        lower = F.pad(large[:, 1:], (margin, 0, margin, 0))
        self.images = torch.maximum(upper, lower)
        self.labels = torch.from_numpy(labels[chosen])


def pairs(options: argparse.Namespace) -> tuple[Pairs, Pairs]:
    """For training and for testing: no digit is in both."""
    from sklearn.datasets import load_digits

    data = load_digits()
    rng = np.random.default_rng(0)
    order = rng.permutation(len(data.images))
    train, test = order[:1200], order[1200:]
    return (
        Pairs(data.images[train], data.target[train], options.pairs, rng),
        Pairs(data.images[test], data.target[test], options.pairs // 3, rng),
    )


class LeNet(nn.Module):
    """Two convolutions, a shared layer, a head per task."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.Sequential(
            nn.Conv2d(1, 10, 5), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(10, 20, 5), nn.ReLU(), nn.MaxPool2d(2),
            nn.Flatten(), nn.Linear(180, 50), nn.ReLU(),
        )  # fmt: skip
        self.heads = nn.ModuleList([nn.Linear(50, 10), nn.Linear(50, 10)])

    def forward(self, images: Tensor) -> list[Tensor]:
        code = self.trunk(images)
        return [head(code) for head in self.heads]


def losses_of(outputs: list[Tensor], labels: Tensor) -> Tensor:
    """Cross-entropies in nats, shape (2,)."""
    return torch.stack([F.cross_entropy(output, labels[:, task]) for task, output in enumerate(outputs)])


@dataclass(frozen=True)
class Row:
    """One trained network."""

    method: str
    preference: int
    r1: float
    r2: float
    seed: int
    train_loss_1: float
    train_loss_2: float
    train_angle: float
    test_loss_1: float
    test_loss_2: float
    test_angle: float
    accuracy_1: float
    accuracy_2: float
    balance_steps: int
    fallbacks: int


def trained(
    options: argparse.Namespace, method: str, index: int, r: np.ndarray, seed: int, data: tuple[Pairs, Pairs]
) -> Row:
    """Train with one method for one preference, and judge."""
    train, test = data
    torch.manual_seed(seed)
    network = LeNet()
    optimizer = torch.optim.Adam(network.parameters(), lr=options.learning_rate)
    steps = options.epochs * math.ceil(len(train.images) / options.batch)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    weighting = EPOWeighting(r, tolerance=options.tolerance, average=options.average)
    descent = EPODescent(optimizer, weighting)
    generator = torch.Generator().manual_seed(seed)
    for _ in range(options.epochs):
        for chosen in torch.randperm(len(train.images), generator=generator).split(options.batch):
            losses = losses_of(network(train.images[chosen]), train.labels[chosen])
            if method == "EPO":
                descent.step(losses)
            else:
                optimizer.zero_grad()
                (2 * torch.from_numpy(r).float() @ losses).backward()
                optimizer.step()
            schedule.step()
    found: dict[str, np.ndarray] = {}
    with torch.no_grad():
        for name, part in (("train", train), ("test", test)):
            outputs = network(part.images)
            found[name] = losses_of(outputs, part.labels).double().numpy()
        right = [
            float((output.argmax(1) == test.labels[:, task]).float().mean()) for task, output in enumerate(outputs)
        ]
    return Row(
        method, index, float(r[0]), float(r[1]), seed,
        float(found["train"][0]), float(found["train"][1]), angle_degrees(found["train"], r),
        float(found["test"][0]), float(found["test"][1]), angle_degrees(found["test"], r),
        right[0], right[1], weighting.balance_steps, weighting.fallbacks,
    )  # fmt: skip


def tell(rows: list[Row]) -> None:
    print(
        f"{'':8s}{'preference':>14s}{'train losses':>18s}{'angle':>14s}{'test losses':>18s}{'angle':>14s}"
        f"{'accuracies':>16s}{'fallbacks':>11s}"
    )
    for method in METHODS:
        for index in sorted({row.preference for row in rows}):
            own = [row for row in rows if (row.method, row.preference) == (method, index)]

            def mean(name: str, own: list[Row] = own) -> float:
                return statistics.fmean(getattr(row, name) for row in own)

            def angle(part: str, own: list[Row] = own) -> str:
                values = [getattr(row, f"{part}_angle") for row in own]
                return f"{statistics.fmean(values):.1f} +- {statistics.pstdev(values):.1f}"

            def both(name: str, digits: int, mean: Callable[[str], float] = mean) -> str:
                return " ".join(f"{mean(f'{name}_{task}'):.{digits}f}" for task in (1, 2))

            wanted = f"{own[0].r1:.3f} {own[0].r2:.3f}"
            print(
                f"{method:8s}{wanted:>14s}{both('train_loss', 4):>18s}{angle('train'):>14s}{both('test_loss', 3):>18s}"
                f"{angle('test'):>14s}{both('accuracy', 3):>16s}{sum(row.fallbacks for row in own):>11d}"
            )
    for part in ("train", "test"):
        volumes = []
        for method in METHODS:
            points = [
                [getattr(row, f"{part}_loss_1"), getattr(row, f"{part}_loss_2")] for row in rows if row.method == method
            ]
            volumes.append(f"{method} {hypervolume(points, [math.log(10)] * 2):.3f}")
        print(f"hypervolume of the {part} losses, square nats: {', '.join(volumes)}")


# ---------------------------------------------------------------------------------------------- figure


def rows_of(path: Path) -> list[Row]:
    """The rows of a file that ``--csv`` wrote."""
    kinds = get_type_hints(Row)
    with path.open(newline="") as file:
        return [Row(**{name: kinds[name](cell) for name, cell in line.items()}) for line in csv.DictReader(file)]


def figure_of(rows: Sequence[Row]) -> Figure:
    """Losses of both methods with the rays of the preferences: on training pairs and on test pairs."""
    seeds = len({row.seed for row in rows})
    figure, body = framed(
        "Two digits on one image: the wanted ratio, and lower losses",
        "Cross-entropies of networks that name both of two overlapping digits, for each preference trained by exact "
        "Pareto optimal search and by the weighted sum of the losses, for the same number of steps.",
        [
            "Grey rays: where the preferences ask the losses to be. "
            f"Large: means over {seeds} seeds; small: single seeds."
        ],
        body_inches=3.4,
    )
    for axes, part, name in zip(body.subplots(1, 2), ("train", "test"), ("training", "test"), strict=True):
        for index, method in enumerate(METHODS):
            own = [row for row in rows if row.method == method]
            points = np.array([[getattr(row, f"{part}_loss_{task}") for task in (1, 2)] for row in own])
            places = np.array([row.preference for row in own])
            means = np.stack([points[places == place].mean(axis=0) for place in sorted(set(places.tolist()))])
            style = {"color": layer_colour(index), "marker": layer_marker(index), "gid": method}
            axes.plot(*points.T, linestyle="none", markersize=2.6, alpha=0.6, **style)
            axes.plot(*means.T, linewidth=1.0, markersize=5, label=LABELS[method], **style)
        axes.set_xlim(0)
        axes.set_ylim(0)
        far = math.hypot(axes.get_xlim()[1], axes.get_ylim()[1])
        for r1, r2 in sorted({(row.r1, row.r2) for row in rows}):
            ray = np.array([0, far]) / math.hypot(r1, r2)
            axes.plot(r2 * ray, r1 * ray, color=LIGHT, linewidth=0.8, zorder=0, scalex=False, scaley=False, gid="ray")
        axes.set_title(f"{name} pairs")
        axes.set_xlabel("loss of the upper left digit, nats")
        axes.set_ylabel("loss of the lower right digit, nats")
    body.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure


def main(arguments: list[str] | None = None) -> list[Row]:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preferences", type=int, default=5)
    parser.add_argument("--margin", type=float, default=15.0, help="degrees between the outermost and the axes")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--pairs", type=int, default=3000, help="images for training; a third as many are tested on")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--learning-rate", type=float, default=2e-3, help="of Adam, highest; a cosine follows")
    parser.add_argument("--average", type=float, default=0.9, help="share of earlier batches in EPO's losses")
    parser.add_argument("--tolerance", type=float, default=1e-4, help="non-uniformity up to which EPO descends, nats")
    parser.add_argument("--csv", type=Path, help="file to keep a row per network in")
    parser.add_argument("--draw", type=Path, metavar="FILE.csv", help="draw the networks in this file; train none")
    options = parser.parse_args(arguments)
    if options.draw is not None:
        rows = rows_of(options.draw)
        with drawing_style():
            paths = save(figure_of(rows), options.draw.parent, options.draw.stem)
        print("\n".join(map(str, paths)))
        return rows
    torch.set_num_threads(1)
    data = pairs(options)
    rows = []
    for seed in range(options.seeds):
        for index, r in enumerate(circle_preferences(options.preferences, options.margin)):
            for method in METHODS:
                rows.append(row := trained(options, method, index, r, seed, data))
                print(
                    f"{method}, preference {index}, seed {seed}: {row.train_angle:.1f} degrees on the training pairs",
                    file=sys.stderr,
                    flush=True,
                )
    tell(rows)
    if options.csv is not None:
        text = io.StringIO()
        writer = csv.DictWriter(text, list(asdict(rows[0])), lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(row) for row in rows)
        write_text(options.csv, text.getvalue())
    return rows


if __name__ == "__main__":
    main()
