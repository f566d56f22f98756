"""Names and folders that only one gets, and locks that end with their process."""

import multiprocessing
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from mapllava.claims import new_folder, sole_holder
from mapllava.errors import MapLLaVAError
from mapllava.files import atomic_write, remove_partial_files

HOLDER = """
import multiprocessing, sys, time
from mapllava.claims import sole_holder
with sole_holder(sys.argv[1], "busy"):
    child = multiprocessing.get_context("fork").Process(target=time.sleep, args=(1000,))
    child.start()
    print(child.pid, flush=True)
    time.sleep(1000)
"""


def test_everyone_who_wants_a_name_at_once_gets_a_folder_of_their_own(tmp_path):
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: new_folder(tmp_path / "runs" / "a"), range(40)))
    assert len(set(found)) == 40
    assert sorted(path.name for path in found)[:3] == ["a", "a_10", "a_11"]


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(MapLLaVAError, match=r"file/a' cannot be written"):
        new_folder(tmp_path / "file" / "a")


def test_a_lock_names_its_holder_and_ends_with_it(tmp_path):
    """SIGKILL leaves the file and the forked child, as a data worker would be; the lock is free at once."""
    lock = tmp_path / ".lock"
    with subprocess.Popen([sys.executable, "-c", HOLDER, lock], stdout=subprocess.PIPE, text=True) as holder:
        child = int(holder.stdout.readline())
        try:
            with (
                pytest.raises(MapLLaVAError, match=rf"^in use by process {holder.pid} on .+ since 20"),
                sole_holder(lock, "in use"),
            ):
                pass
            assert lock.exists()
            holder.kill()
            holder.wait()
            with sole_holder(lock, "in use"):
                assert str(os.getpid()) in lock.read_text()
        finally:
            os.kill(child, signal.SIGKILL)
    assert not lock.exists()


def _append(path):
    for _ in range(20):
        with sole_holder(path.with_name(".lock"), "busy", wait=True):
            path.write_text(f"{int(path.read_text()) + 1}")


def test_those_who_wait_get_their_turn_one_by_one(tmp_path):
    """The file is removed and made again at every turn; nobody may hold one that is gone."""
    path, context = tmp_path / "count", multiprocessing.get_context("fork")
    path.write_text("0")
    started = [context.Process(target=_append, args=(path,)) for _ in range(4)]
    for process in started:
        process.start()
    for process in started:
        process.join()
    assert path.read_text() == "80"
    assert os.listdir(tmp_path) == ["count"]


def test_a_folder_appears_whole_and_does_not_replace_anothers(tmp_path):
    with atomic_write(tmp_path / "a") as one:
        one.mkdir()
        (one / "x").write_text("mine")
        assert not (tmp_path / "a").exists()
    with (
        pytest.raises(MapLLaVAError, match=r"a' cannot be written: .*is not empty"),
        atomic_write(tmp_path / "a") as two,
    ):
        two.mkdir()
    assert [path.name for path in tmp_path.rglob("*")] == ["a", "x"]


def test_partial_folders_are_swept_too(tmp_path):
    for name in (".a.0123abcd.tmp", ".b.0123abcd.tmp"):
        (tmp_path / name).mkdir()
    assert [path.name for path in remove_partial_files(tmp_path, of="a")] == [".a.0123abcd.tmp"]
    assert os.listdir(tmp_path) == [".b.0123abcd.tmp"]
