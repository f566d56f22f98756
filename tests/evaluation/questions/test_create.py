import json
from collections import Counter

import pytest

from mapllava.errors import MapLLaVAError
from mapllava.evaluation.questions import create_questions, load_questions, save_questions
from mapllava.evaluation.questions.respond import truth_of
from mapllava.language import execute, read_request
from mapllava.structures import MapSpec
from tests.evaluation.questions.small_town import questions_about, town, word

CACHE = town()


@pytest.fixture(scope="module")
def questions():
    return questions_about(CACHE, 12)


def test_a_seed_gives_the_same_questions_and_another_gives_others():
    first, again, other = (questions_about(CACHE, 3, kinds=["count"], seed=seed) for seed in (0, 0, 1))
    assert again == first
    assert other.fingerprint != first.fingerprint


def test_each_answer_is_what_the_true_map_says(questions):
    maps = truth_of(questions, CACHE)
    for question in questions.questions:
        found = execute(
            read_request(question.request, MapSpec().classes), maps(question.sample_token), MapSpec()
        )
        if question.kind != "draw":
            assert question.is_right(found.value)
            assert tuple(found.cited) == question.cited


def test_no_answer_is_usual(questions):
    """Answers of a kind are drawn alike often: none is that of most questions."""
    for kind in ("count", "exists", "distance", "lanes"):
        values = Counter(question.value for question in questions.questions if question.kind == kind)
        assert max(values.values()) <= 0.5 * sum(values.values()), kind


def test_languages_wordings_and_difficulties_take_turns(questions):
    assert len({question.id for question in questions.questions}) == len(questions.questions)
    exists = [question for question in questions.questions if question.kind == "exists"]
    assert Counter((q.language, q.part) for q in exists).most_common()[-1][1] == 2
    assert {q.difficulty for q in exists} == {"easy", "medium", "hard"}
    assert exists[0].text == word(read_request(exists[0].request, MapSpec().classes), "en", "train", None)


def test_a_distance_is_right_within_a_metre_or_a_tenth(questions):
    far = max((q for q in questions.questions if q.kind == "distance" and q.value), key=lambda q: q.value)
    assert far.value > 10
    assert far.is_right(1.09 * far.value)
    assert not far.is_right(1.11 * far.value)
    assert not far.is_right(None)


def test_what_a_map_cannot_be_asked_is_left_out_by_name():
    cache = town(2, 2)
    cache["metainfo"]["classes"] = ["divider"]
    for entry in cache["data_list"]:
        entry["polylines"] = [one for one in entry["polylines"] if one["label"] == 0]
    questions = questions_about(cache, 4)
    assert "nearest" in questions.left_out
    assert {"count", "exists", "distance"} <= {question.kind for question in questions.questions}


def test_the_file_gives_back_the_set_and_a_changed_one_is_refused(questions, tmp_path):
    path = save_questions(tmp_path / "val.questions.json", questions)
    read = load_questions(path)
    assert (read.questions, read.fingerprint) == (questions.questions, questions.fingerprint)
    body = json.loads(path.read_text())
    body["questions"][0]["answer"]["value"] = 77
    path.write_text(json.dumps(body))
    with pytest.raises(MapLLaVAError, match="has changed since it was made"):
        load_questions(path)
    body["questions"][0]["answer"]["value"] = "many"
    path.write_text(json.dumps(body))
    with pytest.raises(MapLLaVAError, match="count-0000: value 'many' is no answer to 'count'"):
        load_questions(path)


def test_another_cache_is_refused(questions):
    other = town(1, 1)
    other["metainfo"]["fingerprint"] = "0" * 64
    with pytest.raises(MapLLaVAError, match="give the cache they were made from"):
        truth_of(questions, other)


def test_unknown_arguments_name_what_there_is():
    with pytest.raises(MapLLaVAError, match=r"kind \['colour'\]: use some of count"):
        create_questions(CACHE, kinds=["colour"], word=word)


def test_a_cache_of_one_class_or_of_no_sample():
    cache = town(2, 2)
    cache["metainfo"]["classes"] = ["lane"]
    for entry in cache["data_list"]:
        entry["polylines"] = [line for line in entry["polylines"] if line["label"] == 0]
    one = questions_about(cache, 2)
    assert {q.kind for q in one.questions} == {"count", "exists", "distance", "side", "draw"}
    assert set(one.left_out) == {"nearest", "lanes", "junction"}
    cache["data_list"] = []
    with pytest.raises(MapLLaVAError, match="it holds no sample"):
        questions_about(cache, 2)
