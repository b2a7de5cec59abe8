"""A file of images and of what any network made of them: how it is laid out, checked and read."""

from ib_analysis.activations_file.axes import FileAxes
from ib_analysis.activations_file.findings import HASHED, Findings, findings_of
from ib_analysis.activations_file.images import check_pixels, image_blocks, labels_of, numbered, parts, parts_of
from ib_analysis.activations_file.layout import VERSION, FileContents, FileTap, contents_of
from ib_analysis.activations_file.values import read_rows

__all__ = [
    "HASHED",
    "VERSION",
    "FileAxes",
    "FileContents",
    "FileTap",
    "Findings",
    "check_pixels",
    "contents_of",
    "findings_of",
    "image_blocks",
    "labels_of",
    "numbered",
    "parts",
    "parts_of",
    "read_rows",
]
