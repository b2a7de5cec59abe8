"""Binary networks compute every Boolean function: the construction against truth tables."""

from __future__ import annotations

import doctest
from itertools import product
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ib_analysis.binary import boolean_network, inspect_products


def all_inputs(n: int) -> torch.Tensor:
    return torch.tensor(list(product([-1.0, 1.0], repeat=n)))


def values(truth: torch.Tensor, n: int) -> torch.Tensor:
    """What the network of a truth table gives on all inputs."""
    return boolean_network(all_inputs(n)[truth])(all_inputs(n)).flatten()


@pytest.mark.parametrize("n", [1, 2, 3])
def test_every_function_of_up_to_three_inputs(n: int) -> None:
    for table in product([False, True], repeat=2**n):
        truth = torch.tensor(table)
        assert torch.equal(values(truth, n), torch.where(truth, 1.0, -1.0)), table


@settings(max_examples=20, deadline=None)
@given(n=st.integers(4, 8), seed=st.integers(0, 10_000), share=st.floats(0, 1))
def test_random_functions_of_up_to_eight_inputs(n: int, seed: int, share: float) -> None:
    truth = torch.rand(2**n, generator=torch.Generator().manual_seed(seed)) < share
    assert torch.equal(values(truth, n), torch.where(truth, 1.0, -1.0))


@pytest.mark.parametrize("n", range(1, 9))
def test_parity(n: int) -> None:
    odd = (all_inputs(n) > 0).sum(1) % 2 == 1
    assert torch.equal(values(odd, n), torch.where(odd, 1.0, -1.0))


def test_its_products_are_of_signs() -> None:
    class OnImages(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = boolean_network(all_inputs(4)[::3])

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return self.network(torch.where(images > 127, 1.0, -1.0).flatten(1))

    report = inspect_products(OnImages(), (1, 2, 2))
    assert [product.fault for product in report.products] == ["", ""]
    assert report.macs == 4 * 6 + 6


def test_a_true_set_that_is_none_is_refused() -> None:
    for wrong in (torch.zeros(1, 2), torch.ones(2), torch.ones(2, 0), torch.ones(2, 3)):
        with pytest.raises(ValueError, match="true set"):
            boolean_network(wrong)


def test_the_documents_example_is_right() -> None:
    document = Path(__file__).parent.parent.parent / "docs" / "method.md"
    found = doctest.testfile(str(document), module_relative=False)
    assert (found.failed, found.attempted) == (0, 4)
