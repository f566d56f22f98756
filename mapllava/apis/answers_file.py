"""Answers as plain values, and the files of ``mapllava ask``: answers.json and a picture of each question."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from mapllava.apis.asked_pictures import picture_of_answer
from mapllava.apis.asking import language_of
from mapllava.evaluation.sample_record import Display, display_to_json
from mapllava.files import safe_name, write_json
from mapllava.language import Answer, Parsed
from mapllava.structures import MapLines
from mapllava.structures.frames import MapSpec
from mapllava.visualization.asked import Asked

ANSWERS, PICTURES = "answers.json", "pictures"
FORMAT_VERSION = 1

Draw = Callable[[MapLines, Asked, Path], Any]
"""Draws lines and what was asked of them into a file."""


def answer_to_json(
    answer: Answer, lines: MapLines, map_spec: MapSpec, language: str = "en"
) -> dict[str, Any]:
    """One answer as plain values: metres in the map's frame, ``cited`` places in the results file's sample.

    Args:
        answer: To one request.
        lines: The map that it rests on.
        map_spec: Names its classes.
        language: Of the sentence, ``en`` or ``zh``.
    """
    scores = [None] * len(answer.cited) if lines.scores is None else [float(s) for s in answer.scores]
    drawn = answer.lines
    return {
        "request": answer.request.text,
        "text": answer.text_in(language),
        "value": answer.value,
        "unit": answer.unit,
        "certain": bool(answer.certain),
        "cited": [
            {"index": place, "class": map_spec.classes[int(lines.labels[place])], "score": score}
            for place, score in zip(answer.cited, scores, strict=True)
        ],
        **({} if drawn is None else {"lines": _plain(drawn)}),
    }


def _plain(lines: MapLines) -> dict[str, Any]:
    scores = None if lines.scores is None else np.asarray(lines.scores, dtype=np.float64).tolist()
    points = [np.round(np.asarray(line, dtype=np.float64), 4).tolist() for line in lines.points]
    return {"points": points, "labels": np.asarray(lines.labels).tolist(), "scores": scores}


@dataclass
class Answered:
    """Answers to questions about samples, as they come; what they become in a folder.

    Args:
        map_spec: Frame, region and classes.
        display: From which score on a line is there; None for the fallback.
        language: Of the sentences, ``en`` or ``zh``; None takes each question's own.
        folder: Where pictures go; None draws none.
        refused: Sentences that were not understood.
    """

    map_spec: MapSpec
    display: Display | None = None
    language: str | None = None
    folder: Path | None = None
    refused: list[Parsed] = field(default_factory=list)
    entries: list[dict[str, Any]] = field(default_factory=list)
    files: list[Path] = field(default_factory=list)
    _names: set[str] = field(default_factory=set)

    def add(
        self, token: str, lines: MapLines, question: Parsed, answers: Sequence[Answer], draw: Draw | None
    ) -> str:
        """Take the answers to one question about one sample, and draw them.

        Args:
            token: The sample's name.
            lines: Its whole map.
            question: As it was understood.
            answers: To its requests.
            draw: What draws the sample; None where nobody knows its cameras.

        Returns:
            The language of the sentences.
        """
        language = self.language or language_of(question.text)
        entry: dict[str, Any] = {"sample": token, "question": question.text, "request": question.canonical}
        entry["confidence"] = float(question.confidence)
        entry["answers"] = [answer_to_json(one, lines, self.map_spec, language) for one in answers]
        if self.folder is not None and draw is not None:
            name = safe_name(f"{token}_{len(self.entries) + 1}", self._names)
            path = self.folder / PICTURES / f"{name}.png"
            shown = (self.map_spec, self.display, language)
            draw(*picture_of_answer(lines, question, answers, *shown), path)
            entry["picture"] = f"{PICTURES}/{path.name}"
            self.files.append(path)
        self.entries.append(entry)
        return language

    def to_json(self, source: str) -> dict[str, Any]:
        """All of it as plain values; ``source`` says which file the cited places are of."""
        return {
            "format_version": FORMAT_VERSION,
            **self.map_spec.to_config(),
            "source": source,
            "display": None if self.display is None else display_to_json(self.display),
            "answers": self.entries,
            "refused": [
                {"question": one.text, "taken_for": one.canonical, "confidence": float(one.confidence)}
                for one in self.refused
            ],
        }

    def write(self, source: str) -> list[Path]:
        """Write answers.json; returns all files."""
        if self.folder is None:
            return []
        write_json(self.folder / ANSWERS, self.to_json(source))
        return [self.folder / ANSWERS, *self.files]
