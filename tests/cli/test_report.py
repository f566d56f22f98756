import html
import json
import re

import pytest

from mapllava import gt_cache
from mapllava.__main__ import run_command
from mapllava.evaluation import save_results
from tests.cli.moved_truth import moved_truth


@pytest.fixture(scope="module")
def files(city_cache, tmp_path_factory):
    """Results on the validation cache: the ground truth moved a little, and more."""
    content = gt_cache.load(city_cache["val"])
    folder, out = tmp_path_factory.mktemp("results"), []
    for name, sigma in (("good", 0.1), ("bad", 1.0)):
        out.append(save_results(folder / f"{name}.results.json", moved_truth(content, sigma)))
    return out


def run(tool, *arguments):
    return run_command(tool, [str(a) for a in arguments])


def test_the_page_of_one_file_has_the_score_of_eval(files, city_cache, tmp_path, capsys):
    page, score = tmp_path / "new" / "report.html", tmp_path / "score.json"
    assert run("report", files[0], "--cache", city_cache["val"], "--out", page) == 0
    assert str(page) in capsys.readouterr().out
    assert run("eval", files[0], "--cache", city_cache["val"], "--json", score) == 0
    values, text = json.loads(score.read_text()), page.read_text()
    assert f"<span>{100 * values['mAP']:.1f}</span> mAP" in text
    low, high = values["interval_95"]["mAP"]
    assert f"95 % interval {100 * low:.1f} to {100 * high:.1f}" in text
    for index, row in enumerate(values["ap"]):
        cells = re.findall(rf'<th scope="row">{values["class_names"][0]}</th>(.*?)</tr>', text)[0]
        assert f"<td>{100 * row[0]:.1f}</td>" in cells, index


def test_two_files_get_eval_s_verdict(files, city_cache, tmp_path, capsys):
    page, score = tmp_path / "report.html", tmp_path / "score.json"
    assert run("report", *files, "--cache", city_cache["val"], "--out", page) == 0
    assert run("eval", *files, "--cache", city_cache["val"], "--json", score) == 0
    assert json.loads(score.read_text())["verdict"] in page.read_text()
    assert "There are 2 scenes only" in page.read_text()


def test_without_a_cache_it_shows_predictions_alone(files, tmp_path):
    page = tmp_path / "report.html"
    assert run("report", files[0], "--out", page) == 0
    text = " ".join(page.read_text().split())
    assert "no truth to compare with" in text
    assert "forward is up. Classes differ" in text
    assert "its class, score and length.</p>" in text
    assert "count in the score" not in text
    body = json.loads(files[0].read_text())["results"].values()
    drawn = sum(score >= 0.3 for entry in body for score in entry["scores"])
    assert f"<span>{drawn}</span> lines are drawn in {len(body)} samples" in text


def test_the_page_says_that_a_prompt_has_cut_the_maps(files, tmp_path):
    body = json.loads(files[0].read_text())
    body["prompt"] = {"text": "kerbs, please", "request": "draw: boundary"}
    (tmp_path / "cut.json").write_text(json.dumps(body))
    assert run("report", tmp_path / "cut.json", "--out", tmp_path / "report.html") == 0
    text = html.unescape((tmp_path / "report.html").read_text())
    assert "draw: boundary ('kerbs, please'): the maps hold what it asked for alone, no whole maps" in text


def test_without_a_cache_samples_of_either_file_are_shown_and_counted(files, tmp_path):
    """The page shows all samples of both; it says how many each file holds."""
    parts = []
    for number, path in enumerate(files):
        body = json.loads(path.read_text())
        body["results"] = dict(list(body["results"].items())[number : number + 2])
        parts.append(tmp_path / f"{number}.json")
        parts[-1].write_text(json.dumps(body))
    assert run("report", *parts, "--out", tmp_path / "report.html") == 0
    text = (tmp_path / "report.html").read_text()
    assert "3: 2 in A, 2 in B, 1 in both" in text
    assert "> of 3</label>" in text


def test_a_cache_of_another_split_is_refused_as_by_eval(files, city_cache, tmp_path, capsys):
    page = tmp_path / "report.html"
    assert run("report", files[0], "--cache", city_cache["train"], "--out", page) == 2
    said = capsys.readouterr().err
    assert run("eval", files[0], "--cache", city_cache["train"]) == 2
    assert said == capsys.readouterr().err
    assert not page.exists()


def test_three_files_and_a_missing_one_are_refused(files, tmp_path, capsys):
    assert run("report", *files, files[0]) == 2
    assert "one, or two to compare" in capsys.readouterr().err
    assert run("report", tmp_path / "none.json") == 2
    assert "none.json" in capsys.readouterr().err
