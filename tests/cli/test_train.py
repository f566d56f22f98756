"""The training command: what it makes, and what it says when something is missing."""

import json
import runpy
import sys
from pathlib import Path

import pytest
import torch
from mmengine.config import Config

ROOT = Path(__file__).parents[2]
TOY = ROOT / "tests" / "engine" / "toy.py"

from toy import toy_config  # noqa: E402


@pytest.fixture
def tool(monkeypatch, capsys):
    """Runs a command in this process; returns its status and what it wrote to stderr."""
    monkeypatch.chdir(ROOT)

    def run(*arguments, name="train.py"):
        monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
        with pytest.raises(SystemExit) as status:
            runpy.run_path(str(ROOT / "tools" / name), run_name="__main__")
        run.out, errors = capsys.readouterr()
        return status.value.code, errors

    return run


@pytest.fixture
def config(tmp_path):
    """A toy config on disk, without a work_dir."""
    cfg = toy_config(tmp_path, epochs=2)
    cfg.pop("work_dir")
    cfg.dump(tmp_path / "toy_config.py")
    return tmp_path / "toy_config.py"


def test_trains_into_a_dated_folder_and_resumes_there(tool, config, tmp_path, monkeypatch):
    arguments = (config, "--plugins", TOY)
    monkeypatch.setattr("mapllava.engine.runner.run_folder.RUNS", tmp_path / "outputs")
    assert tool(*arguments, "--cfg-options", "train_cfg.max_epochs=1")[0] == 0
    (run,) = (tmp_path / "outputs").iterdir()
    assert run.name.startswith("map_detection_stage2_20")
    assert (run / "final_model.pth").is_file()

    assert tool(*arguments, "--resume", "auto")[0] == 0
    assert [path.name for path in (tmp_path / "outputs").iterdir()] == [run.name]
    assert not list(run.glob(".*")), "the lock and what was half-written are gone"
    assert torch.load(run / "final_model.pth", weights_only=True)["meta"]["epoch"] == 2
    assert [entry["epoch"] for entry in json.loads((run / "metrics.json").read_text())] == [1, 2]


@pytest.mark.parametrize("fault", ["model.type=NoSuchModel", "load_from=none.pth", "model.depth=3"])
def test_a_failed_start_says_why_and_leaves_nothing(tool, config, tmp_path, monkeypatch, fault):
    monkeypatch.setattr("mapllava.engine.runner.run_folder.RUNS", tmp_path / "outputs")
    options = ["--cfg-options", fault, "log_level=INFO"]
    for folder in ([], ["--work-dir", tmp_path / "named"]):
        status, text = tool(config, "--plugins", TOY, *folder, *options)
        assert status == 2
        assert "Traceback" not in text
        assert len(tool.out.splitlines()) < 10, "neither the config nor the machine's listing"
    assert not (tmp_path / "named").exists()
    assert list((tmp_path / "outputs").glob("*")) == []


def test_the_listings_of_a_run_are_in_its_log(tool, config, tmp_path):
    run = tmp_path / "run"
    options = ["--work-dir", run, "--cfg-options", "train_cfg.max_epochs=1", "log_level=INFO"]
    assert tool(config, "--plugins", TOY, *options)[0] == 0
    (log,) = run.glob("*/*.log")
    for listing in ("\nmodel = dict(", "System environment:", "Hooks will be executed"):
        assert listing in log.read_text()
        assert listing not in tool.out


def test_resume_auto_starts_a_new_run_where_there_is_none(tool, config, tmp_path):
    status, text = tool(config, "--plugins", TOY, "--resume", "--work-dir", tmp_path / "new")
    assert status == 0
    assert "nothing to resume" in text
    assert (tmp_path / "new" / "final_model.pth").is_file()


def test_amp_means_bfloat16_and_options_reach_the_config(tool, config, tmp_path):
    run = tmp_path / "amp"
    options = (
        "--amp",
        "--auto-scale-lr",
        "--cfg-options",
        "auto_scale_lr.base_batch_size=1",
        "train_cfg.max_epochs=1",
    )
    assert tool(config, "--plugins", TOY, "--work-dir", run, *options)[0] == 0
    saved = json.loads((run / "config.json").read_text())
    assert saved["optim_wrapper"]["dtype"] == "bfloat16"
    assert saved["auto_scale_lr"] == {"base_batch_size": 1, "enable": True}
    assert Config.fromfile(next(run.glob("*.py"))).train_cfg.max_epochs == 1


def weights(run):
    return torch.load(run / "final_model.pth", weights_only=True)["state_dict"]


def same(left, right):
    return all(torch.equal(value, right[key]) for key, value in left.items())


@pytest.mark.slow
def test_seeds_and_determinism(tool, config, tmp_path, monkeypatch):
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    base = (config, "--plugins", TOY, "--cfg-options", "train_cfg.max_epochs=1")
    try:
        for name, options in {
            "a": ["--seed", 7, "--deterministic"],
            "b": ["--seed", 7, "--deterministic"],
            "c": ["--seed", 8],
        }.items():
            options = [*options, "--work-dir", tmp_path / name]
            assert tool(*base, *options)[0] == 0
            if "--deterministic" in options:
                assert torch.are_deterministic_algorithms_enabled()
    finally:
        torch.use_deterministic_algorithms(False)
        torch.backends.cudnn.deterministic = False
    saved = json.loads((tmp_path / "a" / "config.json").read_text())
    assert saved["randomness"] == {"seed": 7, "deterministic": True}
    assert same(weights(tmp_path / "a"), weights(tmp_path / "b"))
    assert not same(weights(tmp_path / "a"), weights(tmp_path / "c"))


def test_an_early_stop_leaves_a_whole_run_folder(tool, config, tmp_path):
    cfg = Config.fromfile(config)
    cfg.train_cfg.max_epochs = 6
    cfg.custom_hooks.append({"type": "EarlyStoppingHook", "monitor": "mAP", "patience": 2, "min_delta": 1e3})
    cfg.dump(config)
    run = tmp_path / "run"
    assert tool(config, "--plugins", TOY, "--work-dir", run)[0] == 0
    assert [entry["epoch"] for entry in json.loads((run / "metrics.json").read_text())] == [1, 2, 3]
    assert torch.load(run / "final_model.pth", weights_only=True)["meta"]["epoch"] == 3
    assert (run / "best_model.pth").is_file()


def test_the_learning_rate_scales_by_samples_an_update_and_the_log_says_so(tool, config, tmp_path):
    options = ["auto_scale_lr.base_batch_size=2", "optim_wrapper.accumulative_counts=2", "log_level=INFO"]
    run = tmp_path / "run"
    arguments = ["--plugins", TOY, "--work-dir", run, "--auto-scale-lr", "--cfg-options", *options]
    assert tool(config, *arguments)[0] == 0
    state = torch.load(run / "final_model.pth", weights_only=True)["optimizer"]
    assert state["param_groups"][0]["initial_lr"] == pytest.approx(0.02), "2 x 2 samples against 2"
    (log,) = run.glob("*/*.log")
    assert "4 samples an update (1 processes, batches of 2, 2 accumulated)" in log.read_text()
    assert "learning rates times 2" in log.read_text()


@pytest.mark.parametrize("variable", ["TORCHELASTIC_RESTART_COUNT", "SLURM_RESTART_COUNT"])
@pytest.mark.slow
def test_a_run_that_a_launcher_started_again_resumes_unasked(tool, config, tmp_path, monkeypatch, variable):
    arguments = (config, "--plugins", TOY, "--work-dir", tmp_path / "run")
    assert tool(*arguments, "--cfg-options", "train_cfg.max_epochs=1")[0] == 0
    monkeypatch.setenv(variable, "1")
    assert tool(*arguments)[0] == 0
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert [entry["epoch"] for entry in metrics] == [1, 2], "the first epoch is not trained again"


def test_without_nuscenes_it_says_where_it_looked_and_what_runs_now(tool, tmp_path):
    root = tmp_path / "nuscenes"
    status, text = tool("configs/stage2/mini.py", "--cfg-options", f"data_root={root}")
    assert status == 2
    assert str(root) in text
    assert "nuscenes.org" in text
    assert "mapllava train stage2/synthetic" in text
    assert "Traceback" not in text


@pytest.mark.parametrize("missing", ["train", "val"])
def test_a_missing_cache_stops_the_run_before_training(tool, tmp_path, missing):
    """A missing validation cache must not show after the first epoch only."""
    caches = tmp_path / "gt_cache"
    caches.mkdir()
    for split in {"train", "val"} - {missing}:
        (caches / f"gt_cache_v1.0-mini_{split}.pkl").touch()
    status, text = tool(
        "configs/stage2/mini.py", "--cfg-options", f"data_root={tmp_path}", "--work-dir", tmp_path / "run"
    )
    assert status == 2
    assert f"gt_cache_v1.0-mini_{missing}.pkl" in text
    assert f"mapllava cache create --dataroot {tmp_path} --version v1.0-mini --split {missing}" in text
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["configs/none.py"], "configs/none.py' is not there; mapllava has"),
        (["CONFIG", "--plugins", "no_such_module"], "plug-in 'no_such_module' cannot be imported"),
        (["CONFIG", "--plugins", "no_such_file.py"], "plug-in 'no_such_file.py'"),
        (["CONFIG", "--plugins", TOY, "--resume", "none.pth"], "checkpoint 'none.pth' is not there"),
        (["CONFIG", "--plugins", TOY, "--auto-scale-lr"], "base_batch_size"),
        (["CONFIG", "--plugins", TOY, "--cfg-options", "val_cfg=None"], "val_cfg not set though"),
        (
            ["CONFIG", "--plugins", TOY, "--cfg-options", "train_dataloader.dataset.pipeline.7.type=A"],
            "--cfg-options",
        ),
    ],
)
def test_mistakes_give_one_message_and_status_2(tool, config, tmp_path, arguments, message):
    arguments = [config if argument == "CONFIG" else argument for argument in arguments]
    status, text = tool(*arguments, "--work-dir", tmp_path / "run")
    assert status == 2
    assert message in text
    assert text.startswith("error: ")
    assert "Traceback" not in text


def test_a_broken_config_is_named(tool, tmp_path):
    (tmp_path / "broken.py").write_text("model = dict(\n")
    status, text = tool(tmp_path / "broken.py")
    assert status == 2
    assert "broken.py' cannot be read" in text


def test_a_defect_keeps_its_traceback(tool, config, tmp_path):
    plugin = tmp_path / "defect.py"
    plugin.write_text(
        "from toy import ToyModel\n"
        "from mapllava.registry import MODELS\n"
        "@MODELS.register_module(force=True)\n"
        "class DefectModel(ToyModel):\n"
        "    def forward(self, inputs, data_samples=None, mode='tensor'):\n"
        "        return 1 / 0\n"
    )
    cfg = Config.fromfile(config)
    cfg.model = {"type": "DefectModel"}
    cfg.dump(config)
    with pytest.raises(ZeroDivisionError):
        tool(config, "--plugins", TOY, plugin, "--work-dir", tmp_path / "run")


def test_one_more_hook_in_a_child_config_leaves_the_run_its_checkpoints(tool, config, tmp_path):
    """A list in a child replaces that of its base; what saves a run is not in one."""
    child = tmp_path / "child.py"
    hook = "dict(type='EarlyStoppingHook', monitor='mAP')"
    child.write_text(
        f"_base_ = ['{config.name}']\ntrain_cfg = dict(max_epochs=1)\ndefault_hooks = dict(stop={hook})\n"
    )
    assert tool(child, "--plugins", TOY, "--work-dir", tmp_path / "named")[0] == 0
    assert (tmp_path / "named" / "final_model.pth").is_file()
    child.write_text(f"_base_ = ['{config.name}']\ncustom_hooks = [{hook}]\n")
    status, text = tool(child, "--plugins", TOY, "--work-dir", tmp_path / "listed")
    assert status == 2
    assert "SafeCheckpointHook" in text
    assert not (tmp_path / "listed").exists()
