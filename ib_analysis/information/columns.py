"""The columns that tables begin with: which run, decoder and cell a row is about."""

from dataclasses import dataclass

__all__ = ["CellColumns", "DecoderColumns", "RunColumns"]


@dataclass(frozen=True)
class RunColumns:
    """Which trained encoder."""

    experiment: str
    """Name of the experiment."""
    task: str
    """What the encoder was trained for: classification, autoencoding, or a trade-off of both, such as joint-4-1."""
    number_format: str
    """Number format of the encoder's weights and activations."""
    encoder_seed: int
    """Seed of the encoder."""


@dataclass(frozen=True)
class DecoderColumns(RunColumns):
    """The same, and which of its decoders."""

    decoder_seed: int
    """Seed of the decoder."""


@dataclass(frozen=True)
class CellColumns(DecoderColumns):
    """The same, and which cell."""

    epoch: int
    """Training epochs that the encoder had seen; 0 is its initialisation."""
    layer: str
    """The tap."""
