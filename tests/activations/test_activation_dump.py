import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import h5py
import numpy as np
import pytest
from activation_toys import Dump, make_data

from ib_analysis.activations import StoredActivations, activations_artifact, verify
from ib_analysis.artifacts import UserError


class Killed(Exception):
    pass


def stop_after(n_groups):
    def progress(done, total, figures):
        if done == n_groups:
            raise Killed

    return progress


def dataset_end(path, name):
    """Offset of the first stored byte of a dataset's first chunk, and that chunk's size."""
    with h5py.File(path) as file:
        chunk = file[name].id.get_chunk_info(0)
    return chunk.byte_offset, chunk.size


def flip(path, offset, size):
    with path.open("rb+") as file:
        file.seek(offset)
        content = file.read(size)
        file.seek(offset)
        file.write(bytes(255 - byte for byte in content))


def test_a_complete_dump_does_nothing(dump):
    identity = dump.run()
    changed = dump.path.stat().st_mtime_ns
    reports = []
    assert dump.run(progress=lambda *news: reports.append(news)) == identity
    assert dump.path.stat().st_mtime_ns == changed
    assert not reports
    artifact = activations_artifact(
        dump.path, config=dump.config, seed=7, data_sha256=dump.data.sha256, encoders=dump.encoders
    )
    assert artifact.status() == "complete"
    assert artifact.identity == identity
    assert verify(dump.path) == []


def test_progress_counts_groups_to_the_end(dump):
    reports = []
    dump.run(progress=lambda *news: reports.append(news))
    n_groups = len(dump.source().groups)
    assert [done for done, _, _ in reports] == list(range(1, 2 * n_groups + 1))
    assert {total for _, total, _ in reports} == {2 * n_groups}
    assert [figures["epoch"] for _, _, figures in reports] == [0] * n_groups + [2] * n_groups


@pytest.mark.parametrize("n_groups", [1, 5, 11, 12, 20])
def test_an_interrupted_dump_goes_on_and_ends_the_same(dump, tmp_path, n_groups):
    expected = Dump(tmp_path / "whole.h5").run()
    with pytest.raises(Killed):
        dump.run(progress=stop_after(n_groups))
    n_epoch = len(dump.source().groups)
    with pytest.raises(UserError, match="unfinished"):
        StoredActivations(dump.path)
    reports = []
    assert dump.run(progress=lambda *news: reports.append(news)) == expected
    assert len(reports) == (n_epoch if n_groups > n_epoch else 2 * n_epoch), "finished epochs are kept"
    assert verify(dump.path) == []


def test_a_process_killed_outright_goes_on(tmp_path):
    expected = Dump(tmp_path / "whole.h5").run()
    script = textwrap.dedent(f"""
        import sys, time
        from pathlib import Path
        sys.path.insert(0, {str(Path(__file__).parent)!r})
        from activation_toys import Dump
        def slow(done, total, figures):
            print(done, flush=True)
            time.sleep(0.02)
        Dump(Path({str(tmp_path / "killed.h5")!r})).run(progress=slow)
    """)
    for wanted in (4, 15):
        process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        while int(process.stdout.readline()) < wanted:
            pass
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert (tmp_path / "killed.h5").exists()
    assert Dump(tmp_path / "killed.h5").run() == expected
    assert verify(tmp_path / "killed.h5") == []


def test_only_the_altered_dataset_is_made_again(dump, caplog, monkeypatch):
    identity = dump.run()
    offset, size = dataset_end(dump.path, "epoch_0002/h3")
    flip(dump.path, offset + size // 2, 8)
    assert verify(dump.path) == ["epoch_0002/h3"]
    made = []
    create = h5py.Group.create_dataset
    monkeypatch.setattr(
        h5py.Group,
        "create_dataset",
        lambda group, name, *a, **k: (made.append(f"{group.name}/{name}"), create(group, name, *a, **k))[1],
    )
    assert dump.run() == identity
    assert made == ["/epoch_0002/h3"]
    assert "/epoch_0002/h3 is damaged" in caplog.text
    assert caplog.text.count("is damaged") == 1
    assert verify(dump.path) == []


def test_changed_values_are_found_though_the_file_is_sound(dump):
    identity = dump.run()
    with h5py.File(dump.path, "r+") as file:
        file["epoch_0000/h4"][3, 2] += np.float16(1)
    assert verify(dump.path) == ["epoch_0000/h4"]
    assert dump.run() == identity
    assert verify(dump.path) == []


@pytest.mark.parametrize("share", [0.0, 0.005, 0.2, 0.5, 0.8, 0.95, 0.999])
def test_a_truncated_file_is_named_and_made_whole(dump, caplog, share):
    identity = dump.run()
    os.truncate(dump.path, int(share * dump.path.stat().st_size))
    with pytest.raises(UserError, match=dump.path.name):
        verify(dump.path)
    with pytest.raises(UserError, match=dump.path.name):
        StoredActivations(dump.path)
    assert dump.run() == identity
    assert str(dump.path) in caplog.text
    assert verify(dump.path) == []


def test_what_lies_before_a_cut_is_kept(dump):
    dump.data = make_data(n_decoder=400, n_evaluation=300)
    identity = dump.run()
    with h5py.File(dump.path) as file:
        last = file["epoch_0002/h1"].id
        cut = max(last.get_chunk_info(i).byte_offset for i in range(last.get_num_chunks()))
    os.truncate(dump.path, cut)
    reports = []
    assert dump.run(progress=lambda *news: reports.append(news)) == identity
    assert {figures["epoch"] for _, _, figures in reports} == {2}


def test_random_damage_is_always_mended(dump):
    identity = dump.run()
    content = dump.path.read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(25):
        dump.path.write_bytes(content)
        flip(dump.path, int(rng.integers(0, len(content) - 4)), 4)
        assert dump.run() == identity
        assert verify(dump.path) == []


def test_another_checkpoint_makes_only_its_epoch_again(dump):
    first = dump.run()
    dump.encoders = {0: "aa", 2: "changed"}
    dump.load = lambda epoch: Dump.load(epoch + 1 if epoch == 2 else epoch)
    reports = []
    second = dump.run(progress=lambda *news: reports.append(news))
    assert {figures["epoch"] for _, _, figures in reports} == {2}
    assert second != first
    with h5py.File(dump.path) as file:
        assert file["epoch_0002"].attrs["encoder_sha256"] == "changed"
    assert verify(dump.path) == []


def test_other_images_make_everything_again(dump):
    first = dump.run()
    dump.data = make_data(seed=1)
    reports = []
    assert dump.run(progress=lambda *news: reports.append(news)) != first
    assert len(reports) == 2 * len(dump.source().groups)
    dump.data = make_data(seed=0)
    assert dump.run() == first


def test_another_config_is_refused_and_nothing_is_lost(dump):
    identity = dump.run()
    dump.config = {"width": 8}
    with pytest.raises(UserError, match="width was 4, now 8"):
        dump.run()
    dump.config = {"width": 4}
    assert dump.run() == identity


def test_a_write_that_fails_halfway_is_made_good(tmp_path):
    """The process may write no file beyond 20 kB: HDF5's writes fail as on a full disk."""
    expected = Dump(tmp_path / "whole.h5").run()
    script = textwrap.dedent(f"""
        import resource, signal, sys
        from pathlib import Path
        sys.path.insert(0, {str(Path(__file__).parent)!r})
        from activation_toys import Dump
        from ib_analysis.artifacts import UserError
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))
        try:
            Dump(Path({str(tmp_path / "full.h5")!r})).run()
        except UserError as error:
            print(error, flush=True)
    """)
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=300)
    assert "full.h5 could not be written" in found.stdout, found.stderr
    assert "File too large" in found.stdout
    assert Dump(tmp_path / "full.h5").run() == expected


def peak_after(tmp_path, counts, shape, taps, *, group_size):
    """Peak memory in bytes after dumping each of several data sets one after the other, in a process of its own."""
    script = textwrap.dedent(f"""
        import resource, sys
        from pathlib import Path
        import numpy as np, torch
        sys.path.insert(0, {str(Path(__file__).parent)!r})
        from torch import nn
        from ib_analysis.activations import RecomputedActivations, dump_activations
        from ib_analysis.encoders import NamedTaps
        from activation_toys import make_data
        torch.set_num_threads(1)
        class Network(nn.Module):
            def __init__(self):
                super().__init__()
                self.tap = nn.Conv2d({shape[0]}, {taps[0]}, {taps[1]}, stride={taps[1]})
            def forward(self, x):
                return self.tap(x)
        network = NamedTaps(Network(), {{"h1": "tap"}}, lambda images: images.float() / 255)
        for n in {counts}:
            data = make_data(8, n // 2, n // 10, n - n // 2, {shape})
            source = RecomputedActivations(lambda epoch: network, data, (0,), ("h1",), {group_size})
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            dump_activations(Path({str(tmp_path)!r}) / f"{{n}}.h5", source, config={{}}, seed=0,
                             data_sha256=data.sha256, encoders={{0: "aa"}})
            print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
    """)
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return [int(line) for line in found.stdout.split()]


def test_memory_does_not_grow_with_the_number_of_images(tmp_path):
    # 16 kB of activations for 64 bytes of image: 16 MB and 131 MB of activations, 0.5 MB of images.
    small, large = peak_after(tmp_path, [1000, 8000], (1, 8, 8), (128, 1), group_size=64)
    assert large - small < 25e6


@pytest.mark.slow
def test_90000_images_dump_in_less_than_1500_megabytes(tmp_path):
    (peak,) = peak_after(tmp_path, [90_000], (3, 32, 32), (16, 4), group_size=256)
    assert peak < 1.5e9
    assert verify(tmp_path / "90000.h5") == []
