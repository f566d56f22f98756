"""The score of asking as tables for people, and as plain values for a file."""

from __future__ import annotations

from typing import Any

import numpy as np

from mapllava.evaluation.questions.drawing import DrawingScore
from mapllava.evaluation.questions.question_set import (
    DIFFICULTIES,
    LANGUAGES,
    METRES,
    PARTS,
    SHARE,
    QuestionSet,
)
from mapllava.evaluation.questions.scoring import (
    CITED_WITHIN,
    GIVEN,
    MAJORITY,
    TRUE_MAP,
    TRUE_REQUEST,
    QuestionScore,
)
from mapllava.evaluation.report import score_table, text_table, told_missing
from mapllava.evaluation.scoring import data_name

PARTS_IN_WORDS = {"train": "known wording", "templates": "unseen templates", "words": "unseen words"}
SYSTEMS_IN_WORDS = {
    GIVEN: "answers",
    TRUE_REQUEST: "predicted map, true request",
    TRUE_MAP: "true map, understood request",
    MAJORITY: "majority answer",
}


def question_values(score: QuestionScore) -> dict[str, float]:
    """Flat names for a score of answers: ``mean``, each kind, and what else is known; in [0, 1]."""
    values = {"mean": score.share(GIVEN), **{kind: score.share(GIVEN, kind) for kind in score.kinds}}
    values["majority"] = score.share(MAJORITY)
    if score.consistent is not None:
        values["consistent"] = score.consistent
    values |= {f"citation_{key}": score.citations[key] for key in ("precision", "recall") if score.citations}
    if score.drawing is not None:
        values |= {"draw_mAP": score.drawing.drawn["mAP"], "draw_outside": score.drawing.share_outside}
    return values


def question_text(score: QuestionScore, questions: QuestionSet, system: str) -> str:
    """Tables of a score, the mean of kinds as the headline.

    Args:
        score: What :func:`~mapllava.evaluation.questions.scoring.score_answers` returns.
        questions: What was asked.
        system: What answered.

    Returns:
        Text of several titled tables; numbers in percent.
    """
    parts = [_by_kind(score, questions, system), _by_wording(score)]
    answered = score.answered.mean() if len(score.questions) else float("nan")
    facts = [f"answered: {_percent(answered)} of {len(score.questions)} questions"]
    if score.num_missing:
        facts.insert(0, told_missing(score.num_missing, len(questions.samples)))
    if score.understood is not None:
        facts.append(f"understood exactly: {_percent(score.understood)} of the requests")
    if score.consistent is not None:
        facts.append(
            f"consistent: {_percent(score.consistent)} of the values come out again from the cited lines"
        )
    if score.citations:
        cited = score.citations
        facts.append(
            f"citations within {CITED_WITHIN:g} m of the true ones: precision {_percent(cited['precision'])} "
            f"of {cited['cited']:.0f}, recall {_percent(cited['recall'])} of {cited['true']:.0f} lines"
        )
    facts += [
        f"{name}: {_percent(share)} right of {count}" for name, (count, share) in score.certainty.items()
    ]
    parts.append("\n".join(facts))
    if score.drawing is not None:
        parts.append(_drawing(score.drawing, questions))
    if questions.left_out:
        parts.append("\n".join(f"left out: {kind}: {why}" for kind, why in questions.left_out.items()))
    return "\n\n".join(parts)


def question_score_values(score: QuestionScore, questions: QuestionSet, system: str) -> dict[str, Any]:
    """Everything of a score as builtins; shares in [0, 1], null where there is nothing to take one of."""
    wordings = [(language, part) for language in LANGUAGES for part in PARTS]
    return _plain(
        {
            "system": system,
            "split": questions.split,
            "version": questions.version,
            "questions": questions.fingerprint,
            "num_questions": len(score.questions),
            "num_missing": score.num_missing,
            "tolerance": {"metres": METRES, "share": SHARE},
            "right": {
                name: {
                    "mean": score.share(name),
                    "interval_95": score.interval(name),
                    **{kind: score.share(name, kind) for kind in score.kinds},
                }
                for name in score.right
            },
            "majority_of": score.habits,
            "by_wording": {f"{a} {b}": score.share(GIVEN, language=a, part=b) for a, b in wordings},
            "by_difficulty": {name: score.share(GIVEN, difficulty=name) for name in DIFFICULTIES},
            "answered": float(score.answered.mean()),
            "understood": score.understood,
            "consistent": score.consistent,
            "citations": score.citations,
            "certainty": {name: {"count": n, "right": share} for name, (n, share) in score.certainty.items()},
            "drawing": None if score.drawing is None else {
                "protocol": f"{score.drawing.drawn['protocol']}, cut by the request",
                "mAP": score.drawing.drawn["mAP"],
                "mAP_full_map_cut": None if score.drawing.full is None else score.drawing.full["mAP"],
                "confident": score.drawing.confident,
                "outside": score.drawing.outside,
                "by_wording": {
                    " ".join(wording): {
                        "confident": shown,
                        "outside": outside,
                        "mAP": score.drawing.map_by_wording[wording][0],
                        "mAP_of_the_full_map": score.drawing.map_by_wording[wording][1],
                    }
                    for wording, (shown, outside) in sorted(score.drawing.by_wording.items())
                },
            },
        }
    )  # fmt: skip


def _by_kind(score: QuestionScore, questions: QuestionSet, system: str) -> str:
    systems = [name for name in SYSTEMS_IN_WORDS if name in score.right]
    counts = {kind: sum(question.kind == kind for question in score.questions) for kind in score.kinds}
    rows = [
        [kind, f"{count}", *(_percent(score.share(name, kind)) for name in systems)]
        for kind, count in counts.items()
    ]
    last = ["mean of kinds", f"{len(score.questions)}", *(_percent(score.share(name)) for name in systems)]
    if score.draws is not None:
        rows_of = [score.interval(name) for name in systems]
        ends = [
            "95 % interval",
            "",
            *("" if e is None else f"{_percent(e[0])} to {_percent(e[1])}" for e in rows_of),
        ]
    data = data_name(questions.split, questions.version)
    title = (
        f"{system}: questions answered right in %: split {data}, seed {questions.seed}, distances "
        f"within {METRES:g} m or {SHARE:.0%}"
    )
    headings = ["kind", "questions", *(SYSTEMS_IN_WORDS[name] for name in systems)]
    headings = [f"{one} of {score.habits}" if one == SYSTEMS_IN_WORDS[MAJORITY] else one for one in headings]
    rows += [last] if score.draws is not None else []
    return f"{title}\n{text_table(headings, rows, ends if score.draws is not None else last)}"


def _by_wording(score: QuestionScore) -> str:
    rows = []
    for language in LANGUAGES:
        for part in PARTS:
            only = {"language": language, "part": part}
            rows.append([f"{language}, {PARTS_IN_WORDS[part]}", *_row(score, **only)])
    rows += [[name, *_row(score, difficulty=name)] for name in DIFFICULTIES]
    rows = [row for row in rows if row[1] != "0"]
    headings = ["", "questions", "mean of kinds", *score.kinds]
    return f"By wording and difficulty, in %\n{text_table(headings, rows)}"


def _row(score: QuestionScore, **only: str) -> list[str]:
    count = sum(all(getattr(q, key) == value for key, value in only.items()) for q in score.questions)
    shares = [score.share(GIVEN, kind, **only) for kind in (None, *score.kinds)]
    return [f"{count}", *map(_percent, shares)]


def _drawing(drawing: DrawingScore, questions: QuestionSet) -> str:
    what = "Drawing what is asked, truth cut by the request: Chamfer AP"
    table = score_table(drawing.drawn, data_name(questions.split, questions.version), what)
    outside = f"outside of what was asked: {drawing.outside} of {drawing.confident} confident lines"
    full = (
        ""
        if drawing.full is None
        else f"; mAP of the full map cut by the true request: {100 * drawing.full['mAP']:.1f}"
    )
    by_wording = [
        f"{language}, {PARTS_IN_WORDS[part]} {beside} of {shown}"
        for language in LANGUAGES
        for part in PARTS
        for shown, beside in [drawing.by_wording.get((language, part), (0, 0))]
        if shown
    ]
    where = f"\nof them by wording: {'; '.join(by_wording)}" if by_wording else ""
    maps = [
        f"{language}, {PARTS_IN_WORDS[part]} {_percent(drawn)}"
        + ("" if whole is None else f" of {_percent(whole)}")
        for language in LANGUAGES
        for part in PARTS
        if (language, part) in drawing.map_by_wording
        for drawn, whole in [drawing.map_by_wording[language, part]]
    ]
    each = f"\nmAP by wording{', of the full map cut' if drawing.full else ''}: {'; '.join(maps)}"
    return f"{table}\n{outside} ({_percent(drawing.share_outside)} %){full}{where}{each}"


def _percent(value: float) -> str:
    return "-" if np.isnan(value) else f"{100 * value:.1f}"


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, (float, np.floating)):
        return float(value) if np.isfinite(value) else None
    return value.item() if isinstance(value, np.generic) else value
