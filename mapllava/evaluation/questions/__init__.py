"""Asking, scored: a question set from a GT cache, answers of any system, how many are right."""

from mapllava.evaluation.questions.answers import AnswerSet, GivenAnswer, load_answers, save_answers
from mapllava.evaluation.questions.create import create_questions
from mapllava.evaluation.questions.drawing import DrawingScore, score_drawing
from mapllava.evaluation.questions.question_set import Question, QuestionSet, load_questions, save_questions
from mapllava.evaluation.questions.respond import answer_questions
from mapllava.evaluation.questions.scoring import QuestionScore, score_answers

__all__ = [
    "AnswerSet",
    "DrawingScore",
    "GivenAnswer",
    "Question",
    "QuestionScore",
    "QuestionSet",
    "answer_questions",
    "create_questions",
    "load_answers",
    "load_questions",
    "save_answers",
    "save_questions",
    "score_answers",
    "score_drawing",
]
