"""The diagnosing command."""

import json
from functools import partial

import cv2
import pytest
from tiny import tiny_config, write_run

from mapllava.__main__ import run_command

main = partial(run_command, "diagnose")

PICTURES = {"ablations.png", "attention.png", "spectrum.png", "gradient.png"}


@pytest.fixture
def checkpoint(tmp_path, city, city_cache):
    return write_run(tmp_path / "run", tiny_config(city, city_cache, decoder="llm"))


def test_writes_tables_json_and_pictures_beside_the_checkpoint(checkpoint, capsys):
    assert main([str(checkpoint), "--device", "cpu", "--max-samples", "4"]) == 0
    folder = checkpoint.parent / "diagnosis"
    assert {path.name for path in folder.iterdir()} == PICTURES | {"diagnosis.json"}
    for name in PICTURES:
        picture = cv2.imread(str(folder / name))
        assert picture.shape[1] == 1100
        assert picture.std() > 5
    found = json.loads((folder / "diagnosis.json").read_text())
    assert found["samples"] == 4
    assert found["checkpoint"] == str(checkpoint)
    assert isinstance(found["findings"], list)
    text = capsys.readouterr().out
    assert "Ablations, Chamfer AP in %: split v1.0-mini val" in text
    assert str(folder / "gradient.png") in text
    assert {path.name for path in checkpoint.parent.iterdir()} == {
        "best_model.pth",
        "config.json",
        "diagnosis",
    }


def test_what_is_skipped_is_not_written(checkpoint, tmp_path):
    out = tmp_path / "elsewhere"
    skip = ["--skip", "ablations", "probes", "rank", "gradient"]
    assert (
        main([str(checkpoint), "--split", "train", "--max-samples", "3", "--out-dir", str(out), *skip]) == 0
    )
    assert {path.name for path in out.iterdir()} == {"attention.png", "diagnosis.json"}
    assert json.loads((out / "diagnosis.json").read_text())["split"] == "v1.0-mini train"


@pytest.mark.parametrize(
    ("spoil", "arguments", "message"),
    [
        (lambda run: None, ["none.pth"], "checkpoint 'none.pth' is not there"),
        (lambda run: (run / "config.json").unlink(), [], "--config FILE"),
        (
            lambda run: (run / "best_model.pth").write_bytes(b"no weights"),
            [],
            "it is cut short, or no file of its kind",
        ),
        (lambda run: (run / "diagnosis").write_text("a file"), [], "name a folder with --out-dir"),
        (lambda run: None, ["--cfg-options", "data_root=/nowhere"], "/nowhere"),
        (lambda run: None, ["--device", "cuda:77"], "try --device cpu"),
        (lambda run: None, ["--plugins", "no_such_module"], "plug-in 'no_such_module'"),
    ],
)
def test_mistakes_give_one_message_and_status_2(checkpoint, capsys, spoil, arguments, message):
    spoil(checkpoint.parent)
    named = arguments[:1] if arguments and not arguments[0].startswith("-") else [str(checkpoint)]
    assert (
        main([*named, "--max-samples", "2", *arguments[len(named) if named == arguments[:1] else 0 :]]) == 2
    )
    text = capsys.readouterr().err
    assert message in text
    assert "Traceback" not in text


def test_a_negative_number_of_samples_and_unknown_sections_are_refused(checkpoint, capsys):
    assert main([str(checkpoint), "--max-samples", "-1"]) == 2
    assert "--max-samples -1" in capsys.readouterr().err
    for arguments in (["--skip", "colour"], ["--split", "holiday"]):
        with pytest.raises(SystemExit) as status:
            main([str(checkpoint), *arguments])
        assert status.value.code == 2
    assert "invalid choice" in capsys.readouterr().err
