"""Experiments about the instrument itself."""
