"""The problems, against pymoo's."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ib_analysis.pareto.problems import Problem, bnh, dtlz1, dtlz2, zdt1, zdt2

pytest.importorskip("pymoo")


@pytest.mark.parametrize(
    ("ours", "name", "options"),
    [
        (bnh(), "bnh", {}),
        (zdt1(), "zdt1", {}),
        (zdt2(), "zdt2", {}),
        (dtlz1(), "dtlz1", {"n_var": 7, "n_obj": 3}),
        (dtlz2(), "dtlz2", {"n_var": 12, "n_obj": 3}),
        (dtlz2(8, 4), "dtlz2", {"n_var": 8, "n_obj": 4}),
    ],
)
def test_against_pymoo(ours: Problem, name: str, options: dict) -> None:
    from pymoo.problems import get_problem

    theirs = get_problem(name, **options)
    assert ours.lower is not None
    assert ours.upper is not None
    assert np.allclose(theirs.xl, ours.lower)
    assert np.allclose(theirs.xu, ours.upper)
    share = np.random.default_rng(0).random((5, ours.n_variables))
    x = theirs.xl + share * (theirs.xu - theirs.xl)
    found = theirs.evaluate(x, return_as_dictionary=True)
    assert np.allclose(found["F"], np.stack([ours.losses(torch.from_numpy(row)).numpy() for row in x]))
    if ours.inequalities is not None:
        signs = np.stack([ours.inequalities(torch.from_numpy(row)).numpy() for row in x])
        assert ((found["G"] <= 0) == (signs <= 0)).all()
