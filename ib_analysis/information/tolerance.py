"""How far an estimate may lie from a truth that is known."""

__all__ = ["tolerance_bits"]


def tolerance_bits(true_bits: float) -> float:
    """How far an estimate may lie from the truth: 2 % of it or half a bit, whichever is more.

    >>> tolerance_bits(3.0), tolerance_bits(256.0)
    (0.5, 5.12)
    """
    return max(0.02 * abs(true_bits), 0.5)
