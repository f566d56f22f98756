import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mapllava.errors import MapLLaVAError
from mapllava.language import Distance, Region, Request, read_requests, write_requests
from mapllava.language.constraint import DECIMALS, MOST_REQUESTS, WHOLE_DIGITS, RequestConstraint
from mapllava.language.request import KINDS, SIDES, UNITS, WITHOUT_CLASSES

CLASSES = ("divider", "ped_crossing", "boundary")
CONSTRAINT = RequestConstraint(CLASSES)
LENGTHS = st.integers(0, 10 ** (WHOLE_DIGITS + DECIMALS) - 1).map(lambda value: value / 10**DECIMALS)


@st.composite
def requests(draw):
    """Any valid request with lengths within the documented limits."""
    kind = draw(st.sampled_from(KINDS))
    names = draw(st.sets(st.sampled_from(CLASSES), max_size=2))
    relation = draw(st.sampled_from(["within", "between", "at", None]))
    lengths = draw(st.sets(LENGTHS, min_size=2, max_size=2))
    values = sorted(lengths) if relation == "between" else [max(lengths)]
    distance = relation and Distance(relation, values, draw(st.sampled_from(sorted(UNITS))))
    region = Region(draw(st.sets(st.sampled_from(SIDES), max_size=2)), distance)
    ordered = () if kind in WITHOUT_CLASSES else tuple(name for name in CLASSES if name in names)
    try:
        return Request(kind, ordered, region)
    except MapLLaVAError:
        return Request(kind, ordered)


@settings(max_examples=100, deadline=None)
@given(st.lists(requests(), max_size=MOST_REQUESTS))
def test_every_canonical_text_can_be_written(asked):
    text = write_requests(asked)
    state = CONSTRAINT.state("")
    for index, character in enumerate(text):
        assert character in CONSTRAINT.following(state), text[:index]
        state = CONSTRAINT.advance(state, character)
    assert CONSTRAINT.is_end(state)


def written(constraint, rng, eager):
    """A text written at random; ``eager`` ends it where it may end."""
    text = ""
    while not (constraint.may_end(text) and (eager or rng.random() < 0.2)):
        characters = sorted(constraint.allowed_next(text))
        if not characters:
            break
        text += rng.choice(characters)
    return text


@pytest.mark.parametrize("classes", [CLASSES, ("lane", "lane_divider", "all_ways", "b"), ("one",)])
def test_whatever_is_written_is_read(classes):
    constraint, rng = RequestConstraint(classes), random.Random(0)
    seen = set()
    for index in range(600):
        text = written(constraint, rng, eager=index % 2 == 0)
        seen |= {request.kind for request in read_requests(text, classes)}
        assert constraint.may_end(text)
        assert len(text) < 400
    assert seen == set(KINDS)


@pytest.mark.parametrize(
    ("text", "characters"),
    [
        ("", "dcenslj"),
        ("n", "oe"),
        ("none", ""),
        ("draw: divider, boundary", "; "),
        ("draw: divider, ", "pb"),
        ("side: all; ", "abw"),
        ("lanes:; at 0", ". "),
        ("lanes:; left", " ;"),
        ("lanes:; ahead ", "lr"),
        ("lanes:; ahead left", ";"),
        ("lanes:; ahead; ", "a"),
        ("count: all; within 0.0", "123456789"),
        ("count: all; between 980.5 and ", "9"),
        ("count: all; between 980.5 and 98", "0123456789"),
        ("count: all; between 980.5 and 980", "."),
        ("count: all; between 980.5 and 980.5", "123456789"),
        ("count: all; between 7 and 1", "0123456789"),
        ("count: all; between 999.9", "12345678 "),
        ("draw: all / draw: all / draw: all / draw: all; ahead", " ;"),
        ("draw: dividers", ""),
    ],
)
def test_what_may_follow(text, characters):
    assert "".join(sorted(CONSTRAINT.allowed_next(text))) == "".join(sorted(characters))


@pytest.mark.parametrize(
    "text", ["", "non", "draw: ", "lanes:; at 20", "lanes:; behind", "count: all; within 2. m", "nonee"]
)
def test_what_is_not_whole_may_not_end(text):
    assert not CONSTRAINT.may_end(text)


def test_texts_with_one_future_have_one_state():
    assert CONSTRAINT.state("draw: all; within 20 m") == CONSTRAINT.state(
        "count: divider; between 1 and 30.5 m"
    )
    assert CONSTRAINT.advance(CONSTRAINT.state("draw: a"), "ll;") == CONSTRAINT.state("draw: all;")
    assert hash(CONSTRAINT.state("draw: all")) != hash(CONSTRAINT.state("draw: all;"))
    assert not CONSTRAINT.state("draw the map")


@pytest.mark.parametrize("name", ["a; b", "a, b", "all", "", " a", "a / b"])
def test_a_class_that_no_text_can_hold_is_refused(name):
    with pytest.raises(MapLLaVAError, match="rename it"):
        RequestConstraint((name, "divider"))
