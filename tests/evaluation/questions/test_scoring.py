from dataclasses import replace

import numpy as np
import pytest

from mapllava.errors import MapLLaVAError
from mapllava.evaluation.questions import answer_questions, score_answers
from mapllava.evaluation.questions.answers import AnswerSet, GivenAnswer
from mapllava.evaluation.questions.report import question_score_values, question_text, question_values
from mapllava.evaluation.questions.respond import truth_of
from mapllava.evaluation.sample_record import Display
from mapllava.structures import MapSpec
from tests.evaluation.questions.small_town import CLASSES, Reader, predicted, questions_about, town

CACHE = town()
QUESTIONS = questions_about(CACHE)
TRUTH = truth_of(QUESTIONS, CACHE)


def scored(results, parser=None, **options):
    answers = answer_questions(QUESTIONS, results, parser)
    return score_answers(QUESTIONS, answers, TRUTH, results, num_draws=options.pop("num_draws", 0), **options)


def test_a_perfect_map_and_the_true_requests_are_all_right():
    score = scored(predicted(CACHE), num_draws=50)
    assert all(score.share("answers", kind) == 1 for kind in score.kinds)
    assert score.interval("answers") == (1.0, 1.0)
    assert (score.consistent, score.understood) == (1.0, 1.0)
    assert (score.citations["precision"], score.citations["recall"]) == (1.0, 1.0)
    assert score.drawing.drawn["mAP"] == pytest.approx(1.0)
    assert (score.drawing.outside, score.drawing.full["mAP"]) == (0, score.drawing.drawn["mAP"])
    assert score.share("majority") < 0.8


def test_what_the_map_lacks_is_wrong_and_the_true_map_has_it():
    score = scored(predicted(CACHE, drop=(0,)))
    assert score.share("answers", "count") < 1
    assert score.share("true map") == 1
    assert score.citations["recall"] < 1
    assert score.consistent == 1.0


def test_what_is_not_understood_is_wrong_and_counted_by_wording():
    score = scored(predicted(CACHE), Reader("en"))
    assert score.share("answers", language="en") == 1
    assert score.share("answers", language="zh") == 0
    assert score.share("true request") == 1
    assert score.answered.mean() == pytest.approx(0.5, abs=0.05)
    assert score.drawing.drawn["mAP"] < score.drawing.full["mAP"]
    for (language, _), (drawn, whole) in score.drawing.map_by_wording.items():
        assert np.isnan(drawn) or drawn == (whole if language == "en" else 0)
    shown = {language for (language, _), (_, whole) in score.drawing.map_by_wording.items() if whole > 0}
    assert shown == {"en", "zh"}


def test_the_mean_is_of_kinds_and_not_of_questions():
    few = tuple(q for q in QUESTIONS.questions if q.kind == "count")[:1]
    some = replace(QUESTIONS, questions=few + tuple(q for q in QUESTIONS.questions if q.kind == "exists"))
    wrong = {q.id: GivenAnswer(value=not q.value) for q in some.questions if q.kind == "exists"}
    answers = AnswerSet(some.fingerprint, "half", {few[0].id: GivenAnswer(value=few[0].value), **wrong})
    assert score_answers(some, answers, num_draws=0).share("answers") == 0.5


def test_the_majority_is_learnt_from_other_questions_if_they_are_given():
    habits = replace(QUESTIONS, questions=tuple(replace(q, value=None) for q in QUESTIONS.questions))
    answers = AnswerSet(QUESTIONS.fingerprint, "none", {})
    score = score_answers(QUESTIONS, answers, habits=habits, num_draws=0)
    nothing = np.mean([q.value is None for q in score.questions if q.kind == "distance"])
    assert score.share("majority", "distance") == pytest.approx(nothing)
    assert score.share("majority", "exists") == 0


def test_a_majority_learnt_on_other_maps_is_refused():
    for other in (MapSpec("ego", (-30.0, -15.0, 30.0, 15.0)), MapSpec(classes=CLASSES[:2])):
        habits = replace(QUESTIONS, map_spec=other)
        with pytest.raises(
            MapLLaVAError, match="training split's GT cache of the same frame, region and cla"
        ):
            score_answers(QUESTIONS, AnswerSet(QUESTIONS.fingerprint, "none", {}), habits=habits, num_draws=0)


def test_answers_that_do_not_follow_from_what_they_cite_are_inconsistent():
    answers = answer_questions(QUESTIONS, predicted(CACHE))
    changed = {
        q.id: replace(answers.of(q), value=answers.of(q).value + 1) if q.kind == "count" else answers.of(q)
        for q in QUESTIONS.questions
    }
    score = score_answers(QUESTIONS, replace(answers, answers=changed), TRUTH, num_draws=0)
    assert score.consistent == pytest.approx(1 - 6 / len(score.questions))


def test_lines_drawn_beside_what_was_asked_are_counted():
    whole = {
        q.id: GivenAnswer(
            lines=replace(TRUTH(q.sample_token), scores=np.ones(len(TRUTH(q.sample_token).points)))
        )
        for q in QUESTIONS.questions
        if q.kind == "draw"
    }
    answers = AnswerSet(QUESTIONS.fingerprint, "all of it", whole)
    drawing = score_answers(QUESTIONS, answers, TRUTH, num_draws=0).drawing
    assert 0.3 < drawing.share_outside < 1
    assert drawing.drawn["mAP"] < 1
    one = next(q for q in QUESTIONS.questions if q.kind == "draw")
    others = {key: answer for key, answer in whole.items() if key != one.id}
    less = score_answers(QUESTIONS, replace(answers, answers=others), TRUTH, num_draws=0).drawing
    wording = (one.language, one.part)
    assert drawing.by_wording[wording][0] - less.by_wording[wording][0] == len(whole[one.id].lines.points)
    assert all(
        less.by_wording[key] == drawing.by_wording[key] for key in drawing.by_wording if key != wording
    )
    low = AnswerSet(QUESTIONS.fingerprint, "hidden", whole, dict.fromkeys(CLASSES, 1.0))
    hidden = replace(
        low,
        answers={k: replace(a, lines=replace(a.lines, scores=a.lines.scores / 2)) for k, a in whole.items()},
    )
    assert score_answers(QUESTIONS, hidden, TRUTH, num_draws=0).drawing.confident == 0


def test_certain_and_uncertain_answers_are_told_apart():
    results = predicted(CACHE, drop=(1,))
    results.display = Display(dict.fromkeys(CLASSES, 0.1), "by hand", dict.fromkeys(CLASSES, 0.95))
    score, answers = scored(results), answer_questions(QUESTIONS, results)
    for name, certain in (("certain", True), ("not certain", False)):
        mine = [q for q in score.questions if answers.of(q).certain is certain]
        right = np.mean([q.is_right(answers.of(q).value) for q in mine])
        assert score.certainty[name] == (len(mine), pytest.approx(right))


def test_tables_and_values_name_what_was_measured():
    answers = answer_questions(QUESTIONS, predicted(CACHE), system="our map")
    score = score_answers(QUESTIONS, answers, TRUTH, predicted(CACHE), num_draws=20)
    text = question_text(score, QUESTIONS, answers.system)
    assert (
        "our map: questions answered right in %: split val of v1.0-mini, seed 0, distances within 1 m or 10%"
        in text
    )
    assert "mean of kinds" in text
    assert "majority answer of itself" in text
    assert "protocol maptr" in text
    values = question_score_values(score, QUESTIONS, answers.system)
    assert values["right"]["answers"]["mean"] == 1
    assert values["right"]["answers"]["interval_95"] == [1, 1]
    assert values["drawing"]["protocol"] == "maptr, cut by the request"
    assert question_values(score)["draw_outside"] == 0
    by_wording = values["drawing"]["by_wording"]
    assert sum(each["confident"] for each in by_wording.values()) == values["drawing"]["confident"] > 0
    shown = [f"{name} 0 of {n}" for name, each in by_wording.items() if (n := each["confident"])]
    assert "of them by wording: " in text
    assert all(one.split(" ", 2)[2] in text for one in shown)
    assert "mAP by wording, of the full map cut: en, " in text
    of_maps = {each[key] for each in by_wording.values() for key in ("mAP", "mAP_of_the_full_map")}
    assert of_maps - {None} == {1.0}  # a true map, asked for rightly; None where there is nothing to draw


def test_maps_of_another_split_are_refused():
    with pytest.raises(MapLLaVAError, match="predict the split that is asked about"):
        answer_questions(QUESTIONS, replace(predicted(CACHE), split="train"))
