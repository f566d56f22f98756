import re
import subprocess
import sys

import pytest

from mapllava.language import NO_REQUEST, read_requests
from mapllava.language.request import SIDES, UNITS, WITHOUT_CLASSES
from mapllava.language.wording import PAIR_KINDS, PARTS, sample_pairs

CLASSES = ("divider", "ped_crossing", "boundary")
OTHER_CLASSES = [CLASSES, ("centerline", "divider"), ("stop_line",)]


@pytest.mark.parametrize("classes", OTHER_CLASSES)
@pytest.mark.parametrize("part", PARTS)
def test_every_pair_is_a_whole_sentence_and_a_valid_request(part, classes):
    for pair in sample_pairs(3, 600, "both", part, classes):
        requests = read_requests(pair.canonical, classes)
        kinds = [request.kind for request in requests]
        assert pair.kind == (NO_REQUEST if not kinds else kinds[0] if len(kinds) == 1 else "several")
        assert pair.part == part
        assert pair.text.strip() == pair.text != ""
        assert not re.search(r"[{}|~]|  |的的|^的.", pair.text), pair.text


def test_pairs_are_of_all_kinds_and_languages_alike():
    pairs = sample_pairs(0, 4 * len(PAIR_KINDS), "both", "train", CLASSES)
    assert sorted((pair.kind, pair.language) for pair in pairs) == sorted(
        (kind, language) for kind in PAIR_KINDS for language in ("en", "zh") for _ in range(2)
    )


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("language", ["en", "zh"])
def test_what_is_asked_for_varies(language, part):
    """A parser that learns from one class, side or distance alone would understand nothing else."""
    asked = [
        request
        for pair in sample_pairs(0, 1100, language, part, CLASSES)
        for request in read_requests(pair.canonical, CLASSES)
    ]
    named = [request.classes for request in asked if request.kind not in WITHOUT_CLASSES]
    for name in CLASSES:
        assert sum(name in classes for classes in named) > 0.2 * len(named), name
        assert sum(classes == (name,) for classes in named) > 0.08 * len(named), name
    assert 0.05 * len(named) < sum(not classes for classes in named) < 0.4 * len(named)
    regions = [request.region for request in asked]
    for side in SIDES:
        assert 0.1 * len(asked) < sum(side in region.sides for region in regions) < 0.6 * len(asked), side
    distances = [region.distance for region in regions if region.distance is not None]
    assert 0.2 * len(asked) < len(distances) < 0.7 * len(asked)
    for relation in ("within", "between", "at"):
        assert sum(one.relation == relation for one in distances) > 0.1 * len(distances), relation
    for unit in UNITS:
        assert sum(one.unit == unit for one in distances) > 0.05 * len(distances), unit


def test_a_seed_gives_the_same_pairs_in_another_process():
    code = (
        "from mapllava.language.wording import sample_pairs\n"
        f"print(hash(0), *[(p.text, p.canonical) for p in sample_pairs(7, 60, 'both', 'train', {CLASSES})])"
    )
    done = [
        subprocess.run([sys.executable, "-X", "utf8", "-c", code], capture_output=True, env=env, check=True)
        for env in ({"PYTHONHASHSEED": "1"}, {"PYTHONHASHSEED": "2"})
    ]
    assert done[0].stdout == done[1].stdout
    assert sample_pairs(7, 20, "en", "train", CLASSES) == sample_pairs(7, 60, "en", "train", CLASSES)[:20]
    assert sample_pairs(8, 20, "en", "train", CLASSES) != sample_pairs(7, 20, "en", "train", CLASSES)
