"""Counters of energy, where a machine has one that may be read: RAPL of a processor, NVML of a GPU."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

__all__ = ["MODELLED", "EnergyCounter", "NvmlCounter", "RaplCounter", "energy_counter"]

MODELLED = "modelled"
"""What energy is called that no counter has measured."""
POWERCAP = Path("/sys/class/powercap")


class EnergyCounter(Protocol):
    """Counts the energy that a device has used."""

    @property
    def name(self) -> str:
        """Of the kind of counter."""
        ...

    def joules(self) -> float:
        """What it shows now."""
        ...

    def advanced(self, before: float, after: float) -> float:
        """Joules between two readings."""
        ...


@dataclass(frozen=True)
class RaplCounter:
    """Running Average Power Limit of a processor package, as Linux shows it under ``/sys/class/powercap``.

    Arguments:
        folder: of one package (``intel-rapl:0``, on AMD processors too).
    """

    folder: Path
    name: str = "RAPL"

    def joules(self) -> float:
        """Raises: OSError: it may not be read (most systems let only root)."""
        return int((self.folder / "energy_uj").read_text()) * 1e-6

    def advanced(self, before: float, after: float) -> float:
        """The counter begins anew at its largest value."""
        if after >= before:
            return after - before
        return after + int((self.folder / "max_energy_range_uj").read_text()) * 1e-6 - before


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

    def joules(self) -> float:
        return self.library.nvmlDeviceGetTotalEnergyConsumption(self.handle) * 1e-3

    def advanced(self, before: float, after: float) -> float:
        return after - before


def energy_counter(device: str = "cpu", powercap: Path = POWERCAP) -> EnergyCounter | None:
    """A counter of a device that can be read here, or None: then energy is modelled.

    Arguments:
        device: ``cpu`` or ``cuda``.
        powercap: where Linux shows RAPL.
    """
    if device == "cuda":
        return _nvml()
    for folder in sorted(powercap.glob("*-rapl:?")):
        counter = RaplCounter(folder)
        try:
            counter.advanced(counter.joules(), counter.joules())
        except (OSError, ValueError):
            continue
        return counter
    return None


def _nvml() -> EnergyCounter | None:
    try:
        import pynvml

        pynvml.nvmlInit()
        counter = NvmlCounter(pynvml, pynvml.nvmlDeviceGetHandleByIndex(0))
        counter.joules()
    except Exception:  # no package, no driver, no GPU, or one without a counter: whatever it is, there is none
        return None
    return counter
