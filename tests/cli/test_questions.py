import json

import pytest

from mapllava import gt_cache
from mapllava.__main__ import run_command
from mapllava.evaluation import save_results
from tests.cli.moved_truth import moved_truth


def run(name, *arguments):
    return run_command(f"questions {name}", [str(a) for a in arguments])


@pytest.fixture(scope="module")
def files(city_cache, tmp_path_factory):
    """Cache, results of a good model, questions and our answers."""
    folder = tmp_path_factory.mktemp("asked")
    cache = city_cache["val"]
    results = save_results(folder / "run.results.json", moved_truth(gt_cache.load(cache), 0.1))
    questions, answers = folder / "val.questions.json", folder / "run.answers.json"
    assert run("create", cache, "--out", questions, "--per-kind", 6) == 0
    assert run("answer", questions, results, "--out", answers, "--true-requests") == 0
    return cache, results, questions, answers


def test_questions_are_made_answered_and_scored_from_files(files, tmp_path, capsys):
    cache, results, questions, answers = files
    out = tmp_path / "score.json"
    more = ("--cache", cache, "--results", results, "--bootstrap", 20, "--json", out)
    assert run("score", questions, answers, *more) == 0
    text = capsys.readouterr().out
    assert f"true requests on {results.name}: questions answered right in %: split val of v1.0-mini" in text
    assert (
        "Drawing what is asked, truth cut by the request: Chamfer AP in %: split val of v1.0-mini, " in text
    )
    values = json.loads(out.read_text())
    assert values["right"]["true map"]["mean"] == 1
    assert values["consistent"] >= 0.95
    assert values["drawing"]["outside"] == 0


def test_samples_without_a_prediction_are_counted_and_told(files, tmp_path, capsys):
    _, results, questions, answers = files
    body = json.loads(results.read_text())
    asked = {question["sample_token"] for question in json.loads(questions.read_text())["questions"]}
    del body["results"][min(asked)]
    body.get("samples", {}).pop(min(asked), None)
    part = tmp_path / "part.results.json"
    part.write_text(json.dumps(body))
    told = f"1 of {len(asked)} samples have no prediction: empty maps"
    assert run("answer", questions, part, "--out", tmp_path / "part.answers.json", "--true-requests") == 0
    assert told in capsys.readouterr().out
    more = ("--results", part, "--bootstrap", 0, "--json", tmp_path / "score.json")
    assert run("score", questions, tmp_path / "part.answers.json", *more) == 0
    assert told in capsys.readouterr().out
    assert json.loads((tmp_path / "score.json").read_text())["num_missing"] == 1
    assert run("score", questions, answers, "--results", results, "--bootstrap", 0) == 0
    assert "no prediction" not in capsys.readouterr().out


def test_the_status_tells_whether_enough_is_right(files):
    _, _, questions, answers = files
    assert run("score", questions, answers, "--bootstrap", 0, "--at-least", 1) == 0
    assert run("score", questions, answers, "--bootstrap", 0, "--at-least", 101) == 1


def test_without_any_question_of_a_value_nothing_is_enough(files, tmp_path, capsys):
    cache, results, *_ = files
    drawn, answers = tmp_path / "drawn.questions.json", tmp_path / "drawn.answers.json"
    assert run("create", cache, "--out", drawn, "--per-kind", 2, "--kinds", "draw") == 0
    assert run("answer", drawn, results, "--out", answers, "--true-requests") == 0
    assert run("score", drawn, answers, "--at-least", 1) == 1
    assert "answered: - of 0 questions" in capsys.readouterr().out


def test_what_does_not_fit_is_one_message_and_status_2(files, city_cache, tmp_path, capsys):
    cache, _, questions, answers = files
    other = city_cache["train"]
    assert run("score", questions, answers, "--cache", other) == 2
    assert "give the cache they were made from" in capsys.readouterr().err
    assert run("score", answers, answers) == 2
    assert "mapllava questions create" in capsys.readouterr().err
    assert run("create", cache, "--out", tmp_path / "x.json", "--per-kind", 0) == 2
    assert "ask at least 1" in capsys.readouterr().err
    assert not (tmp_path / "x.json").exists()
