"""Ask a predicted map: how far, how many, on which side; the answer names the lines that it rests on."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from contextlib import redirect_stdout
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mapllava.apis.demo_files import sample_folder
from mapllava.cli.command_line import add_parser_option, add_plugins, parser_path, say, score
from mapllava.cli.predict import claim, display_of, model_path, numbered, pairs, samples_of, with_scores
from mapllava.errors import MapLLaVAError

if TYPE_CHECKING:
    from mapllava.apis.answers_file import Answered, Draw
    from mapllava.apis.map_inferencer import MapInferencer, RigPrediction
    from mapllava.evaluation.results_file import MapResults
    from mapllava.evaluation.sample_record import Display
    from mapllava.language import Answer, Parsed, Parser
    from mapllava.structures import MapLines

    Moment = tuple[str, MapLines, Draw | None]

DESCRIPTION = """\
Ask a predicted map. The words are one of

  --demo QUESTION …         the package's own model and sample
  MODEL INPUT QUESTION …    a trained model's file, or 'demo', and what `mapllava predict` takes as INPUT
  RESULTS QUESTION …        a results file of `mapllava predict` or `mapllava test`: needs no model

A question is a canonical text, such as 'distance: ped_crossing; ahead', or, with --parser, a sentence. Exact
geometry answers it from the lines that pictures show, and names those that the answer rests on: their places
in the results file and their scores. What is not understood is refused, never guessed; the status is 1 then.
"""
EPILOG = """\
examples:
  %(prog)s --demo "distance: ped_crossing; ahead"
  %(prog)s --demo "count: divider; left" "describe:; ahead" --out answers
  %(prog)s --demo "How far is the next crossing?" --parser demo
  %(prog)s best_model.pth my_car "How far is the next crossing?" --parser parser.pth
  %(prog)s maps/predictions.results.json --sample TOKEN "side: boundary" --json
  %(prog)s demo data/synthetic --scene scene-0003 "junction:; ahead" --language zh --out answers
"""
INTERMIXED = True


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Its options."""
    parser.usage = "%(prog)s [options] (--demo | MODEL INPUT | RESULTS) QUESTION [QUESTION ...]"
    add = parser.add_argument
    add("words", nargs="+", metavar="WORD", help="model, input and questions, see above")
    add("--demo", action="store_true", help="the package's own model and sample: needs nothing else")
    add_parser_option(parser, "reads questions in words")
    add("--language", choices=("en", "zh"), help="of the answers (default: each question's own)")
    add("--out", type=Path, metavar="DIR", help="folder for answers.json and a picture of each answer")
    add("--force", action="store_true", help="write into a folder that holds something")
    add("--cache", type=Path, metavar="FILE", help="GT cache, for pictures of a results file without cameras")
    add("--json", action="store_true", help="what answers.json would hold, on the standard output")
    add(
        "--score-thr",
        type=score,
        metavar="S",
        help="lowest score of a line that counts (default: the model's)",
    )
    source = parser.add_argument_group("input")
    source.add_argument("--sample", metavar="TOKEN", help="of a results file or a nuScenes root")
    source.add_argument("--scene", metavar="NAME", help="of a nuScenes root: all its samples")
    source.add_argument("--version", metavar="V", help="of a nuScenes root that holds several")
    source.add_argument("--rig", type=Path, metavar="FILE", help="rig.json, where INPUT holds none")
    source.add_argument("--stride", type=int, default=1, metavar="N", help="take every N-th moment")
    source.add_argument("--no-check", action="store_true", help="take a rig that `rig check` would refuse")
    model = parser.add_argument_group("model")
    model.add_argument("--device", help="where it runs, such as cpu or cuda:1 (default: the first GPU)")
    model.add_argument(
        "--pretrained", nargs="+", default=[], metavar="COMPONENT=FOLDER", help="moved base weights"
    )
    model.add_argument("--camera-names", nargs="+", default=[], metavar="OWN=TRAINED", help="as in predict")
    add_plugins(parser)


def run(args: argparse.Namespace) -> int:
    """Understand the questions, then predict or read, and answer."""
    from mapllava.plugins import import_plugins

    read_words(args)
    if args.out is not None:
        claim(args.out, args.input, args.force)
    import_plugins(args.plugins)
    work = ask_results if args.model is None else ask_model
    if not args.json:
        return work(args)
    with redirect_stdout(sys.stderr):  # loading a model says a word or two, which are no JSON
        status = work(args)
    say(args.told)
    return status


def read_words(args: argparse.Namespace) -> None:
    """Tell model, input and questions apart; ``model`` is None for a results file."""
    words, first = args.words, Path(args.words[0])
    if args.demo:
        args.model, args.input, args.questions = "demo", sample_folder(), words
    elif first.suffix == ".json" and first.name != "rig.json":
        args.model, args.input, args.questions = None, first, words[1:]
    else:
        args.model, args.questions = words[0], words[2:]
        args.input = Path(words[1]) if len(words) > 1 else None
    if args.input is None or not args.questions:
        raise MapLLaVAError(
            "name MODEL and INPUT (or RESULTS, or --demo), then questions; --help has examples"
        )
    if args.stride < 1:
        raise MapLLaVAError("--stride is a whole number from 1")


def ask_model(args: argparse.Namespace) -> int:
    """Answer from what a model predicts now."""
    from mapllava.apis.answers_file import Answered
    from mapllava.apis.map_inferencer import MapInferencer
    from mapllava.apis.prediction_folder import PredictionFolder

    samples = samples_of(args)
    inferencer = MapInferencer(
        model_path(args.model),
        args.device,
        pairs("--pretrained", args.pretrained),
        camera_names=pairs("--camera-names", args.camera_names),
        check=not args.no_check,
        parser=parser_path(args),
    )
    predictor, spec = inferencer.predictor, inferencer.map_spec
    predictor.display = display_of(predictor.meta.get("display"), args.score_thr, spec.classes)
    asked = Answered(spec, predictor.display, args.language, args.out)
    questions = understood(args, asked, predictor.parser)
    if not questions:
        return finish(args, asked, str(args.input))
    if args.out is None:
        answer_all(args, asked, questions, predicted(inferencer, samples))
        return finish(args, asked, str(args.input))
    with PredictionFolder(args.out, spec, predictor.display, ()) as out:
        answer_all(args, asked, questions, predicted(inferencer, samples, out))
    return finish(args, asked, out.files[0].name)


def predicted(inferencer: MapInferencer, samples: Any, out: Any = None) -> Iterator[Moment]:
    """The maps of samples, with what draws each."""

    def draw(found: RigPrediction, lines: MapLines, asked: Any, path: Path) -> None:
        from dataclasses import replace

        from mapllava.apis.prediction_folder import draw_job
        from mapllava.visualization.draw_files import draw_files

        shown = replace(found, lines=lines)
        draw_files(draw_job(shown, inferencer.map_spec, (path,), inferencer.predictor.display, asked))

    for found in inferencer.stream(samples):
        if out is not None:
            out.add(found)
        yield found.sample.token, found.lines, partial(draw, found)


def ask_results(args: argparse.Namespace) -> int:
    """Answer from a results file."""
    from mapllava.apis.answers_file import Answered
    from mapllava.evaluation.results_file import load_results
    from mapllava.evaluation.sample_record import Display

    results = load_results(args.input)
    results.refuse_part("answers would be about that part alone")
    if args.sample is not None and args.sample not in results.results:
        some = ", ".join(list(results.results)[:3])
        raise MapLLaVAError(f"{results.name} has no sample '{args.sample}', but {some}")
    tokens = list(results.results) if args.sample is None else [args.sample]
    parser, path = None, parser_path(args)
    if path is not None:
        from mapllava.apis import load_parser

        parser = load_parser(path, args.device)
    display = results.display
    if args.score_thr is not None:
        display = with_scores(display or Display({}, ""), args.score_thr, results.map_spec.classes)
    asked = Answered(results.map_spec, display, args.language, args.out)
    questions = understood(args, asked, parser)
    if questions:
        answer_all(args, asked, questions, read(args, results, tokens, display))
    return finish(args, asked, str(args.input))


def read(
    args: argparse.Namespace, results: MapResults, tokens: list[str], display: Display | None
) -> Iterator[Moment]:
    """The maps of a results file, with what draws each, where the file or a cache says what was seen."""
    from mapllava.cli.looking import open_album, warn

    album = None
    if args.out is not None and (results.samples or args.cache):
        album = open_album([args.input], args.cache, None)
    elif args.out is not None:
        warn(
            f"{results.name} says nothing of cameras: no pictures without the GT cache of its split, --cache"
        )

    seen = frozenset() if album is None else frozenset(album.tokens)

    def draw(sample: Any, lines: MapLines, asked: Any, path: Path) -> None:
        from mapllava.visualization import sample_figure, write_picture

        write_picture(path, sample_figure(sample.meta, sample.views(), None, lines, display, asked=asked))

    for token in tokens:
        sample = next(iter(album.samples([token]))) if album is not None and token in seen else None
        yield token, results.lines(token), None if sample is None else partial(draw, sample)


def understood(args: argparse.Namespace, asked: Answered, parser: Parser | None) -> list[Parsed]:
    """The questions that are understood; the others are refused here."""
    from mapllava.apis.asking import NotUnderstoodError, language_of, refusal, understand

    found = []
    for text in args.questions:
        try:
            found.append(understand(text, asked.map_spec.classes, parser))
        except NotUnderstoodError as error:
            asked.refused.append(error.parsed)
            if not args.json:
                say(refusal(error.parsed, asked.map_spec.classes, args.language or language_of(text)))
    return found


def answer_all(
    args: argparse.Namespace, asked: Answered, questions: list[Parsed], moments: Iterator[Moment]
) -> None:
    """Answer every question about every moment."""
    from mapllava.evaluation.answering import answer

    for token, lines, draw in moments:
        if not (args.json or args.demo or args.sample):
            say(f"sample {token}")
        for question in questions:
            answers = answer(lines, question.requests, asked.map_spec, asked.display)
            language = asked.add(token, lines, question, answers, draw)
            if not args.json:
                tell(asked, lines, question, answers, language)


def tell(asked: Answered, lines: MapLines, question: Parsed, answers: list[Answer], language: str) -> None:
    """Say the answers to a question, and what they rest on."""
    from mapllava.apis.asked_pictures import cited_words

    say(question.text)
    for one in answers:
        say(f"  {one.text_in(language)}")
        for words in cited_words(lines, one.cited, asked.map_spec):
            say(f"    {words}")
    if question.text != question.canonical:
        say(f"  understood as {question.canonical} ({question.confidence:.0%} sure)")


def finish(args: argparse.Namespace, asked: Answered, source: str) -> int:
    """Write the files, say where they are; 1 where something was refused."""
    from mapllava.apis.asked_pictures import unwritable

    files = asked.write(source)
    if args.json:
        args.told = json.dumps(asked.to_json(source), ensure_ascii=False, indent=2)
    for path in [] if args.json else files[:3]:
        say(path)
    if len(files) > 3 and not args.json:
        say(f"and {numbered(len(files) - 3).replace('sample', 'picture')} more")
    said = [one["text"] for entry in asked.entries for one in entry["answers"]]
    lost = unwritable([*(entry["question"] for entry in asked.entries), *said]) if asked.files else ""
    if lost:
        sys.stderr.write(
            f"warning: no font here has the letters {lost[:10]}: pictures have canonical titles and English "
            "answers; install Noto Sans CJK\n"
        )
    return 1 if asked.refused else 0
