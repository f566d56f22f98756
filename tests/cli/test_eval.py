import json

import numpy as np
import pytest

from mapllava import gt_cache
from mapllava.__main__ import run_command
from mapllava.evaluation import load_results, save_results
from tests.cli.moved_truth import moved_truth


@pytest.fixture(scope="module")
def cache(city_cache):
    return next(iter(city_cache.values()))


@pytest.fixture(scope="module")
def files(cache, tmp_path_factory):
    """Results of two models on the cache: the ground truth moved by 0.1 m, and by 1 m."""
    content, out = gt_cache.load(cache), {}
    for name, sigma in (("good", 0.1), ("bad", 1.0)):
        results = moved_truth(content, sigma)
        for entry in results.results.values():
            entry["points"] = [np.clip(points, -31, 31) for points in entry["points"]]
        out[name] = save_results(tmp_path_factory.mktemp("results") / f"{name}.json", results)
    return out


def run(tool, *arguments):
    return run_command(tool, [str(a) for a in arguments])


def test_one_file(files, cache, tmp_path, capsys):
    out = tmp_path / "new" / "score.json"
    arguments = ("--measures", "chamfer", "f1", "ece", "--bootstrap", 0, "--json", out)
    assert run("eval", files["good"], "--cache", cache, "--protocol", "strict", *arguments) == 0
    text = capsys.readouterr().out
    assert "protocol strict (0.2 m, 0.5 m, 1 m)" in text
    assert "Chamfer AP in %: split " in text
    values = json.loads(out.read_text())
    assert values["mAP"] > 0.5
    assert sorted(values["measures"]) == ["chamfer", "ece", "f1"]


def test_two_files_are_compared(files, cache, tmp_path, capsys):
    out = tmp_path / "difference.json"
    assert run("eval", files["bad"], files["good"], "--cache", cache, "--json", out) == 0
    text = capsys.readouterr().out
    assert f"{files['good']} minus {files['bad']}" in text
    assert json.loads(out.read_text())["difference"]["mAP"] > 0
    assert text.rstrip().splitlines()[-1] == json.loads(out.read_text())["verdict"]


@pytest.mark.parametrize("kind", ["maptr", "streammapnet", "maptracker"])
def test_a_converted_file_scores_the_same(files, cache, tmp_path, capsys, kind):
    foreign, ours = tmp_path / "foreign.json", tmp_path / "ours.json"
    scores = tmp_path / "a.json", tmp_path / "b.json"
    assert run("convert results", files["good"], foreign, "--to", kind, "--cache", cache) == 0
    assert run("convert results", foreign, ours, "--to", "mapllava", "--cache", cache) == 0
    for path, score in zip((files["good"], foreign), scores, strict=True):
        assert run("eval", path, "--cache", cache, "--bootstrap", 0, "--json", score) == 0
    one, two = (json.loads(score.read_text()) for score in scores)
    np.testing.assert_allclose(one["ap"], two["ap"], atol=1e-3)
    back, start = load_results(ours), load_results(files["good"])
    assert (back.split, back.version, back.map_spec) == (start.split, start.version, start.map_spec)
    token = next(token for token, m in start.results.items() if m["points"])
    np.testing.assert_allclose(back.results[token]["points"][0], start.results[token]["points"][0], atol=2e-4)
    count, lines = len(start.results), sum(len(m["labels"]) for m in start.results.values())
    assert f"{count} samples with {lines} lines written to {foreign}\n" in capsys.readouterr().out


@pytest.mark.parametrize(("kind", "written"), [("maptr", 12), ("streammapnet", 1)])
def test_conversion_counts_what_the_file_holds(files, cache, tmp_path, capsys, kind, written):
    body = json.loads(files["good"].read_text())
    body["results"] = dict(list(body["results"].items())[:1])
    (one := tmp_path / "one.json").write_text(json.dumps(body))
    assert run("convert results", one, tmp_path / "x.json", "--to", kind, "--cache", cache) == 0
    printed = capsys.readouterr().out
    (lines,) = (len(m["labels"]) for m in body["results"].values())
    assert f"{written} samples with {lines} lines written to" in printed
    assert f"{len(gt_cache.load(cache)['data_list']) - 1} samples of the GT cache are not in" in printed
    assert len(json.loads((tmp_path / "x.json").read_text())["results"]) == written


@pytest.mark.parametrize(
    ("to", "old", "new", "words"),
    [
        ("mapllava", '"classes":', '"classes":5,"was":', "classes 5 must be a list of names"),
        ("mapllava", '"split":', '"split":"val","was":', "predicted on split val"),
        ("mapllava", '"version":', '"version":"v1.0-trainval","was":', "predicted on version v1.0-trainval"),
        ("maptr", '"pts":', '"pts":5,"was":', "vectors[0].pts is 5, not a list"),
        (
            "maptr",
            '"confidence_level":',
            '"confidence_level":NaN,"was":',
            "vectors[0].confidence_level is nan",
        ),
        ("streammapnet", '"labels":', '"labels":3,"was":', "'labels' is 3, not a list"),
    ],
)
def test_a_damaged_file_is_one_message_and_status_2(files, cache, tmp_path, capsys, to, old, new, words):
    whole, damaged = tmp_path / "whole.json", tmp_path / "damaged.json"
    assert run("convert results", files["good"], whole, "--to", to, "--cache", cache) == 0
    damaged.write_text(whole.read_text().replace(old, new))
    capsys.readouterr()
    target = tmp_path / "x.json"
    assert run("convert results", damaged, target, "--to", "maptracker", "--cache", cache) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: results file '{damaged}'")
    assert words in error
    assert run("eval", damaged, "--cache", cache) == 2
    assert capsys.readouterr().err == error
    assert not target.exists()


def test_what_does_not_fit_is_one_message_and_status_2(files, cache, tmp_path, capsys):
    broken = tmp_path / "broken.json"
    broken.write_text(files["good"].read_text().replace('"split":"', '"split":"other_'))
    assert run("eval", broken, "--cache", cache) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: results file '{broken}': it was predicted on split other_")
    assert run("eval", tmp_path / "none.json", "--cache", cache) == 2
    assert "none.json' cannot be read" in capsys.readouterr().err
    assert (
        run("convert results", broken, tmp_path / "x.json", "--to", "maptr", "--cache", tmp_path / "no.pkl")
        == 2
    )
    assert "no.pkl does not exist" in capsys.readouterr().err
    assert run("eval", "a", "b", "c", "--cache", cache) == 2
    assert "3 results files: give one, or two to compare" in capsys.readouterr().err
