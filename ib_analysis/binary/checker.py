"""Whether every product of matrices of a network multiplies signs by signs, and what it computes with real numbers.

The operations of one forward pass are watched below all modules, where convolutions, dense layers, matmul, einsum and
their like all pass through. Whatever is not known to be no product is refused, so that none escapes by a new name.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from ib_analysis.artifacts import UserError
from ib_analysis.binary.operations import (
    MOVES,
    PRODUCTS,
    Operands,
    broadcast_product,
    factors,
    is_known,
)
from ib_analysis.binary.summed_products import SummedProducts, tensors_of

__all__ = ["Product", "ProductReport", "check_products", "inspect_products"]

IMAGES = 4
"""Random images that the operands are looked at on."""


@dataclass(frozen=True)
class Product:
    """One product of a forward pass.

    Arguments:
        layer: path of the innermost module that computes it.
        operation: torch's name.
        macs: multiply-adds for one image.
        fault: what is wrong with it, in words that follow the layer's name; empty: both operands are signs.
    """

    layer: str
    operation: str
    macs: int
    fault: str


@dataclass(frozen=True)
class ProductReport:
    """What a network computes for one image.

    Arguments:
        products: of matrices, in the order in which they are computed.
        real: every other operation on real numbers that come from the image -> elements of its results. What is
            computed from weights alone (their signs and scales) is done once and not counted.
    """

    products: tuple[Product, ...]
    real: Mapping[str, int] = field(default_factory=dict)

    @property
    def macs(self) -> int:
        """Multiply-adds of all products."""
        return sum(product.macs for product in self.products)

    @property
    def faults(self) -> tuple[Product, ...]:
        """Products that are not of signs."""
        return tuple(product for product in self.products if product.fault)

    @property
    def real_share(self) -> float:
        """Results of real-valued operations as a share of these and all multiply-adds of products."""
        elements = sum(self.real.values())
        return elements / max(1, elements + self.macs)

    def text(self) -> str:
        """A line on the products, a line on what remains real.

        >>> print(ProductReport((Product("stem", "convolution", 300, ""),), {"add": 75, "mul": 25}).text())
        products of signs: all 1, 300 multiply-adds an image, both operands in {-1, +1}
        real-valued operations besides: 100 results an image, 25.00 % of all operations: add 75.0 %, mul 25.0 %
        """
        count = len(self.products) - len(self.faults)
        of_signs = f"all {count}" if not self.faults else f"{count} of {len(self.products)}"
        elements = sum(self.real.values())
        shares = sorted(self.real.items(), key=lambda pair: (-pair[1], pair[0]))
        listed = ", ".join(f"{name} {number / elements:.1%}".replace("%", " %") for name, number in shares)
        return (
            f"products of signs: {of_signs}, {self.macs:,} multiply-adds an image, both operands in {{-1, +1}}\n"
            f"real-valued operations besides: {elements:,} results an image, "
            f"{100 * self.real_share:.2f} % of all operations{': ' if listed else ''}{listed}"
        )


def inspect_products(network: nn.Module, image_shape: Sequence[int], intensities: int = 256) -> ProductReport:
    """Watch one pass of random images through a network, in evaluation mode.

    A product of matrices is also what is written as a product of elements and its sum, whatever moves, scales or shifts
    the elements in between (`SummedProducts`). Three things are not seen: what a network computes outside of torch
    (numpy, a compiled kernel of its own); sums that are written as additions of single numbers or of slices that are
    filled one by one; and products in disguise, as differences of squares or powers of sums of logarithms.

    Arguments:
        network: takes integer images (B, C, H, W); its modes are left as they were.
        image_shape: (C, H, W).
        intensities: number of levels of a pixel.
    """
    device = next((tensor.device for tensor in network.parameters()), torch.device("cpu"))
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(intensities, (IMAGES, *image_shape), dtype=torch.uint8, generator=generator).to(device)
    modes = {module: module.training for module in network.modules()}
    network.eval()
    try:
        # Without a gradient composite operations come in their parts; in inference mode they would not.
        with torch.no_grad(), _places(network) as place, _Watch(images, place) as watch:
            network(images)
    finally:
        for module, mode in modes.items():
            module.training = mode
    real = {name: max(1, count // IMAGES) for name, count in watch.real.items()}
    return ProductReport(tuple(watch.products), real)


def check_products(network: nn.Module, image_shape: Sequence[int], intensities: int = 256) -> ProductReport:
    """The same, but a network that is not binary is refused.

    Raises:
        UserError: some product has an operand that is not made of signs; the sentence names its layer.
    """
    report = inspect_products(network, image_shape, intensities)
    if not report.products:
        raise UserError("The network multiplies no matrices at all, so that there is nothing binary about it.")
    if report.faults:
        first, others = report.faults[0], len(report.faults) - 1
        more = f" ({others} more like it)" if others else ""
        raise UserError(f"The network is not binary: its layer {first.layer} {first.fault}{more}.")
    return report


class _Watch(TorchDispatchMode):
    """Notes every operation that is computed."""

    def __init__(self, images: Tensor, place: Callable[[], str]) -> None:
        super().__init__()
        self.products: list[Product] = []
        self.real: Counter[str] = Counter()
        self._place = place
        self._elementwise = SummedProducts()
        # By id, and kept: an id is worth something while its tensor lives.
        self._of_images: dict[int, Tensor] = {id(images): images}

    def __torch_dispatch__(self, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        output = operation(*args, **(kwargs or {}))
        name = operation.overloadpacket.__name__
        given, made = tensors_of([args, kwargs]), tensors_of(output)
        from_images = any(id(one) in self._of_images for one in given)
        if from_images:
            self._of_images.update({id(one): one for one in made})
        operands = self._operands(operation, args, kwargs or {}, output)
        if operands:
            for one in operands:
                self._note(name, one)
        elif not is_known(operation):
            self.products.append(
                Product(self._place(), name, 0, f"computes {name}, which may hide a product of real numbers")
            )
        elif from_images and name not in MOVES and any(one.is_floating_point() for one in [*given, *made]):
            self.real[name.strip("_")] += next((one.numel() for one in made), 0)
        return output

    def _operands(self, operation: Any, args: Sequence[Any], kwargs: dict[str, Any], output: Any) -> list[Operands]:
        """What is multiplied if the operation is a product of matrices, or a sum that makes one of a product of
        elements."""
        name = operation.overloadpacket.__name__
        if name in PRODUCTS:
            return [PRODUCTS[name](args, output)]
        found = self._elementwise.follow(operation, args, kwargs, output)
        pair, made = factors(name, args), tensors_of(output)
        if pair is None:
            return found
        whole = broadcast_product(pair, made[0])
        # What is computed from weights alone is no product of the pass.
        if whole is None and any(id(one) in self._of_images for one in tensors_of(args)):
            self._elementwise.add(pair, made[0])
        return found if whole is None else [*found, whole]

    def _note(self, name: str, operands: Operands) -> None:
        fault = ""
        for side, operand in (("input", operands.left), ("weight", operands.right)):
            other = operand.detach()[~((operand == 1) | (operand == -1))]
            if not fault and other.numel():
                fault = f"multiplies real numbers ({name}): its {side} has values like {float(other[0]):.3g}"
        if not fault and operands.fills_with_zeros:
            fault = f"pads with zeros ({name}), a third value beside -1 and +1"
        self.products.append(Product(self._place(), name, operands.macs // IMAGES, fault))


@contextmanager
def _places(network: nn.Module) -> Iterator[Callable[[], str]]:
    """Inside the block, the path of the module that is computing is told."""
    stack = ["(the network itself)"]
    names = {module: name or stack[0] for name, module in network.named_modules()}
    handles = []
    for module in names:
        if isinstance(module, torch.jit.ScriptModule):
            continue
        handles.append(module.register_forward_pre_hook(lambda module, _: stack.append(names[module])))
        handles.append(module.register_forward_hook(lambda *_: stack.pop() and None, always_call=True))
    try:
        yield lambda: stack[-1]
    finally:
        for handle in handles:
            handle.remove()
