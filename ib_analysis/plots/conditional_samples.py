"""Images sampled from what a layer still knows: by epoch for each layer, and by layer for the last epoch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from matplotlib.figure import Figure

from ib_analysis.information.table import InformationRow
from ib_analysis.plots.curves import layers_of, panels_of, seeds_in_words, warnings_note
from ib_analysis.plots.mosaic import displayable
from ib_analysis.plots.picture_grid import Column, PictureGrid
from ib_analysis.plots.saved import Run, SavedExperiment
from ib_analysis.plots.style import framed, task_title

__all__ = ["draw", "varied"]

_MOST_EPOCHS, _MOST_LAYERS, _DRAWS = 10, 5, 3
_IMAGES_BY_EPOCH, _IMAGES_BY_LAYER = 3, 6
_WIDE = 5  # columns of single pictures up to which a range fits above them with all its digits
_CAPTIONS = ("I(X;H), bits", "I(H;Y), bits")
_ALL_SEEDS = "  all runs"
_MEANING = (
    "Every sample is drawn from the decoder's distribution over images given the layer's activations of the original: "
    "what all samples share with the original, the layer still tells; where they differ, the decoder does not find it. "
    "Null: sampled without any activations. Bits: means over all held-out images."
)


def draw(saved: SavedExperiment) -> Iterator[tuple[str, Figure]]:
    """For each task (its lowest encoder seed): one figure per layer, by epoch, and one by layer at the last epoch.

    Raises:
        UserError: ``samples.h5``, ``information.csv`` or ``data.json`` is missing or damaged.
    """
    for panel in panels_of(saved.information):
        runs = sorted(run for run, _, _ in saved.samples.drawn if (run.task, run.number_format) == panel)
        if not runs:
            continue
        run = runs[0]
        name = panel[0] if panel[1] == "float32" else "_".join(panel)
        drawn = {(epoch, layer) for other, epoch, layer in saved.samples.drawn if other == run}
        layers = [layer for layer in layers_of(saved.information) if any(layer == at for _, at in drawn)]
        epochs = sorted({epoch for epoch, _ in drawn})
        names = {title: layer for layer, title in saved.filed.titles.items()}  # what files are called by
        for layer in layers:
            chosen = [epoch for epoch in epochs if (epoch, layer) in drawn]
            yield f"conditional_samples_by_epoch_{name}_{names.get(layer, layer)}", _by_epoch(saved, run, layer, chosen)
        last = [layer for layer in layers if (epochs[-1], layer) in drawn]
        yield f"conditional_samples_by_layer_{name}_epoch_{epochs[-1]:04d}", _by_layer(saved, run, last, epochs[-1])


def _by_epoch(saved: SavedExperiment, run: Run, layer: str, epochs: Sequence[int]) -> Figure:
    """Columns are epochs; the draws stand below each other."""
    samples = saved.samples
    images = varied(samples.labels, _IMAGES_BY_EPOCH)
    draws = min(_DRAWS, next(iter(samples.drawn.values())).shape[1])
    blank = ("",) * len(_captions(saved, run))
    columns = [_original(saved, images, blank)]
    if samples.null is not None:
        null = displayable(samples.null[:draws], samples.intensities)
        columns.append(Column(("null", *blank), [[[image] for image in null]] * len(images)))
    shown_epochs = _spread(epochs, _MOST_EPOCHS)
    for epoch in shown_epochs:
        shown = displayable(samples.drawn[run, epoch, layer][images][:, :draws], samples.intensities)
        bits, warned = _bits(saved, run, epoch, layer, narrow=len(shown_epochs) > _WIDE)
        columns.append(Column((str(epoch), *bits), [[[image] for image in block] for block in shown], warned))
    return _figure(
        saved,
        f"What {layer} still knows, epoch by epoch",
        f"{_about(saved, run)}: {len(images)} held-out images, and {draws} samples of each given "
        f"only the activations of layer {layer}, at epochs of training from left to right.",
        columns, ("epoch", *_captions(saved, run)), images, run,
        [row for row in saved.information if _of(row, run) and row.layer == layer],
    )  # fmt: skip


def _by_layer(saved: SavedExperiment, run: Run, layers: Sequence[str], epoch: int) -> Figure:
    """Columns are layers; the draws stand side by side."""
    samples = saved.samples
    images = varied(samples.labels, _IMAGES_BY_LAYER)
    draws = min(_DRAWS, next(iter(samples.drawn.values())).shape[1])
    blank = ("",) * len(_captions(saved, run))
    columns = [_original(saved, images, blank)]
    if samples.null is not None:
        null = displayable(samples.null[:draws], samples.intensities)
        columns.append(Column(("null", *blank), [[list(null)]] * len(images)))
    for layer in _spread(layers, _MOST_LAYERS):
        shown = displayable(samples.drawn[run, epoch, layer][images][:, :draws], samples.intensities)
        bits, warned = _bits(saved, run, epoch, layer)
        columns.append(Column((layer, *bits), [[list(block)] for block in shown], warned))
    return _figure(
        saved,
        f"What each layer still knows at epoch {epoch}",
        f"{_about(saved, run)}: {len(images)} held-out images, and {draws} samples of each given "
        f"only the activations of one layer, from the input's side (left) to the output's (right).",
        columns, ("layer", *_captions(saved, run)), images, run,
        [row for row in saved.information if _of(row, run) and row.epoch == epoch],
    )  # fmt: skip


def _figure(
    saved: SavedExperiment,
    title: str,
    subtitle: str,
    columns: Sequence[Column],
    captions: tuple[str, ...],
    images: Sequence[int],
    run: Run,
    rows: Sequence[InformationRow],
) -> Figure:
    names = saved.data.class_names
    labels = [names[saved.samples.labels[image]] if names else "" for image in images]
    shortened = [label if len(label) <= 14 else label[:13] + "…" for label in labels]
    grid = PictureGrid(columns, captions, shortened)
    notes = [_MEANING, *_seeds_note(saved, run), *warnings_note(rows, "Grey headings")]
    figure, body = framed(title, subtitle, notes, body_inches=grid.height_inches)
    grid.draw(body)
    return figure


def _about(saved: SavedExperiment, run: Run) -> str:
    """The task; of a user's own file also what its images are."""
    title = task_title(run.task, run.number_format)
    return f"{title}, {saved.data.name}" if saved.filed.is_filed else title


def _original(saved: SavedExperiment, images: Sequence[int], blank: tuple[str, ...]) -> Column:
    originals = displayable(saved.samples.originals[list(images)], saved.samples.intensities)
    return Column(("original", *blank), [[[image]] for image in originals])


def _runs(saved: SavedExperiment, run: Run) -> list[InformationRow]:
    """The rows of all seeds of a run's task and number format."""
    panel = run.task, run.number_format
    return [row for row in saved.information if (row.task, row.number_format) == panel]


def _captions(saved: SavedExperiment, run: Run) -> tuple[str, ...]:
    """What the heading lines say, the range over seeds with several."""
    shown = _CAPTIONS if saved.data.has_labels else _CAPTIONS[:1]
    if not seeds_in_words(_runs(saved, run)):
        return shown
    return tuple(line for caption in shown for line in (caption, _ALL_SEEDS))


def _seeds_note(saved: SavedExperiment, run: Run) -> list[str]:
    seeds = seeds_in_words(_runs(saved, run))
    if not seeds:
        return []
    return [
        f"Samples: encoder seed {run.encoder_seed}, its first decoder seed. Bits: of this encoder, mean over its "
        f"decoder seeds; all runs: the lowest and the highest single run of {seeds}."
    ]


def _bits(
    saved: SavedExperiment, run: Run, epoch: int, layer: str, narrow: bool = False
) -> tuple[tuple[str, ...], bool]:
    """The cell's I(X;H) and I(H;Y) as text, averaged over decoder seeds, and whether it has a warning.

    With several seeds each is followed by the lowest and the highest of all single runs, with one digit less if columns
    are narrow.
    """
    captions = _captions(saved, run)
    everyone = [row for row in _runs(saved, run) if (row.epoch, row.layer) == (epoch, layer)]
    rows = [row for row in everyone if _of(row, run)]
    if not rows:
        return ("–",) * len(captions), False
    texts: list[str] = []
    for name, decimals in (("i_xh_bits", 1), ("i_hy_bits", 2)):
        if name == "i_hy_bits" and not saved.data.has_labels:
            continue
        texts.append(f"{np.mean([getattr(row, name) for row in rows]):.{decimals}f}")
        if _ALL_SEEDS in captions:
            values, digits = [getattr(row, name) for row in everyone], decimals - narrow
            texts.append(f"{min(values):z.{digits}f}…{max(values):z.{digits}f}")
    return tuple(texts), any(row.warnings for row in rows)


def _of(row: InformationRow, run: Run) -> bool:
    return (row.task, row.number_format, row.encoder_seed) == (run.task, run.number_format, run.encoder_seed)


def _spread(items: Sequence, most: int) -> list:
    """At most so many items, evenly spread, with the first and the last.

    >>> _spread(range(7), 3)
    [0, 3, 6]
    """
    if len(items) <= most:
        return list(items)
    return [items[round(index)] for index in np.linspace(0, len(items) - 1, most)]


def varied(labels: np.ndarray, most: int) -> list[int]:
    """Indices of at most so many images: the first of every class before the second of any.

    >>> varied(np.array([4, 4, 7, 4]), 3)
    [0, 1, 2]
    """
    seen: dict[int, int] = {}
    order = []
    for index, label in enumerate(labels.tolist()):
        seen[label] = seen.get(label, 0) + 1
        order.append((seen[label], index))
    return sorted(index for _, index in sorted(order)[:most])
