"""The examples on one's own networks run as they stand, from the network to figures and the page."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "epochs", "layers"),
    [
        ("own_network", (0, 5, 20), ("early", "late", "logits")),
        ("own_transformer", (0, 5, 20), ("patches_1", "patches_2", "class_token")),
        ("own_file", (1, 20), ("first", "second")),
    ],
)
def test_an_example_measures_its_layers(
    name: str, epochs: tuple, layers: tuple, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(EXAMPLES))
    monkeypatch.delitem(sys.modules, name, raising=False)
    found = importlib.import_module(name).main(["--steps", "40"])
    assert {(row.epoch, row.layer) for row in found.information} == {(e, layer) for e in epochs for layer in layers}
    assert Path("figures", name, "samples.html").exists()
    arrays = found.arrays()
    assert np.isfinite(arrays["i_xh_bits"]).all()
    trained = (arrays["layer"] == layers[-1]) & (arrays["epoch"] == epochs[-1])
    assert (arrays["i_hy_bits"][trained] > 0.5).all()  # of 3.3: it has learned to tell digits
