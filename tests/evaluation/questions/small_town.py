"""A small town to ask about: its cache, perfect predictions, and a parser of its plain sentences."""

import numpy as np

from mapllava.evaluation import MapResults
from mapllava.evaluation.questions import create_questions
from mapllava.language import Parsed, read_request
from mapllava.structures import MapSpec

CLASSES = MapSpec().classes


def line(label, points, closed=False):
    return {"label": label, "points": np.array(points, dtype=np.float64), "closed": closed}


def street(rng):
    """A street along the car with up to three dividers and two crossings."""
    width = rng.uniform(4, 13)
    lines = [line(2, [[x, -30.0], [x, 30.0]]) for x in (-width, width)]
    for x in rng.permutation([-2.0, 0.5, 2.0])[: rng.integers(0, 4)]:
        lines.append(line(0, [[x, -30.0], [x, rng.uniform(0, 30)]]))
    for y in rng.permutation([-20.0, -8.0, 6.0, 17.0])[: rng.integers(0, 3)]:
        ring = [[-width, y], [width, y], [width, y + 3], [-width, y + 3], [-width, y]]
        lines.append(line(1, ring, closed=True))
    return lines


def town(num_scenes=6, per_scene=4, seed=0):
    rng = np.random.default_rng(seed)
    meta = {**MapSpec().to_config(), "split": "val", "version": "v1.0-mini", "fingerprint": "f" * 64}
    entries = [
        {"sample_token": f"t{k}", "scene_name": f"scene-{k // per_scene}", "polylines": street(rng)}
        for k in range(num_scenes * per_scene)
    ]
    return {"metainfo": meta, "data_list": entries}


def word(request, language, part, rng):
    return f"{language} {part}: {request.text}"


def questions_about(cache, per_kind=6, **options):
    return create_questions(cache, per_kind, word=word, **options)


def predicted(cache, drop=()):
    """The true map as a prediction; without the lines of the labels ``drop``."""
    maps = {}
    for entry in cache["data_list"]:
        lines = [one for one in entry["polylines"] if one["label"] not in drop]
        maps[entry["sample_token"]] = {
            "points": [one["points"] for one in lines],
            "labels": np.array([one["label"] for one in lines], dtype=np.int64),
            "scores": np.linspace(0.99, 0.9, len(lines)),
        }
    return MapResults(MapSpec(), "val", maps, "v1.0-mini")


class Reader:
    """A parser of :func:`word`'s sentences that understands some languages only."""

    def __init__(self, *languages):
        self.languages = languages

    def parse(self, texts, classes):
        return [self.one(text, classes) for text in texts]

    def one(self, text, classes):
        head, _, canonical = text.partition(": ")
        if head.split()[0] not in self.languages:
            return Parsed(text, (), 0.2, "none")
        return Parsed(text, (read_request(canonical, classes),), 0.9, canonical)
