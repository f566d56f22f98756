"""The command: what it prints, how it ends, and that nothing is too broken for it."""

import json
import os
import re
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from mapllava import __main__ as program
from mapllava.cli import doctor as command
from mapllava.cli.doctor import PASSED
from mapllava.doctor import packages
from tests.doctor.set_up import SetUp, make_set_up

main = partial(program.run_command, "doctor")
ROOT = Path(__file__).parents[2]


@pytest.fixture
def set_up(tmp_path, city, city_cache) -> SetUp:
    return make_set_up(tmp_path, city, city_cache)


@pytest.fixture(autouse=True)
def no_imports_in_other_processes(monkeypatch):
    """They take seconds, and the tests of packages have them."""
    monkeypatch.setattr(packages, "try_imports", lambda names: dict.fromkeys(names, ("done", "1")))


def test_a_good_set_up_passes(set_up, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    assert main([str(set_up.config)]) == 0
    out = capsys.readouterr().out
    assert out.endswith(f"{PASSED}\n")
    assert out.index("environment\n") < out.index("config\n") < out.index("data\n") < out.index("step\n")
    assert "  ok    val images: all 48 files are there" in out
    assert "  ok    gradients new/matrices: norm " in out
    assert " 0 fail, " in out
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda it: shutil.rmtree(it.root), "fail  data root: nuScenes was looked for at"),
        (lambda it: (it.root / "v1.0-mini" / "log.json").write_text("[ ]"), "fail  train cache: GT cache"),
        (lambda it: it.append("model = dict(neck=dict(type='Nek'))"), "fail  model.neck: type 'Nek' is not"),
        (lambda it: it.append("model = dict(neck=dict(cel=1.0))"), "-> did you mean 'cell'?"),
        (lambda it: it.append("optim_wraper = dict(lr=1)"), "-> did you mean 'optim_wrapper'?"),
        (
            lambda it: it.append("model['decoder'] = dict(pretrained='/no/weights')"),
            "fail  weights /no/weights:",
        ),
        (
            lambda it: it.append("model['data_preprocessor'] = dict(std=[1e-38] * 3)"),
            "fail  losses: not finite:",
        ),
    ],
)
def test_a_broken_set_up_does_not(damage, message, set_up, capsys):
    damage(set_up)
    assert main([str(set_up.config), "--skip", "environment"]) == 1
    out = capsys.readouterr().out
    assert message in out
    assert PASSED not in out
    assert out.endswith("NOT ready: put right what fails, then run this again\n")
    assert "Traceback" not in out


def test_the_report_as_json(set_up, capsys):
    set_up.append("optim_wraper = dict(lr=1)")
    assert main([str(set_up.config), "--json", "--only", "config"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert report["config"] == str(set_up.config)
    assert report["passed"] is False
    assert "step" in report["left_out"]
    (failure,) = (each for each in report["findings"] if each["status"] == "fail")
    assert failure == {
        "group": "config",
        "check": "keys",
        "name": "key optim_wraper",
        "status": "fail",
        "reason": f"nothing reads 'optim_wraper' of {set_up.config}, "
        "and its value {'lr': 1} is used nowhere",
        "remedy": "did you mean 'optim_wrapper'?",
        "place": "",
    }


def test_what_is_left_out_is_said(set_up, capsys):
    assert main([str(set_up.config), "--no-step", "--skip", "environment", "images"]) == 0
    out = capsys.readouterr().out
    assert (
        "left out as asked: python, packages, commands, driver, gpu, disk, shm, images, memory, step" in out
    )
    assert "gradients" not in out


def test_options_and_plugins_are_those_of_train(set_up, capsys):
    options = ["--cfg-options", "train_dataloader.batch_size=3", "val_dataloader.batch_size=4"]
    plugin = ["--plugins", str(ROOT / "tests" / "engine" / "toy.py")]
    assert main([str(set_up.config), "--only", "settings", *options, *plugin]) == 0
    assert "12 samples, 4 batches an epoch" in capsys.readouterr().out
    assert main([str(set_up.config), "--only", "file", "--plugins", "no_such_plugin"]) == 1
    assert "plug-in 'no_such_plugin' cannot be imported" in capsys.readouterr().out


def test_without_a_config_the_machine_alone(capsys):
    main([])
    out = capsys.readouterr().out
    assert "environment\n" in out
    assert "config\n" not in out
    assert "No CONFIG, so only the machine was looked at" in out
    assert "stage2/synthetic " in out
    main(["--only", "python", "disk"])
    assert "left out as asked: packages, commands, driver, gpu, shm\n" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [["--skip", "stap"], ["--only", "x"], ["a", "b"]])
def test_a_wrong_command_line(arguments, capsys):
    with pytest.raises(SystemExit) as status:
        main(arguments)
    assert status.value.code == 2
    assert "error: " in capsys.readouterr().err
    assert main(["--samples", "-1"]) == 2
    assert "--samples -1" in capsys.readouterr().err


def test_the_installed_command(capsys, monkeypatch):
    monkeypatch.setattr(command, "run", lambda args: 7 if args.no_step else 1)
    assert program.main(["doctor", "--no-step"]) == 7
    assert program.main(["--help"]) == 0
    assert re.search(r"usage: mapllava(?s:.*)train  .*\n", capsys.readouterr().out)
    assert program.main(["doctr"]) == 2
    assert "did you mean mapllava doctor?" in capsys.readouterr().err
    assert "mapllava = mapllava.__main__:main" in (ROOT / "setup.py").read_text()


@pytest.mark.parametrize(
    ("stub", "reason"),
    [
        (
            "raise ImportError('libcudart.so.13: cannot open shared object file')",
            "ImportError: libcudart.so.13",
        ),
        ("raise OSError('libtorch_cpu.so: undefined symbol')", "OSError: libtorch_cpu.so"),
        ("import os; os.abort()", "kills the process (SIGABRT)"),
    ],
    ids=["missing library", "broken library", "crash"],
)
def test_a_broken_pytorch_is_a_line_of_the_report(stub, reason, tmp_path):
    """In a process of its own, with every other package replaced by an empty one to be quick."""
    (tmp_path / "torch.py").write_text(stub)
    for name in ("shapely", "cv2", "transformers", "safetensors", "rich", "pkg_resources", "numpy"):
        (tmp_path / f"{name}.py").touch()
    for name in ("mmengine.runner", "mmcv.transforms", "nuscenes.nuscenes", "scipy.optimize"):
        package, module = name.split(".")
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").touch()
        (tmp_path / package / f"{module}.py").touch()
    done = subprocess.run(
        [
            sys.executable,
            str(ROOT / "tools" / "doctor.py"),
            str(ROOT / "configs" / "stage2" / "synthetic.py"),
        ],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
    )
    assert done.returncode == 1
    assert done.stderr == ""
    assert "fail  torch: torch " in done.stdout
    assert reason in done.stdout
    assert "-> pip install --force-reinstall torch, the build of this machine" in done.stdout
    assert "skip  file: not looked at: torch failed" in done.stdout
    assert "skip  step: not looked at: torch failed" in done.stdout
    assert PASSED not in done.stdout
