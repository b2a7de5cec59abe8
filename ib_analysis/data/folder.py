"""Folders and tars of image files: one's own, or CINIC-10.

CINIC-10: L. N. Darlow, E. J. Crowley, A. Antoniou and A. J. Storkey, CINIC-10 is not ImageNet or CIFAR-10
(2018), arXiv 1810.03505; 90,000 images of 32x32 pixels in each of train, valid and test.
"""

from __future__ import annotations

from pathlib import Path

from ib_analysis.artifacts import UserError
from ib_analysis.data.collection import Collection, choose, divide, nominal_sizes
from ib_analysis.data.config import DataConfig
from ib_analysis.data.interface import ImageData, Progress, Source, Space
from ib_analysis.data.packing import Form, open_pack, pack, packed_space
from ib_analysis.data.root import data_root, find_folder, find_group_file
from ib_analysis.data.transforms import transformed_space
from ib_analysis.data.wording import printable

__all__ = ["CINIC10", "IMAGE_FOLDER"]

CINIC10_NATIVE = Space((3, 32, 32), 256, 10)
CINIC10_SIZES = {"encoder": 90_000, "decoder": 90_000, "evaluation": 90_000}
CINIC10_PLACES = ("CINIC-10", "cinic-10", "cinic10", "CINIC-10.tar.gz")
CINIC10_PAGE = "https://datashare.ed.ac.uk/handle/10283/3192"


def _pack(path: Path, config: DataConfig, progress: Progress | None, recheck: bool) -> Path:
    form = Form(config.resolution, config.background, config.group_folders)
    return pack(path, data_root(config) / "packed", form, progress, recheck)


def _collect(path: Path, name: str, config: DataConfig, progress: Progress | None, recheck: bool) -> Collection:
    packed = _pack(path, config, progress, recheck)
    return open_pack(packed, name, augment=True, group_file=find_group_file(config))


def collect_folder(config: DataConfig, progress: Progress | None = None, recheck: bool = True) -> Collection:
    """The images of `DataConfig.folder`, packed on first use; they are called what the folder or tar is called.

    Raises:
        UserError: see `find_folder`, `read_layout`, `pack` and `open_pack`.
    """
    path = find_folder(config)
    return _collect(path, printable(path.name.split(".")[0]) or config.source, config, progress, recheck)


def collect_cinic10(config: DataConfig, progress: Progress | None = None, recheck: bool = True) -> Collection:
    """CINIC-10 from `DataConfig.folder`, or from its usual places under the data root.

    Raises:
        UserError: it is not there, or what is there is not CINIC-10.
    """
    if config.folder:
        path = find_folder(config)
    else:
        root = data_root(config)
        found = [root / place for place in CINIC10_PLACES if (root / place).exists()]
        if not found:
            raise UserError(
                f"CINIC-10 is not in {root.absolute()}; download CINIC-10.tar.gz from {CINIC10_PAGE} and "
                "put it there (no need to unpack it), or set data.folder to where it is."
            )
        path = found[0]
    collection = _collect(path, config.source, config, progress, recheck)
    # Images resized on packing no longer show their own size; the rest must still agree.
    native = CINIC10_NATIVE if config.resolution is None else collection.native._replace(n_classes=10)
    if collection.parts is None or not (collection.parts == 1).any() or collection.native != native:
        raise UserError(
            f"{path} is not CINIC-10 (expected train, valid and test with 10 classes of 32x32 colour images "
            "each); use the source image_folder for other images."
        )
    return collection


def _load_folder(config: DataConfig, progress: Progress | None, recheck: bool) -> ImageData:
    return divide(collect_folder(config, progress, recheck), config)


def _load_cinic10(config: DataConfig, progress: Progress | None, recheck: bool) -> ImageData:
    return divide(collect_cinic10(config, progress, recheck), config)


def _folder_space(config: DataConfig, recheck: bool) -> Space:
    return transformed_space(packed_space(_pack(find_folder(config), config, None, recheck)), config)


def _folder_sizes(config: DataConfig, recheck: bool) -> dict[str, int]:
    chosen = choose(collect_folder(config, recheck=recheck), config)
    return {name: len(positions) for name, positions in chosen.positions.items()}


IMAGE_FOLDER = Source(load=_load_folder, space=_folder_space, sizes=_folder_sizes)
CINIC10 = Source(
    load=_load_cinic10,
    space=lambda config, recheck: transformed_space(CINIC10_NATIVE, config),
    sizes=lambda config, recheck: nominal_sizes(CINIC10_SIZES, 10, config),
)
