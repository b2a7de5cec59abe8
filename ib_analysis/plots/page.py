"""A page to look at conditional samples: one HTML file that needs nothing else, neither files nor a network."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jinja2
import numpy as np

from ib_analysis.artifacts import write_text
from ib_analysis.information.table import InformationRow, quantized_from
from ib_analysis.information.warnings import EXPLANATIONS, split_warnings
from ib_analysis.plots.curves import Curve, layers_of
from ib_analysis.plots.map_pictures import MapScale
from ib_analysis.plots.mosaic import displayable, mosaic, png_data_url
from ib_analysis.plots.saved import Run, SavedExperiment, printable
from ib_analysis.plots.shannon import shannon_note
from ib_analysis.plots.style import task_title

__all__ = ["write_samples_page"]

_MOST_IMAGES, _MOST_DRAWS = 8, 4  # every cell's samples are in the file, so their number decides its size

_NULLS = {
    True: "the common one, as in the numbers above",
    False: "this decoder's own: the common one is another experiment's",
}


def write_samples_page(experiment_folder: Path, figures_folder: Path) -> Path:
    """Write ``samples.html``: choose network, layer and image, and move a slider over epochs.

    Arguments:
        experiment_folder: where the artifacts are, for example ``checkpoints/default``.
        figures_folder: where this experiment's figures go, for example ``figures/default``.

    Returns:
        The path of the page.

    Raises:
        UserError: ``samples.h5``, ``information.csv`` or ``data.json`` is missing or damaged, or the page cannot be
            written.
    """
    saved = SavedExperiment(experiment_folder)
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("ib_analysis.plots"), autoescape=True, undefined=jinja2.StrictUndefined
    )
    payload = _payload(saved)
    page = environment.get_template("samples.html").render(
        experiment=printable(saved.name),
        data_name=saved.data.name,
        shannon=shannon_note(saved.information, saved.data.h_x_bits),
        h_y_bits=saved.data.h_y_bits if saved.data.has_labels else None,
        draws=payload["draws"],
        null_source=_NULLS[saved.samples.common_null],
        decoder_seeds=len({row.decoder_seed for row in saved.information}),
        encoder_seeds=len({row.encoder_seed for row in saved.information}),
        payload=payload,
    )
    path = figures_folder / "samples.html"
    write_text(path, page)
    return path


def _payload(saved: SavedExperiment) -> dict[str, Any]:
    """Everything that the page's script needs, as plain data; images as data URLs."""
    samples, data = saved.samples, saved.data
    originals = samples.originals[:_MOST_IMAGES]
    runs = sorted({run for run, _, _ in samples.drawn}, key=lambda run: (run.task != "classification", run))
    draws = min(_MOST_DRAWS, next(iter(samples.drawn.values())).shape[1])
    return {
        "width": originals.shape[-1],
        "height": originals.shape[-2],
        "draws": draws,
        "originals": _sprite(originals[:, None], samples.intensities),
        "null": None if samples.null is None else _sprite(samples.null[None, :draws], samples.intensities),
        "labels": [data.class_names[label] if data.class_names else "" for label in samples.labels[:_MOST_IMAGES]],
        "h_x": data.h_x_bits,
        "h_y": data.h_y_bits if data.has_labels else None,
        "runs": [_run(saved, run, draws, several=_seeds(runs, run) > 1) for run in runs],
        "warnings": {
            name: EXPLANATIONS.get(name, name) for row in saved.information for name in split_warnings(row.warnings)
        },
    }


def _seeds(runs: Sequence[Run], run: Run) -> int:
    return sum((other.task, other.number_format) == (run.task, run.number_format) for other in runs)


def _run(saved: SavedExperiment, run: Run, draws: int, several: bool) -> dict[str, Any]:
    samples = saved.samples
    drawn = {(epoch, layer): images for (other, epoch, layer), images in samples.drawn.items() if other == run}
    layers = {layer for _, layer in drawn}
    known = layers_of(saved.information)
    cells = {}
    for (epoch, layer), images in drawn.items():
        sprite = _sprite(images[:_MOST_IMAGES, :draws], samples.intensities)
        cells[f"{layer}/{epoch}"] = {"sprite": sprite, **_bits(_rows(saved, run, epoch, layer))}
    maps = _maps(saved, run)
    for name, of_cell in maps.pop("cells", {}).items():
        cells[name] |= of_cell
    return {
        "key": str(run),
        "title": task_title(run.task, run.number_format) + (f", seed {run.encoder_seed}" if several else ""),
        "layers": [*(layer for layer in known if layer in layers), *sorted(layers - set(known))],
        "epochs": sorted({epoch for epoch, _ in drawn}),
        "cells": cells,
        "maps": maps or None,
        "reconstructions": {
            epoch: _sprite(images[:_MOST_IMAGES, None], samples.intensities)
            for (other, epoch), images in samples.reconstructions.items()
            if other == run
        },
    }


def _maps(saved: SavedExperiment, run: Run) -> dict[str, Any]:
    """Where each image's bits are, and what changed since the layer's peak: a scale for all maps of a run, the peaks,
    and per cell pictures (column 0 the map, column 1 the change) and their sums per channel; empty without maps."""
    own = {(epoch, layer): maps for (other, epoch, layer), maps in saved.samples.maps.items() if other == run}
    if not own:
        return {}
    peaks, start = (
        {},
        quantized_from(row for row in saved.information if Run(row.task, row.number_format, row.encoder_seed) == run),
    )
    for layer in dict.fromkeys(layer for _, layer in own):
        epochs = sorted(epoch for epoch, at in own if at == layer)
        rows = [row for epoch in epochs for row in _rows(saved, run, epoch, layer)]
        curve = Curve.of(rows, "i_xh") if rows else None
        peaks[layer] = curve.epochs[curve.peak_from(start)] if curve else epochs[-1]
    scale = MapScale(own.values())
    cells = {}
    for (epoch, layer), maps in own.items():
        pair = np.stack([maps, maps - own[peaks[layer], layer]], 1)[:_MOST_IMAGES]  # (n_images, 2, C, H, W)
        sums = pair.sum((-2, -1))
        cells[f"{layer}/{epoch}"] = {
            "maps": scale.sprite(pair),
            "map_bits": [[[_plain(bits) for bits in one] for one in image] for image in sums.tolist()],
        }
    return {"peaks": peaks, "cells": cells, **scale.legend()}


def _plain(value: float) -> float | None:
    """For JSON: four decimals, and None for what is not finite."""
    return round(value, 4) if np.isfinite(value) else None


def _rows(saved: SavedExperiment, run: Run, epoch: int, layer: str) -> list[InformationRow]:
    return [
        row
        for row in saved.information
        if (Run(row.task, row.number_format, row.encoder_seed), row.epoch, row.layer) == (run, epoch, layer)
    ]


def _bits(rows: Sequence[InformationRow]) -> dict[str, Any]:
    """A cell's numbers: means over decoder seeds, intervals spanning those of all; None where one is not finite."""
    warnings = sorted({name for row in rows for name in split_warnings(row.warnings)})

    def spanned(quantity: str) -> list[float]:
        value, low, high = ([getattr(row, quantity + end) for row in rows] for end in ("", "_low", "_high"))
        return [float(np.mean(value)), min(low), max(high)]

    if not rows:
        return {"i_xh": None, "warnings": warnings}
    i_xh = spanned("i_xh_bits")
    i_hy = spanned("i_hy_bits") if all(row.i_hy_bits is not None for row in rows) else None
    lengths = [float(np.mean([row.code_length_bits for row in rows])), rows[0].null_code_length_bits]
    if not np.isfinite([*i_xh, *(i_hy or []), *lengths]).all():
        return {"i_xh": None, "warnings": warnings}
    return {"i_xh": i_xh, "i_hy": i_hy, "code_length": lengths[0], "null_code_length": lengths[1], "warnings": warnings}


def _sprite(images: np.ndarray, intensities: int) -> str:
    """A grid of images (rows, columns, C, H, W) as one PNG without gaps."""
    shown = displayable(images, intensities)
    return png_data_url(mosaic([list(row) for row in shown], gap=0))
