"""Exact sampling pixel by pixel, with cached features."""
