"""A fit that several processes share is the fit of one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from accelerate import Accelerator
from fit_in_processes import run
from fitting_toys import Memory

HERE = Path(__file__).parents[1]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("limit", "optimiser", "ends"), [(0, "adam", 1), (2, "adam", 1), (2, "muon", 1), (0, "adam", 2)]
)
def test_two_processes_fit_like_one(tmp_path, limit, optimiser, ends):
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    paths = os.pathsep.join([str(HERE.parents[1]), str(HERE)])
    subprocess.run(
        [*command, str(HERE / "fit_in_processes.py"), str(tmp_path), str(limit), optimiser, str(ends)],
        check=True,
        timeout=240,
        env={**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
    )
    first, second = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in (0, 1))
    try:
        alone = run(Accelerator(cpu=True), Memory(), None, optimiser, ends)
    finally:
        torch.set_default_dtype(torch.float32)
    assert (first["processes"], alone["processes"]) == (2, 1)
    for name, value in alone["parameters"].items():
        assert torch.equal(first["parameters"][name], second["parameters"][name])
        assert torch.allclose(first["parameters"][name], value, rtol=0, atol=1e-10)
    assert len(alone["halfway"]) == (len(alone["parameters"]) if ends == 2 else 0)
    for name, value in alone["halfway"].items():
        assert torch.equal(first["halfway"][name], second["halfway"][name])
        assert torch.allclose(first["halfway"][name], value, rtol=0, atol=1e-10)
    assert torch.allclose(first["curve"], alone["curve"], rtol=1e-10)
    assert torch.equal(first["curve"], second["curve"])
    assert first["best_step"] == second["best_step"] == alone["best_step"]
    assert first["saves"], "the main process saves"
    assert second["saves"] == [], "and no other"
    assert second["micro_batch"] == (2 if limit else None)
