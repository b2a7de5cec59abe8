"""A base's file: it holds what was measured, and whatever else lies in its place is told in a sentence."""

from __future__ import annotations

import contextlib
import io
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load, save

from decoders import Architecture, ImageSpace, Minibatch, PixelCNNPP, PixelCNNPPConfig, code_lengths_bits
from ib_analysis.artifacts import UserError
from ib_analysis.bases import read_base, write_base
from ib_analysis.bases.files import UNSEEN, rounded

NETWORK = PixelCNNPPConfig(ImageSpace(1, 4, 4, 8), Architecture(blocks=1, filters=3, output="categorical", dropout=0.3))
UNSEEN_DIGESTS = np.array([5, -(2**62), 3], dtype=np.int64)


def images(n: int = 32, seed: int = 1) -> torch.Tensor:
    return torch.randint(8, (n, 1, 4, 4), generator=torch.Generator().manual_seed(seed)).to(torch.uint8)


@pytest.fixture
def base() -> PixelCNNPP:
    torch.manual_seed(0)
    found = PixelCNNPP(NETWORK)
    found.initialise(images())
    with torch.no_grad():
        for parameter in found.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    return found


@pytest.fixture
def written(base: PixelCNNPP, tmp_path: Path) -> Path:
    rounded(base)
    write_base(tmp_path / "base.safetensors", base, UNSEEN_DIGESTS)
    return tmp_path / "base.safetensors"


def bits(base: PixelCNNPP) -> np.ndarray:
    return code_lengths_bits(base, [Minibatch(images(seed=2))])


def test_what_is_written_is_what_was_measured(base: PixelCNNPP, written: Path) -> None:
    found, unseen = read_base(written, NETWORK)
    assert np.array_equal(bits(found), bits(base))
    for name, tensor in base.state_dict().items():
        assert torch.equal(found.state_dict()[name], tensor), name
    assert sorted(unseen.tolist()) == sorted(UNSEEN_DIGESTS.tolist())
    assert not found.training
    assert not any(parameter.requires_grad for parameter in found.parameters())


def test_rounding_is_to_float16_once_and_moves_code_lengths_little(base: PixelCNNPP) -> None:
    before = {name: tensor.clone() for name, tensor in base.state_dict().items()}
    measured = bits(base)
    rounded(base)
    for name, tensor in base.state_dict().items():
        expected = before[name].numpy().astype(np.float16).astype(np.float32)  # numpy's rounding, for torch's
        assert np.array_equal(tensor.numpy(), expected), name
    assert any(not torch.equal(tensor, before[name]) for name, tensor in base.state_dict().items())
    assert abs(bits(base).mean() / measured.mean() - 1) < 1e-3
    once = bits(base)
    rounded(base)
    assert np.array_equal(bits(base), once)


def test_weights_take_two_bytes_each(base: PixelCNNPP, written: Path) -> None:
    found = load(written.read_bytes())
    assert found.pop(UNSEEN).dtype == torch.int64
    assert {tensor.dtype for tensor in found.values()} == {torch.float16}
    assert set(found) == set(base.state_dict())


def test_equal_bases_are_equal_bytes(base: PixelCNNPP, written: Path, tmp_path: Path) -> None:
    write_base(tmp_path / "other" / "name", base, UNSEEN_DIGESTS[::-1])
    assert (tmp_path / "other" / "name").read_bytes() == written.read_bytes()


def test_images_that_are_drawn_leave_no_list(base: PixelCNNPP, tmp_path: Path) -> None:
    write_base(tmp_path / "base", base, np.empty(0, dtype=np.int64))
    assert read_base(tmp_path / "base", NETWORK)[1].shape == (0,)


def test_a_write_that_fails_leaves_what_was_there(
    base: PixelCNNPP, written: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = written.read_bytes()

    class Failing(io.FileIO):
        def write(self, content: bytes) -> int:  # type: ignore[override]
            super().write(content[:10])
            raise OSError(28, "No space left on device")

    ordinary = Path.open
    monkeypatch.setattr(
        Path, "open", lambda path, mode="r": Failing(path, "w") if mode == "wb" else ordinary(path, mode)
    )
    with pytest.raises(UserError, match="The disk is full"):
        write_base(written, base, UNSEEN_DIGESTS[:1])
    assert written.read_bytes() == before
    assert [path.name for path in written.parent.iterdir()] == [written.name]


class Executed:
    def __reduce__(self) -> tuple:
        return Path.touch, (Path("executed"),)


def without(written: Path, name: str) -> bytes:
    return save({key: tensor for key, tensor in load(written.read_bytes()).items() if key != name})


def with_one(written: Path, name: str, tensor: torch.Tensor) -> bytes:
    return save({**load(written.read_bytes()), name: tensor})


def torch_file(_: Path) -> bytes:
    content = io.BytesIO()
    torch.save({UNSEEN: torch.zeros(1), "payload": Executed()}, content)
    return content.getvalue()


FOREIGN = {
    "nothing": lambda _: b"",
    "text": lambda _: b"version https://git-lfs.github.com/spec/v1\n",
    "a pickle": lambda _: pickle.dumps(Executed()),
    "a file of torch": torch_file,
    "half of it": lambda written: written.read_bytes()[: written.stat().st_size // 2],
    "a byte too much": lambda written: written.read_bytes() + b"x",
    "no list": lambda written: without(written, UNSEEN),
    "a list of floats": lambda written: with_one(written, UNSEEN, torch.zeros(3)),
    "a table for a list": lambda written: with_one(written, UNSEEN, torch.zeros(3, 3, dtype=torch.int64)),
    "bfloat16 for a list": lambda written: with_one(written, UNSEEN, torch.zeros(3, dtype=torch.bfloat16)),
    "a weight more": lambda written: with_one(written, "further", torch.zeros(3)),
    "other weights": lambda _: save({UNSEEN: torch.zeros(3, dtype=torch.int64), "weight": torch.zeros(3)}),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_a_damaged_or_foreign_file_is_a_sentence_and_never_executed(
    written: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(written.parent)
    written.write_bytes(FOREIGN[name](written))
    with pytest.raises(UserError, match="cannot be read as a base of this network") as raised:
        read_base(written, NETWORK)
    assert "\n" not in str(raised.value)
    assert not Path("executed").exists()


def test_a_base_of_another_network_or_none_is_a_sentence(written: Path) -> None:
    other = PixelCNNPPConfig(NETWORK.image, Architecture(blocks=1, filters=4, output="categorical"))
    for path, network in ((written, other), (written.with_name("missing"), NETWORK), (written.parent, NETWORK)):
        with pytest.raises(UserError, match="cannot be read as a base of this network"):
            read_base(path, network)


@given(st.data())
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_damage_to_the_header_is_a_traceback(written: Path, data: st.DataObject) -> None:
    content = bytearray(written.read_bytes())
    header = 8 + int.from_bytes(content[:8], "little")
    for place in data.draw(st.lists(st.integers(0, header - 1), min_size=1, max_size=3)):
        content[place] = data.draw(st.integers(0, 255))
    damaged = written.with_name("damaged")
    damaged.write_bytes(content)
    with contextlib.suppress(UserError):  # any other error is a traceback for the user
        read_base(damaged, NETWORK)
