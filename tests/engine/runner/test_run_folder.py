"""Whose a run folder is, who may train in it, and what a start that fails leaves."""

import json
import multiprocessing
import os
import signal
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from toy import toy_config

from mapllava.engine import build_runner
from mapllava.engine.runner.run_folder import run_folder
from mapllava.errors import MapLLaVAError


@pytest.fixture(autouse=True)
def runs(tmp_path, monkeypatch):
    monkeypatch.setattr("mapllava.engine.runner.run_folder.RUNS", tmp_path / "outputs")
    for name in ("MAPLLAVA_LAUNCH", "TORCHELASTIC_RUN_ID", "SLURM_JOB_ID"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "outputs"


def written(path, epochs=1):
    """A config file; returns it as read."""
    cfg = toy_config(path.parent / "none", epochs=epochs)
    cfg.pop("work_dir")
    path.parent.mkdir(parents=True, exist_ok=True)
    cfg.dump(path)
    return Config.fromfile(path)


def owner(folder):
    return json.loads(Path(folder, "run.json").read_text())["config"]


def train(cfg, asked=None, resume=None):
    with run_folder(cfg, asked and str(asked), resume) as started:
        runner = build_runner(cfg)
        runner.register_hook(started)
        runner.train()
    return cfg.work_dir


def test_starts_in_one_second_get_folders_of_their_own(tmp_path, runs, monkeypatch):
    monkeypatch.setattr("time.strftime", lambda *_: "20260101_120000")
    with ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(run_folder(written(tmp_path / "a.py")))
        names = sorted(path.name.removeprefix("map_detection_stage2_") for path in runs.iterdir())
    assert names == ["20260101_120000", "20260101_120000_2", "20260101_120000_3"]


def test_two_tests_of_a_model_in_one_second_have_logs_of_their_own(tmp_path, monkeypatch):
    strftime = time.strftime
    monkeypatch.setattr("time.strftime", lambda layout, *rest: strftime(layout, time.gmtime(0)))
    for _ in range(2):
        build_runner(toy_config(tmp_path / "run")).test()
    assert len(list((tmp_path / "run").glob("*/*.log"))) == 2


def test_two_runs_of_one_process_in_one_second_share_neither_log_nor_curves(tmp_path, monkeypatch):
    strftime = time.strftime
    monkeypatch.setattr("time.strftime", lambda layout, *rest: strftime(layout, time.gmtime(1)))
    for name in "ab":
        build_runner(toy_config(tmp_path / name, epochs=1)).train()
    for name in "ab":
        (log,) = (tmp_path / name).glob("*/*.log")
        assert log.read_text().count("Name of parameter") == 1
        (curves,) = (tmp_path / name).glob("*/vis_data/scalars.json")
        steps = [json.loads(line) for line in curves.read_text().splitlines()]
        assert [step["step"] for step in steps if "loss" in step] == [1, 2, 3, 4]


def hold(path, folder, pipe):
    with run_folder(written(path), str(folder)):
        pipe.send("here")
        time.sleep(1000)


def test_a_folder_is_one_runs_while_it_lasts_and_free_once_it_is_killed(tmp_path):
    context = multiprocessing.get_context("fork")
    here, there = context.Pipe()
    other = context.Process(target=hold, args=(tmp_path / "a.py", tmp_path / "run", there))
    other.start()
    assert here.recv() == "here"
    try:
        with pytest.raises(
            MapLLaVAError, match=rf"run' is the folder of a run in training, by process {other.pid} on "
        ):
            train(written(tmp_path / "b.py"), tmp_path / "run")
    finally:
        other.kill()
        other.join()
    train(written(tmp_path / "b.py"), tmp_path / "run")
    assert (tmp_path / "run" / "final_model.pth").is_file()


def test_who_is_refused_takes_nothing_of_the_run_that_has_the_folder(tmp_path, monkeypatch):
    folder = tmp_path / "run"
    folder.mkdir()

    def refuse(lock, *_):
        (folder / "20260101_120000.log").touch()  # the other run's, written just now
        raise MapLLaVAError("in use")

    monkeypatch.setattr("mapllava.engine.runner.run_folder.sole_holder", refuse)
    with pytest.raises(MapLLaVAError, match="in use"), run_folder(written(tmp_path / "a.py"), str(folder)):
        pass
    assert [path.name for path in folder.iterdir()] == ["20260101_120000.log"]


def test_configs_of_one_name_in_two_folders_are_two(tmp_path, runs):
    first = train(written(tmp_path / "a" / "mini.py"))
    other = written(tmp_path / "b" / "mini.py", epochs=2)
    assert train(other, resume="auto") != first
    again = written(tmp_path / "a" / "mini.py", epochs=2)
    assert train(again, resume="auto") == first
    assert again.load_from == os.path.join(first, "checkpoint_epoch_1.pth")
    assert json.loads((runs / os.path.basename(first) / "run.json").read_text())["config"].endswith(
        "/a/mini.py"
    )


def test_the_copy_in_the_folder_goes_on_with_the_run_of_the_original(tmp_path, runs):
    first = train(written(tmp_path / "a" / "mini.py"))
    copy = Config.fromfile(os.path.join(first, "mini.py"))
    copy.train_cfg.max_epochs = 2
    assert train(copy, resume="auto") == first
    assert json.loads((runs / os.path.basename(first) / "run.json").read_text())["config"].endswith(
        "/a/mini.py"
    )


def test_a_new_run_does_not_mix_with_the_checkpoints_of_another(tmp_path, capsys):
    run = tmp_path / "run"
    train(written(tmp_path / "a" / "mini.py"), run)
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    for other in ("a", "b"):
        with pytest.raises(MapLLaVAError, match=r"holds a run of '.*/a/mini.py' with checkpoint_epoch_1.pth"):
            train(written(tmp_path / other / "mini.py"), run)
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before
    train(written(tmp_path / "b" / "mini.py", epochs=2), run, resume="auto")
    assert "holds a run of" in capsys.readouterr().err
    assert torch.load(run / "final_model.pth", weights_only=True)["meta"]["epoch"] == 2


def test_a_run_that_its_launcher_starts_again_finds_its_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("MAPLLAVA_LAUNCH", "one")
    first = train(written(tmp_path / "a.py"))
    monkeypatch.setenv("MAPLLAVA_LAUNCH", "two")
    assert train(written(tmp_path / "a.py")) != first
    monkeypatch.setenv("MAPLLAVA_LAUNCH", "one")
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "1")
    again = written(tmp_path / "a.py", epochs=2)
    assert train(again) == first
    assert again.resume


@pytest.mark.parametrize("exists", [False, True])
def test_a_start_that_fails_leaves_the_folder_as_it_was(tmp_path, exists):
    run = tmp_path / "run"
    if exists:
        train(written(tmp_path / "a.py"), run)
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    cfg = written(tmp_path / "a.py", epochs=2)
    cfg.model.type = "NoSuchModel"
    with pytest.raises((KeyError, MapLLaVAError)):
        train(cfg, run, resume="auto")
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before
    assert run.exists() == exists


def start_and(what, cfg, folder=None):
    with run_folder(cfg, folder):
        what()


def test_what_somebody_may_want_to_see_of_a_failed_start_stays(tmp_path):
    kept = tmp_path / "run" / "nonfinite_batch.pth"

    def fail():
        kept.touch()
        raise RuntimeError("a defect")

    with pytest.raises(RuntimeError, match="a defect"):
        start_and(fail, written(tmp_path / "a.py"), str(tmp_path / "run"))
    assert list((tmp_path / "run").iterdir()) == [kept]


def test_sigterm_while_starting_ends_it_and_leaves_nothing(tmp_path, runs):
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as status:
        start_and(lambda: os.kill(os.getpid(), signal.SIGTERM), written(tmp_path / "a.py"))
    assert status.value.code == 143
    assert list(runs.iterdir()) == []
    assert signal.getsignal(signal.SIGTERM) is before
