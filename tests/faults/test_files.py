"""Files that are damaged, hostile, or cannot be written: each ends in the promised message."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[2]

from toy import toy_config  # noqa: E402

from mapllava.checkpoint import read_model_file  # noqa: E402
from mapllava.checkpoint.plain_file import read_plain  # noqa: E402
from mapllava.engine import build_runner  # noqa: E402
from mapllava.engine.runner.resume import resume_point  # noqa: E402
from mapllava.errors import MapLLaVAError  # noqa: E402
from mapllava.files import atomic_write, remove_partial_files, write_json  # noqa: E402


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    build_runner(toy_config(folder, epochs=2)).train()
    return folder


@pytest.fixture
def copy(run, tmp_path):
    """A copy of the run's two checkpoints, to be damaged."""
    for path in run.glob("checkpoint_epoch_*.pth"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return tmp_path


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip_a_bit_of_a_weight(path: Path) -> None:
    """The lowest bit of a weight: a value that is as plausible as before."""
    content = torch.load(path, weights_only=True)
    needle = content["state_dict"]["base.weight"].numpy().tobytes()
    data = bytearray(path.read_bytes())
    place = data.find(needle)
    assert place > 0
    data[place] ^= 1
    path.write_bytes(data)
    assert not torch.equal(torch.load(path, weights_only=True)["state_dict"]["base.weight"],
                           content["state_dict"]["base.weight"]), "torch itself does not notice"  # fmt: skip


class Evil:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


def make_hostile(path: Path) -> None:
    torch.save({"state_dict": {}, "meta": Evil(path.with_suffix(".ran"))}, path)


DAMAGE = {
    "truncated": (truncate, "cut short"),
    "flipped bit": (flip_a_bit_of_a_weight, r"checksum of .*data/\d+ is wrong"),
    "hostile": (make_hostile, "nothing in it was run"),
    "empty": (lambda path: path.write_bytes(b""), "cannot be read"),
    "text": (lambda path: path.write_text("not a checkpoint"), "cannot be read"),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_checkpoint_is_refused_by_name_wherever_it_is_read(copy, kind):
    damage, words = DAMAGE[kind]
    path = copy / "checkpoint_epoch_2.pth"
    damage(path)
    cfg = toy_config(copy / "again", load_from=str(path))
    for read in (
        read_model_file,
        read_plain,
        lambda p: resume_point(copy, str(p)),
        lambda _: build_runner(cfg).train(),
    ):
        with pytest.raises(MapLLaVAError, match=words) as caught:
            read(path)
        assert str(path) in str(caught.value)
        assert "copy it again" in str(caught.value)
    assert not path.with_suffix(".ran").exists()


@pytest.mark.parametrize("kind", DAMAGE)
def test_resume_auto_falls_back_to_the_last_good_one_and_says_so(copy, capsys, kind):
    DAMAGE[kind][0](copy / "checkpoint_epoch_2.pth")
    assert resume_point(copy, "auto") == copy / "checkpoint_epoch_1.pth"
    text = capsys.readouterr().err
    assert "checkpoint_epoch_2.pth" in text.splitlines()[0]
    assert "resuming from the last good checkpoint instead" in text
    assert not list(copy.glob("*.ran"))


def test_nothing_good_left_is_an_error_that_lists_all(copy):
    for path in copy.glob("*.pth"):
        truncate(path)
    with pytest.raises(MapLLaVAError, match=r"(?s)epoch_2.*epoch_1.*start anew"):
        resume_point(copy, "auto")
    assert resume_point(copy / "empty", "auto") is None


def test_a_model_without_optimiser_cannot_be_resumed(run):
    with pytest.raises(
        MapLLaVAError, match=r"best_model.pth' cannot be resumed: it lacks optimizer.*load_from"
    ):
        resume_point(run, str(run / "best_model.pth"))


def test_every_record_has_a_checksum(run):
    with zipfile.ZipFile(run / "final_model.pth") as archive:
        assert archive.testzip() is None
        assert all(entry.CRC for entry in archive.infolist() if entry.file_size)


def test_a_stopped_runs_half_files_are_removed_at_the_next_start(tmp_path):
    half = tmp_path / ".checkpoint_epoch_1.pth.0123abcd.tmp"
    half.write_bytes(b"half")
    other = tmp_path / ".notes.tmp"
    other.write_bytes(b"somebody else's")
    build_runner(toy_config(tmp_path, epochs=1)).train()
    assert not half.exists()
    assert other.exists()
    assert remove_partial_files(tmp_path) == []


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 96 KiB; the mount needs root, and a kernel that lets it."""
    yield from _mounted(tmp_path / "disk", "size=96k")


def _mounted(folder, options):
    folder.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], capture_output=True)
    if done.returncode:
        pytest.skip("no right to mount a tmpfs here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def test_a_full_disk_stops_the_run_and_keeps_the_last_good_checkpoint(small_disk, capfd):
    with pytest.raises(MapLLaVAError, match=r"cannot be written: No space left on device; make room"):
        build_runner(toy_config(small_disk, epochs=8)).train()
    good = sorted(small_disk.glob("*.pth"))
    assert good, "some were written before"
    for path in good:
        read_plain(path)
    assert not list(small_disk.glob(".*.tmp"))
    assert "Traceback" not in "".join(capfd.readouterr())


@pytest.mark.slow
def test_a_read_only_folder_is_named(tmp_path):
    for folder in _mounted(tmp_path / "disk", "size=96k,ro"):
        done = _train(folder / "run")
        assert done.returncode == 2
        assert done.stderr.splitlines()[-1].startswith("error: ")
        assert str(folder / "run") in done.stderr
        assert "Read-only file system" in done.stderr
        assert "Traceback" not in done.stderr


def _train(work_dir):
    script = f"""
import sys
from pathlib import Path
sys.path[:0] = [{str(ROOT)!r}, {str(ROOT / "tests" / "engine")!r}]
from toy import toy_config
from mapllava.engine import build_runner
from mapllava.cli.exit_status import exit_status
raise SystemExit(exit_status(lambda: build_runner(toy_config(Path({str(work_dir)!r}))).train() and 0))
"""
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=600)


@pytest.mark.parametrize(
    ("number", "words"),
    [(28, "make room"), (30, "mounted read-only"), (13, "right to write"), (27, "ulimit")],
)
def test_a_write_that_fails_says_what_to_do_and_leaves_the_older_file(tmp_path, monkeypatch, number, words):
    path = write_json(tmp_path / "a.json", "old")

    def fail(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(MapLLaVAError, match=rf"a.json' cannot be written: {os.strerror(number)}; .*{words}"):
        write_json(path, "new")
    assert path.read_text() == '"old"\n'
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.json"]


def test_two_writers_do_not_share_a_partial_file(tmp_path):
    with atomic_write(tmp_path / "a") as one, atomic_write(tmp_path / "a") as two:
        assert one != two
        one.touch()
        two.touch()


def test_time_left_is_never_negative(tmp_path, monkeypatch):
    """Each look at the clock finds it an hour earlier."""
    now = iter(range(10**9, 0, -3600))
    monkeypatch.setattr("time.time", lambda: float(next(now)))
    runner = build_runner(toy_config(tmp_path, epochs=1, default_hooks=DEFAULT_HOOKS))
    runner.train()
    assert runner.message_hub.get_info("eta") >= 0
    assert all(value >= 0 for value in runner.message_hub.get_scalar("train/time").data[0])


DEFAULT_HOOKS = {"timer": {"type": "SteadyTimerHook"}, "checkpoint": {"type": "RunCheckpointHook"}}
