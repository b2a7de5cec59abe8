"""Variables of a launcher in the environment: of a launch, or left over from another program."""

from __future__ import annotations

import socket
from datetime import timedelta
from pathlib import Path

import pytest
import torch

from ib_analysis.artifacts import UserError
from ib_analysis.cli import main
from ib_analysis.engines import launch
from ib_analysis.engines.launch_variables import check_gpus, check_launch_variables

WHOLE = {"WORLD_SIZE": "4", "RANK": "3", "LOCAL_RANK": "1", "MASTER_ADDR": "far", "MASTER_PORT": "29500"}


def test_a_launch_and_none() -> None:
    assert check_launch_variables(WHOLE) == 4
    assert check_launch_variables({**WHOLE, "WORLD_SIZE": "1", "RANK": "0", "ACCELERATE_USE_FSDP": "false"}) == 1
    assert check_launch_variables({"RANK": "3", "PMI_SIZE": "1", "WORLD_SIZE": ""}) == 1  # nothing heeds these
    assert check_launch_variables({}) == 1


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"WORLD_SIZE": "2"}, "not RANK, LOCAL_RANK, MASTER_ADDR, MASTER_PORT;"),
        ({"WORLD_SIZE": "two"}, "WORLD_SIZE is 'two' in the environment"),
        ({"LOCAL_RANK": "0"}, "unset LOCAL_RANK"),
        ({**WHOLE, "MASTER_ADDR": ""}, "not MASTER_ADDR;"),
        ({**WHOLE, "MASTER_PORT": "http"}, "MASTER_PORT is 'http'"),
        ({**WHOLE, "RANK": "4"}, "RANK is 4 and WORLD_SIZE is 4"),
        ({"ACCELERATE_USE_DEEPSPEED": "true"}, "unset ACCELERATE_USE_DEEPSPEED"),
        ({"OMPI_COMM_WORLD_SIZE": "2"}, "unset OMPI_COMM_WORLD_SIZE"),
    ],
)
def test_what_cannot_be_is_said(environment: dict[str, str], said: str) -> None:
    with pytest.raises(UserError, match=said):
        check_launch_variables(environment)


def test_a_command_says_so_before_it_does_anything(
    tiny: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert main(["train", "tiny.yaml"]) == 2
    told = capsys.readouterr()
    assert told.err.startswith("ib: WORLD_SIZE is set in the environment")
    assert (told.err.count("\n"), told.out) == (1, "")


@pytest.mark.parametrize("rank", ["0", "1"])
def test_nobody_waits_for_days_for_processes_that_do_not_come(monkeypatch: pytest.MonkeyPatch, rank: str) -> None:
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    for name, value in {**WHOLE, "RANK": rank, "MASTER_ADDR": "localhost", "MASTER_PORT": str(port)}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("TORCHELASTIC_RUN_ID", raising=False)
    monkeypatch.setattr(launch, "PATIENCE", timedelta(seconds=1))
    with pytest.raises(UserError, match="the 4 processes did not meet at localhost"):
        launch.Launch()
    assert not torch.distributed.is_initialized()


TWO = {**WHOLE, "WORLD_SIZE": "2", "RANK": "0", "LOCAL_RANK": "0"}


def test_every_process_needs_a_gpu_of_its_own() -> None:
    check_gpus(0, {**TWO, "LOCAL_WORLD_SIZE": "2"})  # on the CPU
    check_gpus(2, {**TWO, "LOCAL_WORLD_SIZE": "2"})
    check_gpus(1, {**TWO, "LOCAL_WORLD_SIZE": "1"})  # the other is on another machine
    check_gpus(1, TWO)  # perhaps as well
    check_gpus(1, {**TWO, "LOCAL_WORLD_SIZE": "2", "ACCELERATE_USE_CPU": "true"})
    check_gpus(1, {})
    for one_too_many in ({**TWO, "LOCAL_WORLD_SIZE": "2"}, {**TWO, "LOCAL_RANK": "1"}):
        with pytest.raises(UserError, match="2 processes were launched on a machine with 1 GPU, and each needs one"):
            check_gpus(1, one_too_many)
