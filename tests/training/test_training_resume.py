import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import torch
from training_toys import CONFIG, contents, make_data, run

from ib_analysis.artifacts import UserError, save_tensors
from ib_analysis.training import TrainingConfig, is_complete


class Killed(Exception):
    pass


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """What an uninterrupted run leaves: file name -> hash."""
    found = {}
    for task in ("classification", "autoencoding"):
        folder = tmp_path_factory.mktemp(task)
        run(folder, task)
        found[task] = contents(folder)
    return found


def test_a_run_leaves_its_checkpoints_and_no_more(whole):
    names = {f"epoch_{epoch:04d}.pt{end}" for epoch in (0, 1, 3, 5) for end in ("", ".json")}
    assert set(whole["classification"]) == names | {"training.csv"}


def test_a_complete_run_does_nothing(tmp_path, whole):
    run(tmp_path)
    times = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    reports = []
    run(tmp_path, progress=lambda *news: reports.append(news))
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == times
    assert not reports


@pytest.mark.parametrize("task", ["classification", "autoencoding"])
@pytest.mark.parametrize("moments", [(1,), (7,), (9, 4), (3, 3, 3, 3, 3, 3)])
def test_an_interrupted_run_ends_with_the_same_bytes(tmp_path, whole, task, moments):
    """Stopped after so many progress reports, again and again, then left alone."""
    for reports in moments:
        left = iter(range(reports))

        def stop(*news, left=left):
            if next(left, None) is None:
                raise Killed

        with pytest.raises(Killed):
            run(tmp_path, task, progress=stop)
    run(tmp_path, task)
    assert contents(tmp_path) == whole[task]


@pytest.mark.parametrize("count", range(10))
def test_a_failed_write_loses_nothing(tmp_path, whole, monkeypatch, count):
    """The n-th file of tensors cannot be written; half of it may be there already."""
    writes = iter(range(100))

    def failing(path, state):
        if next(writes) == count:
            path.with_name(f".{path.stem}.part.pt").write_bytes(b"half")
            raise UserError("The disk is full")
        save_tensors(path, state)

    with monkeypatch.context() as patch:
        patch.setattr("ib_analysis.training.checkpoints.save_tensors", failing)
        if count < 9:
            with pytest.raises(UserError, match="disk is full"):
                run(tmp_path)
        else:
            run(tmp_path)  # there are nine writes: four checkpoints and five states to resume from
    run(tmp_path)
    found = contents(tmp_path)
    assert {name: found[name] for name in whole["classification"]} == whole["classification"]


def test_a_process_killed_outright_goes_on(tmp_path, whole):
    script = textwrap.dedent(f"""
        import sys
        from pathlib import Path
        sys.path.insert(0, {str(Path(__file__).parent)!r})
        from training_toys import run
        run(Path({str(tmp_path)!r}), progress=lambda *news: print(news[0], flush=True))
    """)
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    while int(process.stdout.readline()) < 10:
        pass
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "epoch_0005.pt").exists()
    run(tmp_path)
    found = contents(tmp_path)
    assert {name: found[name] for name in whole["classification"]} == whole["classification"]


@pytest.mark.parametrize("broken", [("epoch_0003",), ("epoch_0001", "epoch_0003"), ("epoch_0000", "epoch_0005")])
@pytest.mark.parametrize("how", ["removed", "truncated", "altered", "manifest removed"])
def test_a_broken_checkpoint_is_named_and_made_again(tmp_path, whole, caplog, broken, how):
    run(tmp_path)
    kept = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*.pt") if path.stem not in broken}
    for name in broken:
        path = tmp_path / f"{name}.pt"
        content = path.read_bytes()
        if how == "removed":
            path.unlink()
        elif how == "truncated":
            path.write_bytes(content[: len(content) // 2])
        elif how == "altered":
            path.write_bytes(content[:5000] + bytes([content[5000] ^ 255]) + content[5001:])
        else:
            path.with_name(f"{name}.pt.json").unlink()
    run(tmp_path)
    assert contents(tmp_path) == whole["classification"]
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    for name in broken:
        # A run whose last checkpoint is gone looks like one that was interrupted.
        assert f"{name}.pt" in caplog.text or (name == "epoch_0005" and how == "removed")


def test_a_damaged_resume_state_is_named_and_passed_over(tmp_path, whole, caplog):
    def stop(done, total, figures):
        if done == 18:
            raise Killed

    with pytest.raises(Killed):
        run(tmp_path, progress=stop)
    (tmp_path / "resume.pt").write_bytes(b"damaged")
    run(tmp_path)
    assert "resume.pt is damaged" in caplog.text
    assert contents(tmp_path) == whole["classification"]


def test_a_lost_table_is_written_again(tmp_path, whole):
    run(tmp_path)
    (tmp_path / "training.csv").unlink()
    run(tmp_path)
    (tmp_path / "training.csv").write_text("nonsense")
    run(tmp_path)
    (tmp_path / "training.csv").write_bytes(b"\xff\xfe not text")
    run(tmp_path)
    assert contents(tmp_path) == whole["classification"]


def complete(folder, **changes):
    recipe = {"task": "classification", "width": 4}
    options = {"recipe": recipe, "data_sha256": make_data().sha256, "seed": 3, **changes}
    return is_complete(folder, [0, 1, 3, 5], **options)


def test_a_complete_run_is_told_from_all_others(tmp_path):
    assert not complete(tmp_path)
    for stop_after in (10, 19):

        def stop(done, total, figures, stop_after=stop_after):
            if done == stop_after:
                raise Killed

        with pytest.raises(Killed):
            run(tmp_path, progress=stop)
        assert not complete(tmp_path)
    run(tmp_path)
    assert complete(tmp_path)
    assert not complete(tmp_path, seed=4)
    assert not complete(tmp_path, data_sha256="other images")
    assert not complete(tmp_path, recipe={"task": "classification", "width": 8})


@pytest.mark.parametrize("name", ["resume.pt", "training.csv", "epoch_0001.pt", "epoch_0005.pt.json"])
@pytest.mark.parametrize("how", ["lost", "not text", "cut short"])
def test_what_a_kill_or_a_hand_leaves_is_seen_and_mended(tmp_path, whole, name, how):
    run(tmp_path)
    path = tmp_path / name
    if name == "resume.pt":
        # Killed between the last checkpoint and the end.
        path.write_bytes((tmp_path / "epoch_0005.pt").read_bytes() if how == "lost" else b"damaged")
    elif how == "lost":
        path.unlink()
    elif how == "not text":
        path.write_bytes(b"\xff\xfe\x00")
    else:
        path.write_bytes(path.read_bytes()[:-30])
    assert not complete(tmp_path)
    run(tmp_path)
    assert complete(tmp_path)
    assert contents(tmp_path) == whole["classification"]


def test_mending_the_table_or_a_left_over_state_trains_nothing(tmp_path, whole):
    run(tmp_path)
    (tmp_path / "training.csv").unlink()
    (tmp_path / "resume.pt").write_bytes((tmp_path / "epoch_0005.pt").read_bytes())
    times = {path: path.stat().st_mtime_ns for path in tmp_path.glob("epoch_*")}
    reports = []
    run(tmp_path, progress=lambda *news: reports.append(news))
    assert not reports
    assert contents(tmp_path) == whole["classification"]
    assert {path: path.stat().st_mtime_ns for path in times} == times


def test_another_config_is_refused_and_nothing_is_lost(tmp_path, whole):
    run(tmp_path)
    with pytest.raises(UserError, match="width was 4, now 8"):
        run(tmp_path, recipe={"task": "classification", "width": 8})
    with pytest.raises(UserError, match="seed was 3, now 4"):
        run(tmp_path, seed=4)
    assert contents(tmp_path) == whole["classification"]


def test_other_images_train_anew(tmp_path, whole):
    run(tmp_path)
    run(tmp_path, data=make_data(seed=1))
    changed = contents(tmp_path)
    assert all(changed[name] != whole["classification"][name] for name in changed if name.endswith(".pt"))
    run(tmp_path)
    assert contents(tmp_path) == whole["classification"]


def test_a_run_without_listed_epochs_can_be_resumed(tmp_path):
    config = TrainingConfig(**{**CONFIG.__dict__, "checkpoints": ()})
    assert run(tmp_path / "whole", config=config) == [5]

    def stop(done, total, figures):
        if done == 14:
            raise Killed

    with pytest.raises(Killed):
        run(tmp_path / "parts", config=config, progress=stop)
    assert torch.load(tmp_path / "parts" / "resume.pt", weights_only=True)["epoch"] == 3
    run(tmp_path / "parts", config=config)
    assert contents(tmp_path / "parts") == contents(tmp_path / "whole")
