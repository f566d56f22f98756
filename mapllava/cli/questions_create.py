"""Draw questions about the samples of a GT cache, with their true answers, for any system to answer."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from pathlib import Path

from mapllava import gt_cache
from mapllava.cli.command_line import say
from mapllava.evaluation.questions import create_questions, save_questions
from mapllava.evaluation.questions.create import KINDS
from mapllava.evaluation.questions.question_set import LANGUAGES, PARTS

DESCRIPTION = """\
Draw questions about the samples of a GT cache: how many, is there, how far, which is nearest, on which
side, how many lanes, is there a junction, and what to draw. True answers come of exact geometry on the
cache's polylines, in balance: no answer is right by habit. docs/en/metrics.md has the file's form.
"""
EPILOG = """\
examples:
  %(prog)s gt_cache_v1.0-trainval_val.pkl --out val.questions.json
  %(prog)s CACHE --out unseen.questions.json --per-kind 200 --languages en --wordings templates
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Its options."""
    add = parser.add_argument
    add("cache", type=Path, help="GT cache of the split that is asked about")
    add("--out", required=True, type=Path, metavar="FILE", help="the question set")
    add("--per-kind", type=int, default=100, metavar="N", help="questions of each kind (default: 100)")
    add("--seed", type=int, default=0, help="the same seed gives the same set (default: 0)")
    add("--kinds", nargs="+", default=KINDS, choices=KINDS, help="what is asked (default: all)")
    add("--languages", nargs="+", default=LANGUAGES, choices=LANGUAGES, help="(default: all, in turn)")
    add(
        "--wordings",
        nargs="+",
        default=PARTS,
        choices=PARTS,
        help="train: as trained on; templates, words: held out of training (default: all, in turn)",
    )


def run(args: argparse.Namespace) -> None:
    """Draw, write, say how many of what."""
    questions = create_questions(
        gt_cache.load(args.cache),
        args.per_kind,
        args.seed,
        args.languages,
        args.wordings,
        args.kinds,
        progress=sys.stderr.isatty(),
    )
    save_questions(args.out, questions)
    counts = Counter(question.kind for question in questions.questions)
    listed = ", ".join(f"{count} {kind}" for kind, count in counts.items())
    samples = len({question.sample_token for question in questions.questions})
    total = f"{len(questions.questions)} questions about {samples} samples of {questions.split}"
    say(f"{total} in {args.out}: {listed}")
    for kind, why in questions.left_out.items():
        say(f"left out: {kind}: {why}")
