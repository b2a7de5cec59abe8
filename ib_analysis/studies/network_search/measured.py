"""Metrics that this machine measures, each network's execution once: a small file with all that was seen."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from ib_analysis.artifacts import plain, sha256_of_plain, write_text
from ib_analysis.data import image_space
from ib_analysis.encoders import EncoderConfig, build_encoder, layer_works
from ib_analysis.engines.locks import exclusive
from ib_analysis.experiment import ExperimentConfig
from ib_analysis.studies.network_search.config import ENERGY, LATENCY, NetworkSearchConfig
from ib_analysis.studies.network_search.costs import layer_formats, modelled_energy_mj
from ib_analysis.studies.network_search.counters import MODELLED, energy_counter
from ib_analysis.studies.network_search.execution import execution_of, kernels_of, runnable
from ib_analysis.studies.network_search.timing import Timing, device_name, joules_per_call, time_calls

__all__ = ["ALGORITHM", "energy_source", "images_for", "measure", "measured", "recorded"]

PATIENCE = 24 * 3600.0
"""Seconds to wait for another process that measures: two at once would disturb each other."""
ALGORITHM = 3
"""Raised when what is measured, or how, changes; 3: weights of integers are packed for the input's shape."""
COUNTED_ALGORITHM = 4
"""The same where energy is read from a counter."""
REFERENCE = "reference"


def energy_source(settings: NetworkSearchConfig) -> str:
    """`RAPL` or `NVML` where a counter can be read, else `modelled`."""
    counter = energy_counter(settings.device)
    return MODELLED if counter is None else counter.name


def measure(config: ExperimentConfig, settings: NetworkSearchConfig, names: tuple[str, ...], folder: Path) -> Any:
    """Time and energy of one image of a network, from its file if it was measured before.

    Networks of equal execution (4-bit codes run on 8-bit kernels) share a file, so that each is measured once, by
    turns with a reference that is the same for all: a ResNet of depth 8 and width 16 in float32.

    Arguments:
        config: the network, of one number format.
        settings: batch, threads, rounds, device.
        names: of `latency_ms` and `energy_mj`, those that are wanted.
        folder: of the files.

    Returns:
        The content of the file: the wanted metrics, per image; `latency_iqr_ms`, `latency_flagged`, `kernels`,
        `reference_ms`, `device`, and `energy_source`.
    """
    recipe = _recipe(config, settings, names)
    modelled = _modelled(config) if recipe["energy_source"] == MODELLED else {}
    to_measure = tuple(name for name in names if name not in modelled)
    if not to_measure:
        return {**modelled, "energy_source": MODELLED}
    path = _path(folder, recipe)
    with exclusive(folder / ".lock", f"{folder} (measuring)", PATIENCE):
        found = _read(path, recipe)
        if found is None:
            found = {"recipe": recipe, **_measured_now(config, settings, to_measure)}
            write_text(path, json.dumps(found, indent=1) + "\n")
    return {**found, **modelled, "energy_source": recipe["energy_source"]}


def recorded(
    config: ExperimentConfig, settings: NetworkSearchConfig, names: tuple[str, ...], folder: Path
) -> dict[str, Any]:
    """The file of `measure`, if the network was measured on this machine; else nothing: it is not measured now."""
    recipe = _recipe(config, settings, names)
    return _read(_path(folder, recipe), recipe) or {}


def _path(folder: Path, recipe: dict[str, Any]) -> Path:
    return folder / f"{sha256_of_plain(recipe)[:16]}.json"


def _recipe(config: ExperimentConfig, settings: NetworkSearchConfig, names: tuple[str, ...]) -> dict[str, Any]:
    source = energy_source(settings) if ENERGY in names else ""
    return {
        **plain(execution_of(config)),
        "batch": settings.latency_batch,
        "threads": settings.latency_threads,
        "rounds": settings.latency_rounds,
        "device": settings.device,
        "processor": device_name() if settings.device == "cpu" else torch.cuda.get_device_name(),
        "torch": torch.__version__,
        "metrics": list(names),
        "energy_source": source,
        "algorithm": ALGORITHM if source in ("", MODELLED) else COUNTED_ALGORITHM,
    }


def measured(
    networks: Mapping[str, torch.nn.Module], images: torch.Tensor, settings: NetworkSearchConfig
) -> dict[str, Timing]:
    """Time per image of several networks, by turns.

    Arguments:
        networks: name -> what runs (see `runnable`).
        images: see `images_for`.
        settings: rounds and threads.

    A network that is named `REFERENCE` is timed again whenever another is.
    """
    named = {name: _call(network, images) for name, network in networks.items()}
    reference = REFERENCE if REFERENCE in named else None
    found = time_calls(named, settings.latency_rounds, settings.latency_threads, reference=reference)
    n = len(images)
    return {
        name: Timing(one.median_ms / n, one.iqr_ms / n, one.rounds, one.repeated, one.flagged)
        for name, one in found.items()
    }


def images_for(config: ExperimentConfig, settings: NetworkSearchConfig) -> torch.Tensor:
    """Random images, (batch, C, H, W), on the device that is measured."""
    space, generator = image_space(config.data, recheck=False), torch.Generator().manual_seed(0)
    shape = (settings.latency_batch, *space.image_shape)
    return torch.randint(space.intensities, shape, dtype=torch.uint8, generator=generator).to(settings.device)


def _call(network: torch.nn.Module, images: torch.Tensor) -> Any:
    return lambda: network(images)


def _measured_now(config: ExperimentConfig, settings: NetworkSearchConfig, names: tuple[str, ...]) -> dict[str, Any]:
    network = runnable(config, settings.latency_threads, settings.device)
    found: dict[str, Any] = {"kernels": sorted(set(kernels_of(config).values()))}
    if LATENCY in names:
        space = image_space(config.data, recheck=False)
        reference = build_encoder(EncoderConfig(depth=8), "classification", *space, seed=0).eval()
        both = {"network": network, REFERENCE: reference.to(settings.device)}
        timings = measured(both, images_for(config, settings), settings)
        own = timings["network"]
        found |= {
            LATENCY: own.median_ms,
            "latency_iqr_ms": own.iqr_ms,
            "latency_flagged": own.flagged,
            "latency": asdict(own),
            "reference_ms": timings[REFERENCE].median_ms,
        }
    if ENERGY in names:
        counter = energy_counter(settings.device)
        assert counter is not None
        call = _call(network, images_for(config, settings))
        wait = torch.cuda.synchronize if settings.device == "cuda" else lambda: None
        joules = joules_per_call(call, counter, settings.latency_threads, wait=wait)
        found[ENERGY] = 1e3 * joules / settings.latency_batch
    return found


def _modelled(config: ExperimentConfig) -> dict[str, float]:
    space = image_space(config.data, recheck=False)
    works = layer_works(build_encoder(config.encoder, "classification", *space, seed=0), space.image_shape)
    return {ENERGY: modelled_energy_mj(works, layer_formats(config, works))}


def _read(path: Path, recipe: Mapping[str, Any]) -> dict[str, Any] | None:
    try:
        found = json.loads(path.read_text())
        return found if found["recipe"] == recipe else None
    except (OSError, ValueError, KeyError, TypeError):
        return None  # not there, or not whole: it is made
