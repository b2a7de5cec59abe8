"""The networks of several epochs: modules, what makes them, or saved weights; each handed out and left as it was."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from ib_analysis.artifacts import UserError
from ib_analysis.encoders.interface import evaluating, modes_kept

__all__ = ["Networks", "network_at", "taking"]

Networks: TypeAlias = "Mapping[int, nn.Module | Callable[[], nn.Module] | str | PathLike[str]]"
"""Epoch -> the network as it was then, a function that gives it, or the file of its state dict."""

_WRAPPED = ("module.", "_orig_mod.")
"""What `DataParallel` and `torch.compile` put before the names of weights."""
_WEIGHTS = ("state_dict", "model_state_dict", "model", "encoder")
"""Where checkpoints that hold more (an optimizer, say) have the network's state dict."""


@contextmanager
def network_at(networks: Networks, epoch: int, network: nn.Module | None, device: torch.device) -> Iterator[nn.Module]:
    """The network of an epoch, unwrapped, on a device and in evaluation mode; afterwards as it was before.

    Arguments:
        networks: see `Networks`.
        network: into which weights are loaded, where `networks` names files.
        device: to run on. A network that lies on several devices stays there.

    Raises:
        UserError: there is no network, or weights cannot be loaded into it.
    """
    found = networks[epoch]
    if isinstance(found, str | PathLike):
        if network is None:
            raise UserError(
                f"networks[{epoch}] is the file {found}; pass the module that its weights belong to as network."
            )
        if not isinstance(network, nn.Module):
            raise UserError(f"network is {_told(network)}; it must be a torch.nn.Module, made already.")
        plain = _unwrapped(network)
        with _buffers_kept(plain), _weights_kept(plain), _on(plain, device), evaluating(plain), _uncompiled(plain):
            _load(plain, _state_dict(Path(found)), Path(found))
            yield plain
        return
    made = found if isinstance(found, nn.Module) else _made(found, epoch)
    plain = _unwrapped(made)
    with _buffers_kept(plain), _on(plain, device), evaluating(plain), _uncompiled(plain):
        yield plain


@contextmanager
def taking(shape: Sequence[int]) -> Iterator[None]:
    """Inside the block, what a network says of images that it does not take becomes a sentence.

    Arguments:
        shape: (C, H, W) of the images, for the sentence.

    Raises:
        UserError: the network fails.
    """
    try:
        yield
    except UserError:
        raise
    except torch.OutOfMemoryError as error:
        raise UserError("The network needs more memory than the device has; lower batch_size.") from error
    except Exception as error:  # a network refuses what it does not take in any way
        what = " ".join(f"{type(error).__name__}: {error}".split())
        raise UserError(f"The network takes no images of {'x'.join(map(str, shape))}: {what[:300]}") from error


def _made(make: object, epoch: int) -> nn.Module:
    """What a function gives.

    Raises:
        UserError: it is no function, fails, or gives something else.
    """
    if not callable(make):
        raise UserError(f"networks[{epoch}] is {_told(make)}; give a module, a function that makes it, or a file.")
    try:
        made = make()
    except Exception as error:  # it is the user's function
        what = " ".join(f"{type(error).__name__}: {error}".split())
        raise UserError(f"networks[{epoch}] gives no network: {what[:300]}") from error
    if not isinstance(made, nn.Module):
        raise UserError(f"networks[{epoch}] gives a {type(made).__name__}; it must give a torch.nn.Module.")
    return made


def _told(value: object) -> str:
    return f"the class {value.__name__}" if isinstance(value, type) else f"a {type(value).__name__}"


def _unwrapped(network: nn.Module) -> nn.Module:
    """Without `DataParallel` and `torch.compile`: hooks would be run on copies, or not at all.

    Raises:
        UserError: the network is one graph, in which no modules are left.
    """
    while True:
        if isinstance(network, nn.DataParallel | nn.parallel.DistributedDataParallel):
            network = network.module
        elif isinstance(inner := getattr(network, "_orig_mod", None), nn.Module):
            network = inner
        else:
            break
    if _is_flat(network):
        raise UserError(
            "The network was frozen (torch.jit.freeze) or exported (torch.export), so that no modules are left in it "
            "to be tapped; give the module that it was made from."
        )
    return network


def _is_flat(network: nn.Module) -> bool:
    if isinstance(network, torch.jit.ScriptModule):
        return not hasattr(network, "training")  # freezing removes it
    try:
        if isinstance(network, torch.fx.GraphModule):
            with modes_kept(network):
                network.eval()
    except NotImplementedError:  # of what was exported
        return True
    return False


@contextmanager
def _uncompiled(network: nn.Module) -> Iterator[None]:
    """Inside the block, parts that `torch.compile` has compiled run as they are written, with their hooks."""
    if not any(hasattr(module, "_orig_mod") for module in network.modules()):
        yield
        return
    with torch.compiler.set_stance("force_eager"):
        yield


@contextmanager
def _on(network: nn.Module, device: torch.device) -> Iterator[None]:
    devices = {tensor.device for tensor in [*network.parameters(), *network.buffers()]}
    if len(devices) != 1:
        yield
        return
    network.to(device)
    try:
        yield
    finally:
        network.to(devices.pop())


@contextmanager
def _buffers_kept(network: nn.Module) -> Iterator[None]:
    """After the block, buffers that the network changes in evaluation mode (counts, say) are as before."""
    kept = {name: value.detach().clone() for name, value in network.named_buffers()}
    try:
        yield
    finally:
        with torch.no_grad():
            for name, value in network.named_buffers():
                if name in kept and kept[name].shape == value.shape and not value.is_inference():
                    value.copy_(kept[name])


@contextmanager
def _weights_kept(network: nn.Module) -> Iterator[None]:
    kept = {name: value.detach().clone() for name, value in network.state_dict().items() if isinstance(value, Tensor)}
    try:
        yield
    finally:
        network.load_state_dict(kept, strict=False)


def _state_dict(path: Path) -> Mapping[str, Any]:
    """Weights from a file of safetensors or of torch, of which nothing is executed.

    Raises:
        UserError: the file is missing, or holds something else.
    """
    if not path.is_file():
        raise UserError(f"{path} does not exist; networks names files of weights (state dicts).")
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            found: Any = load_file(path)
        else:
            found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # each format has errors of its own for what it cannot read
        raise UserError(
            f"{path} cannot be read as weights alone ({type(error).__name__}); save network.state_dict() with "
            "torch.save, or with safetensors."
        ) from error
    for key in _WEIGHTS:
        if isinstance(found, Mapping) and isinstance(found.get(key), Mapping):
            found = found[key]
    if not isinstance(found, Mapping) or not any(isinstance(value, Tensor) for value in found.values()):
        raise UserError(f"{path} holds no weights; save network.state_dict() with torch.save, or with safetensors.")
    for prefix in _WRAPPED:
        if all(name.startswith(prefix) for name in found):
            found = {name.removeprefix(prefix): value for name, value in found.items()}
    return found


def _load(network: nn.Module, weights: Mapping[str, Any], path: Path) -> None:
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        what = " ".join(str(error).split())
        raise UserError(f"The weights of {path} are not those of the network: {what[:300]}") from error
