"""The benchmark of a whole training step, on the tiny model."""

import importlib
import json
import sys
from pathlib import Path

import pytest
import torch

from mapllava.cli.exit_status import exit_status

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
CONFIG = str(ROOT / "configs" / "stage2" / "synthetic.py")


@pytest.fixture
def bench(monkeypatch, tmp_path):
    """The benchmark where neither devkit nor data are."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    monkeypatch.setitem(sys.modules, "nuscenes", None)
    monkeypatch.chdir(tmp_path)
    return importlib.import_module("model")


def run(bench, monkeypatch, *options):
    monkeypatch.setattr(sys, "argv", ["benchmarks/model.py", CONFIG, "--device", "cpu", *options])
    bench.main()


def test_costs_are_measured_and_written(bench, monkeypatch, tmp_path, capsys):
    out = tmp_path / "new" / "model.json"
    options = ("--batch", "1", "2", "--steps", "1", "--warmup", "1", "--peak-tflops", "0.5")
    run(bench, monkeypatch, *options, "--out", str(out))
    shown = capsys.readouterr().out
    assert "utilisation" in shown
    assert "matching and losses" in shown
    result = json.loads(out.read_text())
    assert {"machine", "commit", "command", "date", "versions"} <= set(result)
    assert [row["batch"] for row in result["rows"]] == [1, 2]
    for row in result["rows"]:
        assert row["estimated_bytes"] == pytest.approx(row["peak_bytes"], rel=0.15)
        assert row["samples_per_second"] == pytest.approx(row["batch"] / row["seconds_per_step"])
        per_second = row["model_flops_per_sample"] * row["samples_per_second"] / 1e12
        assert row["tflop_per_second"] == pytest.approx(per_second)
        assert row["utilisation"] == pytest.approx(per_second / 0.5)
        assert sum(row["share"].values()) == pytest.approx(1)
        parts = {"vision_encoder", "neck", "decoder", "head"}
        assert set(row["share"]) == parts | {"preprocess", "matching and losses", "optimiser", "rest"}
        outside = sum(value for name, value in row["share"].items() if name not in parts)
        assert row["share_outside_model"] == pytest.approx(outside)


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("of 24 GiB"), RuntimeError("DefaultCPUAllocator: …")]
)
def test_a_batch_that_does_not_fit_is_a_row(error, bench, monkeypatch, capsys):
    measure = bench.measure

    def scarce(trainer, batch, args):
        if len(batch["data_samples"]) == 1:
            raise error
        return measure(trainer, batch, args)

    monkeypatch.setattr(bench, "measure", scarce)
    run(bench, monkeypatch, "--batch", "1", "2", "--steps", "1", "--warmup", "0")
    shown = capsys.readouterr().out
    assert "out of memory" in shown
    assert "batch 2" in shown, "the other one was measured"


def test_other_errors_are_not_taken_for_it(bench, monkeypatch):
    def broken(*_):
        raise RuntimeError("shapes differ")

    monkeypatch.setattr(bench, "measure", broken)
    with pytest.raises(RuntimeError, match="shapes differ"):
        run(bench, monkeypatch, "--batch", "1")


def test_a_loss_that_is_not_finite_is_no_measurement(bench, monkeypatch):
    build = bench.MODELS.build

    def spoilt(cfg):
        model = build(cfg)
        if hasattr(model, "head"):
            torch.nn.init.constant_(model.head.class_embed[0][-1].bias, float("inf"))
        return model

    monkeypatch.setattr(bench.MODELS, "build", spoilt)
    with pytest.raises((RuntimeError, ValueError), match="not finite"):
        run(bench, monkeypatch, "--batch", "1", "--steps", "1", "--warmup", "0")


@pytest.mark.parametrize("options", [["--batch", "0"], ["--batch", "1", "--steps", "0"]])
def test_numbers_must_be_positive(options, bench, monkeypatch, capsys):
    with pytest.raises(SystemExit) as status:
        run(bench, monkeypatch, *options)
    assert status.value.code == 2
    assert "positive" in capsys.readouterr().err


def test_an_absent_config_is_one_message(bench, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["benchmarks/model.py", "absent.py"])
    assert exit_status(bench.main) == 2
    assert "absent.py" in capsys.readouterr().err
