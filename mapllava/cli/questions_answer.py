"""Answer a question set from a results file: words to a request, then exact geometry; no map model."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from mapllava.cli.command_line import add_parser_option, parser_path, say
from mapllava.evaluation import load_results
from mapllava.evaluation.questions import answer_questions, load_questions, save_answers
from mapllava.evaluation.questions.respond import missing_samples
from mapllava.evaluation.report import told_missing

EPILOG = """\
examples:
  %(prog)s val.questions.json run.results.json --out run.answers.json --parser outputs/ask/best_model.pth
  %(prog)s val.questions.json run.results.json --out perfect.answers.json --true-requests
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Its options."""
    add = parser.add_argument
    add("questions", type=Path, help="of 'mapllava questions create'")
    add("results", type=Path, help="results file of the samples that are asked about")
    add("--out", required=True, type=Path, metavar="FILE", help="the answers")
    how = parser.add_mutually_exclusive_group(required=True)
    add_parser_option(how, "understands the questions")
    how.add_argument(
        "--true-requests", action="store_true", help="take what is meant: nothing is misunderstood"
    )


def run(args: argparse.Namespace) -> None:
    """Read, answer, write."""
    questions, results = load_questions(args.questions), load_results(args.results)
    parser, path = None, parser_path(args)
    if path is not None:
        from mapllava.apis import load_parser  # here, because it brings in torch

        parser = load_parser(path)
    answers = answer_questions(questions, results, parser, progress=sys.stderr.isatty())
    save_answers(args.out, answers, questions.map_spec.classes)
    refused = sum(not answer.answered for answer in answers.answers.values())
    say(f"{len(answers.answers) - refused} answers and {refused} refusals in {args.out}")
    if missing := len(missing_samples(questions, results)):
        say(told_missing(missing, len(questions.samples)))
