"""The bottom floor: hashes, atomic writes, completeness and provenance of everything that is kept on disk.

An *artifact* is one file with a manifest beside it (``<file>.json``). The manifest records the config and seed that
made the file, the hashes of the inputs, the number of the algorithm, the versions of the libraries and, once the file
is whole, its own hash.
"""

from ib_analysis.artifacts.algorithms import ALGORITHMS
from ib_analysis.artifacts.errors import UserError
from ib_analysis.artifacts.hashes import plain, sha256_of_array, sha256_of_file, sha256_of_plain
from ib_analysis.artifacts.manifests import Artifact
from ib_analysis.artifacts.notices import begin_notices, silent, tell_once
from ib_analysis.artifacts.origins import versions
from ib_analysis.artifacts.settings import Setting, settings_of
from ib_analysis.artifacts.tensors import load_tensors, save_tensors
from ib_analysis.artifacts.writing import atomic_path, explained, write_atomically, write_text

__all__ = [
    "ALGORITHMS",
    "Artifact",
    "Setting",
    "UserError",
    "atomic_path",
    "begin_notices",
    "explained",
    "load_tensors",
    "plain",
    "save_tensors",
    "settings_of",
    "sha256_of_array",
    "sha256_of_file",
    "sha256_of_plain",
    "silent",
    "tell_once",
    "versions",
    "write_atomically",
    "write_text",
]
