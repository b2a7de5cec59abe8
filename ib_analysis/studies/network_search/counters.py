"""Counters of energy, where a machine has one that may be read: RAPL of a processor, NVML of a GPU."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

__all__ = ["MODELLED", "EnergyCounter", "NvmlCounter", "RaplCounter", "Reading", "energy_counter"]

MODELLED = "modelled"
"""What energy is called that no counter has measured."""
POWERCAP = Path("/sys/class/powercap")


Reading = tuple[float, ...]
"""Joules that a device's counters show, one number each."""


class EnergyCounter(Protocol):
    """Counts the energy that a device has used."""

    @property
    def name(self) -> str:
        """Of the kind of counter."""
        ...

    def reading(self) -> Reading:
        """What it shows now."""
        ...

    def advanced(self, before: Reading, after: Reading) -> float:
        """Joules between two readings."""
        ...


@dataclass(frozen=True)
class RaplCounter:
    """Running Average Power Limit of all processor packages, as Linux shows it under ``/sys/class/powercap``.

    Arguments:
        folders: one per package (``intel-rapl:0``, on AMD processors too).
    """

    folders: tuple[Path, ...]
    name: str = "RAPL"

    def reading(self) -> Reading:
        """Raises: OSError: one may not be read (most systems let only root)."""
        return tuple(_microjoules(folder / "energy_uj") for folder in self.folders)

    def advanced(self, before: Reading, after: Reading) -> float:
        """The sum over packages. A counter begins anew at its largest value."""
        total = 0.0
        for folder, start, end in zip(self.folders, before, after, strict=True):
            total += end - start if end >= start else end + _microjoules(folder / "max_energy_range_uj") - start
        return total


@dataclass(frozen=True)
class NvmlCounter:
    """Total energy of an NVIDIA GPU, by the package ``pynvml``.

    Arguments:
        library: the module.
        handle: of the GPU.
    """

    library: Any
    handle: Any
    name: str = "NVML"

    def reading(self) -> Reading:
        return (self.library.nvmlDeviceGetTotalEnergyConsumption(self.handle) * 1e-3,)

    def advanced(self, before: Reading, after: Reading) -> float:
        return after[0] - before[0]


def energy_counter(device: str = "cpu", powercap: Path = POWERCAP) -> EnergyCounter | None:
    """A counter of a device that can be read here, or None: then energy is modelled.

    A processor's is of all its packages; if any cannot be read there is none, for a part would pass for the whole.

    Arguments:
        device: ``cpu`` or ``cuda``.
        powercap: where Linux shows RAPL.
    """
    if device == "cuda":
        return _nvml()
    packages = tuple(folder for folder in sorted(powercap.glob("*-rapl:*")) if _is_package(folder))
    counter = RaplCounter(packages)
    try:
        counter.advanced(counter.reading(), counter.reading())
    except (OSError, ValueError):
        return None
    return counter if packages else None


def _is_package(folder: Path) -> bool:
    """Not a part of one (``intel-rapl:0:1``), and not the whole machine (``psys``), which has the packages in it."""
    if folder.name.count(":") != 1:
        return False
    try:
        return (folder / "name").read_text().startswith("package")
    except OSError:
        return True


def _microjoules(path: Path) -> float:
    """A file of microjoules, in joules."""
    return int(path.read_text()) * 1e-6


def _nvml() -> EnergyCounter | None:
    try:
        import pynvml

        pynvml.nvmlInit()
        counter = NvmlCounter(pynvml, pynvml.nvmlDeviceGetHandleByIndex(0))
        counter.reading()
    except Exception:  # no package, no driver, no GPU, or one without a counter: whatever it is, there is none
        return None
    return counter
