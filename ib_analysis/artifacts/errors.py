"""What a user can mend."""

from __future__ import annotations

__all__ = ["UserError"]


class UserError(Exception):
    """A mistake that the user can mend: one sentence that says what is wrong, where, and what to do."""
