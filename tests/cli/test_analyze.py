"""Curves and comparisons of run folders, also of runs that were killed or go on."""

import json
import math
from functools import partial

import cv2
import numpy as np
import pytest

from mapllava.__main__ import run_command
from mapllava.analysis.run.run_curves import running_mean
from mapllava.analysis.run.run_record import read_run

main = partial(run_command, "analyze")


def line(step, loss, **more):
    entry = {"loss": loss, "loss_cls": loss / 2, "d0.loss_cls": loss, "lr": 1e-4, "new_lr": 1e-4}
    return {**entry, "qformer_lr": 1e-5, "grad_norm": 5.0, "grad_norm/new": 4.0, "step": step, **more}


def write_run(folder, starts=None, metrics=({"mAP": 0.2}, {"mAP": 0.5}, {"mAP": 0.4}), protocol="maptr"):
    """A run folder as training leaves it; ``starts`` are the lines of each start of the run."""
    starts = starts or [[line(step, 100.0 / step) for step in range(10, 101, 10)]]
    for number, lines in enumerate(starts):
        data = folder / f"2026010{number}_120000" / "vis_data"
        data.mkdir(parents=True)
        (data / "scalars.json").write_text("".join(json.dumps(entry) + "\n" for entry in lines))
    config = {"val_evaluator": {"protocol": protocol}, "custom_hooks": [{"type": "WarmupEMAHook"}]}
    (folder / "config.json").write_text(json.dumps(config))
    entries = [
        {"stage": "val", "split": "v1.0-mini val", "epoch": epoch, "metrics": values}
        for epoch, values in enumerate(metrics, start=1)
    ]
    (folder / "metrics.json").write_text(json.dumps(entries))
    return folder


def test_one_run_is_drawn_and_told_with_split_and_protocol(tmp_path, capsys):
    run = write_run(tmp_path / "map_detection_a")
    assert main([str(run), "--json", str(tmp_path / "out.json")]) == 0
    text = capsys.readouterr().out
    assert "map_detection_a: split v1.0-mini val, protocol maptr, averaged weights (EMA)" in text
    assert cv2.imread(str(run / "curves.png")).shape == (1116, 1680, 3)
    (facts,) = json.loads((tmp_path / "out.json").read_text())
    assert facts["values"]["mAP"] == {"last": 0.4, "last_at": 3, "highest": 0.5, "at": 2}
    assert facts["values"]["loss"] == {"last": 1.0, "last_at": 100, "lowest": 1.0, "at": 100}
    assert {"grad_norm/all", "grad_norm/new", "lr/new", "lr/qformer"} <= set(facts["values"])
    assert (facts["split"], facts["protocol"], facts["notes"]) == ("v1.0-mini val", "maptr", [])
    assert "50.00 %" in text
    assert "d0.loss_cls" not in text


def test_raw_and_averaged_scores_are_two_curves(tmp_path):
    run = write_run(
        tmp_path / "run", metrics=[{"mAP": 0.3, "raw/mAP": 0.1, "AP_divider": 0.9, "mAP@0.5": 0.2}]
    )
    assert {name: curve.y for name, curve in read_run(run).scores.items()} == {"mAP": [0.3], "raw/mAP": [0.1]}


def test_several_runs_share_one_picture(tmp_path, capsys):
    runs = [
        write_run(tmp_path / name, protocol=protocol) for name, protocol in (("a", "maptr"), ("b", "av2"))
    ]
    single, both = tmp_path / "a.png", tmp_path / "both.png"
    assert main([str(runs[0]), "--out", str(single)]) == 0
    assert main([*map(str, runs), "--out", str(both), "--linear"]) == 0
    text = capsys.readouterr().out
    assert "a: split v1.0-mini val, protocol maptr" in text
    assert "b: split v1.0-mini val, protocol av2" in text
    assert not np.array_equal(cv2.imread(str(single)), cv2.imread(str(both)))


def test_a_resumed_run_is_one_curve_and_its_newer_steps_count(tmp_path):
    first = [line(step, 9.0) for step in (10, 20, 30, 40)]
    second = [line(step, 1.0) for step in (30, 40, 50)]
    curve = read_run(write_run(tmp_path / "run", [first, second])).losses["loss"]
    assert curve.x == [10, 20, 30, 40, 50]
    assert curve.y == [9.0, 9.0, 1.0, 1.0, 1.0]


def test_a_last_line_that_was_cut_off_is_left_out_with_a_note(tmp_path, capsys):
    run = write_run(tmp_path / "run")
    (file,) = run.glob("*/vis_data/scalars.json")
    file.write_text(file.read_text()[:-20])
    assert main([str(run)]) == 0
    assert "the last line is cut off" in capsys.readouterr().out
    assert read_run(run).losses["loss"].x[-1] == 90


def test_what_is_not_finite_is_drawn_around_and_null_in_json(tmp_path):
    run = write_run(tmp_path / "run", [[line(10, 2.0), line(20, math.nan, grad_norm=math.inf)]])
    assert main([str(run), "--json", str(tmp_path / "out.json")]) == 0
    (facts,) = json.loads((tmp_path / "out.json").read_text())
    assert facts["values"]["loss"] == {"last": None, "last_at": 20, "lowest": 2.0, "at": 10}


def test_without_metrics_or_config_the_scalars_speak_and_a_note_says_so(tmp_path):
    run = write_run(tmp_path / "run", [[line(10, 2.0), {"mAP": 0.25, "step": 1}]])
    (run / "metrics.json").unlink()
    (run / "config.json").write_text("{")
    record = read_run(run)
    assert record.scores["mAP"].y == [0.25]
    assert [note.split("run/")[1].split(" ")[0] for note in record.notes] == ["config.json", "metrics.json"]


def broken_line(folder):
    (file,) = write_run(folder).glob("*/vis_data/scalars.json")
    file.write_text("{broken\n" + file.read_text())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda folder: None, "run' is not there; beside it lie other"),
        (lambda folder: folder.mkdir(), "has no <time>/vis_data/scalars.json: is it a run folder"),
        (lambda folder: write_run(folder, [[{"memory": 3, "step": 1}]]), "holds no loss and no score"),
        (broken_line, "scalars.json' line 1 is no JSON"),
        (lambda folder: write_run(folder, [[[1]], []]), "line 1 is no JSON object"),
    ],
)
def test_mistakes_give_one_message_and_status_2(tmp_path, capsys, make, message):
    write_run(tmp_path / "other")
    make(tmp_path / "run")
    assert main([str(tmp_path / "run")]) == 2
    text = capsys.readouterr().err
    assert message in text
    assert text.startswith("error: ")


def test_the_same_run_twice_and_a_picture_that_cannot_be_written_are_refused(tmp_path, capsys):
    run = write_run(tmp_path / "run")
    assert main([str(run), f"{run}/../run"]) == 2
    assert "given twice" in capsys.readouterr().err
    (tmp_path / "file").touch()
    assert main([str(run), "--out", str(tmp_path / "file" / "x.png")]) == 2
    assert "cannot be written" in capsys.readouterr().err


def test_the_running_mean_keeps_straight_lines_and_short_curves():
    straight = np.linspace(3.0, 9.0, 200)
    np.testing.assert_allclose(running_mean(straight), straight)
    assert running_mean([5.0, 1.0]).tolist() == [5.0, 1.0]
    spike = np.zeros(100)
    spike[50] = 5.0
    assert running_mean(spike).sum() == pytest.approx(5.0)
    assert running_mean(spike).max() == pytest.approx(1.0)
