"""`mapllava ask`: answers with the lines that they rest on, from a model or from a results file alone."""

import json
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from mapllava.__main__ import main
from mapllava.evaluation import MapResults, load_results, save_results
from mapllava.evaluation.sample_record import Display
from mapllava.language import Parsed, read_requests
from mapllava.structures import MapSpec

DISPLAY = Display(dict.fromkeys(MapSpec().classes, 0.3), "test", dict.fromkeys(MapSpec().classes, 0.5))


def line(x):
    return np.stack([np.full(5, x), np.linspace(-30, 30, 5)], axis=1)


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Two samples, nothing known of cameras."""
    one = {"points": [line(-3), line(3), line(8)], "labels": [0, 0, 2], "scores": [0.4, 0.9, 0.2]}
    two = {"points": [line(4)], "labels": [2], "scores": [0.8]}
    path = tmp_path_factory.mktemp("ask") / "x.results.json"
    return str(save_results(path, MapResults(MapSpec(), "val", {"a": one, "b": two}, display=DISPLAY)))


@pytest.fixture
def parser(monkeypatch):
    """A parser that knows one sentence in two languages."""
    known = {
        "How many dividers are left of me?": "count: divider; left",
        "左边有几条车道线？": "count: divider; left",
    }

    def parse(texts, classes):
        found = [known.get(text, "none") for text in texts]
        return [Parsed(t, read_requests(c, classes), 0.9, c) for t, c in zip(texts, found, strict=True)]

    monkeypatch.setattr("mapllava.apis.load_parser", lambda *_: SimpleNamespace(parse=parse), raising=False)


def test_a_results_file_answers_without_a_model(results, capsys):
    assert main(["ask", results, "--sample", "a", "count: divider; left", "count: divider; right"]) == 0
    said = capsys.readouterr().out
    assert "not certain" in said.split("count: divider; right")[0]
    assert "    line 0: divider, score 0.40\n" in said
    assert "not certain" not in said.split("count: divider; right")[1]
    assert "    line 1: divider, score 0.90\n" in said
    assert "boundary" not in said


def test_every_sample_is_asked_unless_one_is_named(results, capsys):
    assert main(["ask", results, "exists: boundary", "--json"]) == 0
    answers = json.loads(capsys.readouterr().out)["answers"]
    assert [(entry["sample"], entry["answers"][0]["value"]) for entry in answers] == [
        ("a", False),
        ("b", True),
    ]
    assert answers[1]["answers"][0]["cited"] == [{"index": 0, "class": "boundary", "score": 0.8}]


def test_what_is_not_understood_is_refused_and_the_rest_answered(results, parser, capsys):
    words = ["How many dividers are left of me?", "tell me a joke"]
    assert main(["ask", results, "--sample", "a", *words, "--parser", "p.pth"]) == 1
    said = capsys.readouterr().out
    assert "'tell me a joke' is not understood (taken for 'none', 90% sure). What can be asked:\n" in said
    assert "distance: ped_crossing; ahead" in said
    assert "line 0: divider" in said
    assert "understood as count: divider; left (90% sure)" in said


def test_a_question_is_answered_in_its_own_language(results, parser, capsys):
    words = ["ask", results, "--sample", "a", "--parser", "p.pth", "左边有几条车道线？"]
    assert main(words) == 0
    own = capsys.readouterr().out
    assert main([*words, "--language", "en"]) == 0
    english = capsys.readouterr().out
    assert "不确定" in own
    assert "not certain" in english


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["demo"], "then questions; --help has examples"),
        (["RESULTS"], "then questions; --help has examples"),
        (["RESULTS", "How far?"], "'How far?' is a sentence, which needs a parser"),
        (["RESULTS", "count: tree"], "class 'tree' is not one of"),
        (["RESULTS", "count: all", "--sample", "c"], "has no sample 'c', but a, b"),
        (["--demo", "count: all", "--stride", "0"], "--stride is a whole number from 1"),
    ],
)
def test_wrong_usage_says_what_to_do(results, words, message, capsys):
    assert main(["ask", *(results if word == "RESULTS" else word for word in words)]) == 2
    assert message in capsys.readouterr().err


def test_the_demo_answers_with_pictures_and_its_files_can_be_asked_again(tmp_path, monkeypatch):
    out = tmp_path / "out"
    assert main(["ask", "--demo", "count: boundary", "--out", str(out)]) == 0
    body = json.loads((out / "answers.json").read_text())
    (entry,) = body["answers"]
    results = load_results(out / body["source"])
    cited = entry["answers"][0]["cited"]
    lines = results.lines(entry["sample"])
    assert [lines.scores[one["index"]] for one in cited] == pytest.approx([one["score"] for one in cited])
    assert cv2.imread(str(out / entry["picture"])).shape[1] == 1600
    assert main(["ask", str(out / body["source"]), "count: boundary", "--out", str(tmp_path / "again")]) == 0
    again = json.loads((tmp_path / "again" / "answers.json").read_text())
    assert again["answers"][0]["answers"] == entry["answers"]
    one, two = (cv2.imread(str(folder / entry["picture"])) for folder in (out, tmp_path / "again"))
    assert float(np.abs(one.astype(float) - two).mean()) < 1
    drawn = []
    monkeypatch.setattr("mapllava.visualization.sample_figure", lambda *args, **_: drawn.append(args[4]))
    monkeypatch.setattr("mapllava.visualization.write_picture", lambda *_: None)
    words = ["ask", str(out / body["source"]), "count: boundary", "--score-thr", "0.7", "--force"]
    assert main([*words, "--out", str(tmp_path / "again")]) == 0
    assert drawn[0].thresholds == dict.fromkeys(MapSpec().classes, 0.7)  # the legend says what was asked for


def test_a_cut_map_is_not_asked(results, tmp_path, capsys):
    whole = load_results(results)
    whole.prompt = Parsed("draw: all; ahead", read_requests("draw: all; ahead", whole.map_spec.classes), 1.0,
                          "draw: all; ahead")  # fmt: skip
    path = save_results(tmp_path / "cut.json", whole)
    assert load_results(path).prompt == whole.prompt
    assert main(["ask", str(path), "count: all"]) == 2
    assert (
        "its maps are cut by the prompt 'draw: all; ahead', and answers would be" in capsys.readouterr().err
    )
