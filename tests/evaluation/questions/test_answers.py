import json

import pytest

from mapllava.errors import MapLLaVAError
from mapllava.evaluation.questions import answer_questions, load_answers, save_answers
from mapllava.language import Parsed, Request, read_requests
from tests.evaluation.questions.small_town import CLASSES, Reader, predicted, questions_about, town

CACHE = town(2, 2)
QUESTIONS = questions_about(CACHE, 3)


@pytest.fixture
def path(tmp_path):
    answers = answer_questions(QUESTIONS, predicted(CACHE))
    return save_answers(tmp_path / "run.answers.json", answers, CLASSES)


def test_the_file_gives_back_the_answers(path):
    answers = answer_questions(QUESTIONS, predicted(CACHE))
    read = load_answers(path, QUESTIONS)
    for question in QUESTIONS.questions:
        ours, theirs = answers.of(question), read.of(question)
        assert (theirs.value, theirs.request, theirs.certain) == (ours.value, ours.request, ours.certain)
        for one, other in ((ours.cited, theirs.cited), (ours.lines, theirs.lines)):
            assert (one is None) == (other is None)
            assert one is None or one.labels.tolist() == other.labels.tolist()


def test_a_refusal_stays_one(tmp_path):
    refused = answer_questions(QUESTIONS, predicted(CACHE), Reader())
    read = load_answers(save_answers(tmp_path / "none.answers.json", refused, CLASSES), QUESTIONS)
    assert not any(read.of(question).answered for question in QUESTIONS.questions)


def test_what_is_taken_for_another_kind_of_question_has_no_answer():
    class Counts(Reader):
        def one(self, text, classes):
            request = Request("count")
            return Parsed(text, (request,), 0.9, request.text)

    answers = answer_questions(QUESTIONS, predicted(CACHE), Counts())
    answered = {question.kind for question in QUESTIONS.questions if answers.of(question).answered}
    assert answered == {"count"}
    assert all(answers.of(question).request == "count: all" for question in QUESTIONS.questions)


def test_maps_cut_by_a_prompt_are_not_taken_for_whole_ones():
    part = predicted(CACHE)
    part.prompt = Parsed(
        "draw: all; ahead", read_requests("draw: all; ahead", CLASSES), 1.0, "draw: all; ahead"
    )
    with pytest.raises(MapLLaVAError, match="cut by the prompt 'draw: all; ahead', and answers would be"):
        answer_questions(QUESTIONS, part)


def test_another_system_needs_values_only(tmp_path):
    first = next(question for question in QUESTIONS.questions if question.kind == "exists")
    body = {"format_version": 1, "questions": QUESTIONS.fingerprint, "answers": {first.id: {"value": True}}}
    (path := tmp_path / "theirs.json").write_text(json.dumps(body))
    answers = load_answers(path, QUESTIONS)
    assert answers.of(first).value is True
    assert [answers.of(question).answered for question in QUESTIONS.questions].count(True) == 1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda body: body.update(questions="abc"), "fingerprint 'abc'"),
        (
            lambda body: body["answers"].update({"count-0099": {"value": 1}}),
            "question count-0099: there is no",
        ),
        (
            lambda body: body["answers"].update({"exists-0000": {"value": "yes"}}),
            "which is true or false, or null",
        ),
        (
            lambda body: body["answers"].update({"count-0000": {"value": True}}),
            "which is a whole number, or null",
        ),
        (lambda body: body["answers"].update({"nearest-0000": {"value": "tree"}}), "one of divider, ped"),
        (
            lambda body: body["answers"].update({"draw-0000": {"lines": [{"class": "x"}]}}),
            r"lines\[0\] has no",
        ),
        (
            lambda body: body["answers"].update(
                {"draw-0000": {"lines": [{"class": "divider", "points": [[0, 0]]}]}}
            ),
            "fewer than 2 points",
        ),
        (lambda body: body.update(display={"divider": 3}), "'display' must give scores in 0..1"),
    ],
)
def test_what_is_no_answer_is_refused_by_name(path, change, words):
    body = json.loads(path.read_text())
    change(body)
    path.write_text(json.dumps(body))
    with pytest.raises(MapLLaVAError, match=words):
        load_answers(path, QUESTIONS)
