"""Score answers to a question set: how many are right, by kind, wording and difficulty."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from mapllava import gt_cache
from mapllava.cli.command_line import say
from mapllava.errors import MapLLaVAError
from mapllava.evaluation import load_results
from mapllava.evaluation.questions import load_answers, load_questions, score_answers
from mapllava.evaluation.questions.report import question_score_values, question_text
from mapllava.evaluation.questions.respond import truth_of
from mapllava.evaluation.scoring import DEFAULT_DRAWS
from mapllava.files import write_json
from mapllava.progress import busy

DESCRIPTION = """\
Score answers of any system to a question set: the share that is right by kind, wording and difficulty, with
a 95 % interval from a bootstrap over scenes, beside the majority answer. The GT cache adds the true map with
the understood request, citations and drawing; the results file adds the predicted map with the true request.
"""
EPILOG = """\
examples:
  %(prog)s val.questions.json run.answers.json
  %(prog)s val.questions.json run.answers.json --cache CACHE --results run.results.json --json score.json
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Its options."""
    add = parser.add_argument
    add("questions", type=Path, help="of 'mapllava questions create'")
    add("answers", type=Path, help="of 'mapllava questions answer', or another system's")
    add("--cache", type=Path, help="GT cache that the questions were made from")
    add("--results", type=Path, help="results file that the answers were made from")
    add("--habits", type=Path, metavar="FILE", help="question set of the training split: its usual answers")
    add("--bootstrap", type=int, default=DEFAULT_DRAWS, metavar="N", help="draws, 0 for none (default: 1000)")
    add("--seed", type=int, default=0, help="seed of the draws (default: 0)")
    add("--at-least", type=float, metavar="PERCENT", help="exit status 1 where the mean of kinds is below")
    add("--json", type=Path, metavar="OUT", help="write all values to this file")


def run(args: argparse.Namespace) -> int:
    """Score, print, and write if asked to."""
    if args.bootstrap < 0:
        raise MapLLaVAError(f"{args.bootstrap} draws: a bootstrap takes 0 (none) or more, 1000 is usual")
    questions = load_questions(args.questions)
    answers = load_answers(args.answers, questions)
    with busy("scoring answers", sys.stderr.isatty()):
        score = score_answers(
            questions,
            answers,
            None if args.cache is None else truth_of(questions, gt_cache.load(args.cache)),
            None if args.results is None else load_results(args.results),
            None if args.habits is None else load_questions(args.habits),
            args.bootstrap,
            args.seed,
        )
    say(question_text(score, questions, answers.system))
    if args.json is not None:
        write_json(args.json, question_score_values(score, questions, answers.system), allow_nan=False)
    reached = args.at_least is None or 100 * score.share("answers") >= args.at_least  # no questions: nan
    return int(not reached)
