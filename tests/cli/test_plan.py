"""The planner's command line, on the tiny model."""

import json
from functools import partial
from pathlib import Path

import pytest

from mapllava.__main__ import run_command

main = partial(run_command, "plan")

CONFIG = str(Path(__file__).parents[2] / "configs" / "stage2" / "synthetic.py")


@pytest.mark.slow
def test_tables_choice_and_json(tmp_path, capsys):
    out = tmp_path / "new" / "plan.json"
    assert main([CONFIG, "--batch", "2", "1", "2", "--json", str(out)]) == 0
    shown = capsys.readouterr().out
    for words in ("trainable", "TFLOP per sample", "activations", "optimiser", "chosen"):
        assert words in shown
    assert "Choose: one GPU, train_dataloader.batch_size=2; optim_wrapper.accumulative_counts=4" in shown
    found = json.loads(out.read_text())
    chosen = found["plans"][found["chosen"]]
    assert (chosen["batch"], chosen["accumulation"], chosen["fits"]) == (2, 4, True)
    assert chosen["total"] == pytest.approx(sum(chosen["memory"].values()))
    assert chosen["model_flops"] == sum(
        sum(chosen["flops"][phase].values()) for phase in ("forward", "backward")
    )
    assert sum(part["total"] for part in found["parameters"]) > 2_000_000
    assert {part["name"] for part in found["parameters"]} >= {"neck", "decoder", "head"}


def test_status_1_where_nothing_fits(capsys):
    assert main([CONFIG, "--batch", "1", "--gpu-memory", "0.5"]) == 1
    assert "Nothing fits 0.5 GiB on 1 GPU(s)" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--gpus", "0"], "--gpus is 0: use a positive number"),
        (["--gpu-memory", "-1"], "--gpu-memory is -1.0: use a positive number"),
        (["--batch", "1", "0"], "--batch is 0: use a positive number"),
        (["--cfg-options", "model.decoder.architecture.model_type=nonsense"], "nonsense"),
    ],
)
def test_bad_input_is_explained(options, message, capsys):
    assert main([CONFIG, *options]) == 2
    assert message in capsys.readouterr().err
