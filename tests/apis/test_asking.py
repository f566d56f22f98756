"""Canonical texts are read as they are, sentences by a parser; nothing is guessed."""

import re
from types import SimpleNamespace

import numpy as np
import pytest

import mapllava
from mapllava.apis import MapInferencer
from mapllava.apis.asking import _NAMES, NotUnderstoodError, refusal, understand, what_can_be_asked
from mapllava.apis.demo_files import model_file, sample_folder
from mapllava.errors import MapLLaVAError
from mapllava.evaluation.answering import shown_places
from mapllava.language import Parsed, read_requests
from mapllava.language.request import KINDS
from mapllava.language.wording.tables import sections
from mapllava.sources.folder import open_input

CLASSES = ("divider", "ped_crossing", "boundary")
KNOWN = {
    "crossings and road edges within 20 m ahead": "draw: ped_crossing, boundary; ahead; within 20 m",
    "How far is the next crossing?": "distance: ped_crossing; ahead",
}


def parse(texts, classes):
    found = [KNOWN.get(text, "none") for text in texts]
    return [Parsed(t, read_requests(c, classes), 0.75, c) for t, c in zip(texts, found, strict=True)]


PARSER = SimpleNamespace(parse=parse)


def test_canonical_texts_need_no_parser():
    parsed = understand(" count: divider; left ", CLASSES)
    assert (parsed.canonical, parsed.confidence) == ("count: divider; left", 1.0)
    assert parsed.requests == read_requests("count: divider; left", CLASSES)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "nothing is asked"),
        ("count: tree", "class 'tree' is not one of divider"),
        ("lanes:; ahead left", "'lanes' ahead are counted at a distance: add one, such as 'at 20 m'"),
        ("How far is it?", r"take the package's .*, train one .*--parser FILE.* 'distance: ped_crossing"),
    ],
)
def test_what_cannot_be_read_says_what_to_do(text, message):
    with pytest.raises(MapLLaVAError, match=message):
        understand(text, CLASSES)


def test_what_the_parser_does_not_understand_is_refused_with_what_it_was_taken_for():
    with pytest.raises(NotUnderstoodError, match=r"'hello' is not understood \(taken for 'none', 75% sure"):
        understand("hello", CLASSES, PARSER)
    told = refusal(Parsed("你好", (), 0.6, "count: divider"), CLASSES, "zh")
    assert told.startswith("没有听懂“你好”（最接近“count: divider”，把握 60%）")


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("classes", [CLASSES, ("lane",)])
def test_every_kind_has_an_example_that_can_be_asked(language, classes):
    told = what_can_be_asked(classes, language)
    examples = re.findall(rf"  ((?:{'|'.join(KINDS)}):.*)", told)
    assert [understand(text, classes).requests[0].kind for text in examples] == list(KINDS)
    assert all(name in told for name in classes)
    if language == "en":
        assert f"how many {'crossings' if len(classes) > 1 else 'lanes'} are there on the left?" in told
        assert f"how far is the next {'crossing' if len(classes) > 1 else 'lane'}?" in told


@pytest.fixture(scope="module")
def inferencer():
    return MapInferencer(mapllava.load_model(model_file(), device="cpu", parser=PARSER))


@pytest.fixture(scope="module")
def sample():
    return next(iter(open_input(sample_folder())))


@pytest.fixture(scope="module")
def whole(inferencer, sample):
    return inferencer(sample)


def test_a_prompt_draws_what_is_asked_for_of_the_whole_map(inferencer, sample, whole):
    found = inferencer(sample, prompt="crossings and road edges within 20 m ahead")
    assert found.prompt.canonical == "draw: ped_crossing, boundary; ahead; within 20 m"
    there = shown_places(whole.lines, CLASSES, inferencer.predictor.display)
    assert 0 < len(found.lines.points) < len(there) < len(whole.lines.points)
    points = np.concatenate(found.lines.points)
    assert (points[:, 1] >= -1e-9).all()
    assert np.hypot(*points.T).max() <= 20 + 1e-6
    assert set(found.lines.labels) <= {1, 2}
    with pytest.raises(MapLLaVAError, match="is cut by the prompt 'draw: ped_crossing"):
        inferencer.answer(found, "count: all")


def test_answers_rest_on_lines_of_the_whole_map(inferencer, sample, whole):
    (far,) = inferencer.ask(sample, question="How far is the next crossing?")
    assert far.unit == "m"
    (place,) = far.cited
    assert whole.lines.labels[place] == 1
    assert far.scores == pytest.approx([whole.lines.scores[place]])
    assert far.value == pytest.approx(np.hypot(*whole.lines.points[place].T).min(), abs=0.3)
    (again,) = inferencer.answer(whole, "distance: ped_crossing; ahead")
    assert (again.value, again.cited) == (far.value, far.cited)


def test_images_and_matrices_can_be_asked_too(inferencer, sample):
    predictor = inferencer.predictor
    prepared = inferencer.prepare(sample)["data_samples"].metainfo
    images, camera = sample.images, (prepared["ori_cam2img"], prepared["lidar2cam"])
    (count,) = predictor.ask(images, *camera, "count: boundary")
    lines = predictor.predict(images, *camera, prompt="draw: boundary")
    assert count.value == len(lines.points) > 0
    with pytest.raises(MapLLaVAError, match="'count: boundary' is a question"):
        predictor.predict(images, *camera, prompt="count: boundary")


def test_all_lines_count_where_the_predictor_is_told_so(inferencer, whole, monkeypatch):
    from mapllava.evaluation.formats.geojson import ALL_LINES

    monkeypatch.setattr(inferencer.predictor, "display", ALL_LINES)
    (count,) = inferencer.answer(whole, "count: all")
    assert count.value == len(whole.lines.points)


@pytest.mark.parametrize("place", [0, 1], ids=["en", "zh"])
def test_what_can_be_asked_is_said_in_words_that_parsers_are_trained_on(place):
    for name, words in _NAMES.items():
        known = sections(("en", "zh")[place])[f"class {name}"].known
        assert words[place] in [entry.split(" | ")[0] for entry in known]
