"""Every Boolean function by two binary blocks: a constructive proof that binary networks are universal.

For f on {-1, +1}^n with the true set T: a hidden unit for each a in T, sign(<a, x> - (n - 1/2)), fires at x = a alone,
as <a, x> is n there and at most n - 2 elsewhere; the output sign(sum of the hidden units + |T| - 1) is +1 where one of
them fires. All weights are ±1; what is added is the shift of a batch normalisation.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ib_analysis.binary.block import BinaryBlock, Code
from ib_analysis.binary.phase import Phase, set_phase
from ib_analysis.binary.products import BinaryLinear

__all__ = ["boolean_network"]


def boolean_network(true_set: Tensor) -> nn.Sequential:
    """The network that computes a Boolean function, in evaluation mode.

    Arguments:
        true_set: shape (T, n), signs: the inputs where the function is true; T may be 0.

    Returns:
        A module from signs (B, n) to signs (B, 1): +1 is true.

    Raises:
        ValueError: the true set is no set of vectors of signs.

    >>> exclusive_or = boolean_network(torch.tensor([[-1.0, 1.0], [1.0, -1.0]]))
    >>> inputs = torch.tensor([[-1.0, -1.0], [-1.0, 1.0], [1.0, -1.0], [1.0, 1.0]])
    >>> exclusive_or(inputs).flatten().tolist()
    [-1.0, 1.0, 1.0, -1.0]
    """
    if true_set.ndim != 2 or true_set.shape[1] == 0 or not bool(((true_set == 1) | (true_set == -1)).all()):
        raise ValueError(f"a true set has shape (T, n) and values -1 and +1, not {tuple(true_set.shape)}")
    if len(torch.unique(true_set, dim=0)) < len(true_set):
        raise ValueError("a true set names each input once")
    n_true, n_inputs = true_set.shape
    # A layer needs a unit: that of the function that is never true asks for more than n, and never fires.
    weights, threshold = (true_set, n_inputs - 0.5) if n_true else (torch.ones(1, n_inputs), n_inputs + 0.5)
    hidden = _block(weights.float(), -threshold, code=None)
    output = _block(torch.ones(1, len(weights)), n_true - 1.0, code=Code(len(weights)))
    network = nn.Sequential(hidden, output, Code(1))
    set_phase(network, Phase.BINARY)
    return network.eval()


def _block(weights: Tensor, shift: float, code: Code | None) -> BinaryBlock:
    """A block that gives the product of its signs with the weights, plus a shift."""
    product = BinaryLinear(weights.shape[1], weights.shape[0])
    block = BinaryBlock(product, code, activation=False)
    assert block.norm.running_var is not None
    with torch.no_grad():
        product.weight.copy_(weights)  # their mean magnitude, the scale of the product, is 1
        block.norm.eps = 0.0
        block.norm.bias.fill_(shift)
    return block.requires_grad_(False)
