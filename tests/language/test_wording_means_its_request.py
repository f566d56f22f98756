"""The sentence says what its canonical text says, read here by other means than those that wrote it."""

import random
import re

import pytest

from mapllava.errors import MapLLaVAError
from mapllava.language import Distance, Region, Request, read_requests
from mapllava.language.request import KINDS, SIDES, UNITS, WITHOUT_CLASSES
from mapllava.language.wording import PARTS, numbers, phrases, sample_pairs, unanswerable, word, writer
from mapllava.language.wording.tables import sections

CLASSES = ("divider", "ped_crossing", "boundary")
SIDE_WORDS = {
    "en": {
        "ahead": r"ahead|front|next|coming|down the road|reach|comes|approach|\bin .*(m|k|f|y)|forward|path|"
        "up the road|we drive|heading|facing|hood",
        "behind": "behind|back|trunk|came from|following",
        "left": "left",
        "right": "right",
    },
    "zh": {
        "ahead": "前|接下来|未来|下一|快到|马上|即将|先到",
        "behind": "后|回",
        "left": "左",
        "right": "右",
    },
}
BOTH_SIDES = "left and right|both sides|左右两侧|, right[?!]*$"
UP_TO_TWENTY = (
    "zero one two three four five six seven eight nine ten",
    "eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen",
)
TENS = "ten twenty thirty forty fifty sixty seventy eighty ninety"
ENGLISH = {name: value for value, name in enumerate(" ".join(UP_TO_TWENTY).split())}
ENGLISH |= {name: 10 * value for value, name in enumerate(TENS.split(), 1)}


@pytest.fixture
def _no_slips(monkeypatch):
    for module in (phrases, writer):
        monkeypatch.setattr(module, "misspell", lambda text, rng: text)
    monkeypatch.setattr(writer, "confuse", lambda text, pairs, rng: text)


def single_requests(language, part="train", count=1500):
    for pair in sample_pairs(11, count, language, part, CLASSES):
        if pair.kind in KINDS:
            yield pair, read_requests(pair.canonical, CLASSES)[0]


@pytest.mark.usefixtures("_no_slips")
@pytest.mark.parametrize("language", ["en", "zh"])
def test_sides(language):
    for pair, request in single_requests(language):
        text = re.sub(BOTH_SIDES, "", pair.text.lower())
        for side, words in SIDE_WORDS[language].items():
            if pair.kind == "side" and side in ("left", "right"):
                continue
            said = re.search(words, text)
            if side in request.region.sides:
                assert said, (side, pair)
            elif side != "ahead":
                assert not said, (side, pair)
            else:
                assert not re.search(r"ahead|in front|upcoming|前方|前面|下一", text), (side, pair)


@pytest.mark.usefixtures("_no_slips")
@pytest.mark.parametrize("language", ["en", "zh"])
def test_classes(language):
    tables = sections(language)
    phrases = {
        phrase: name
        for name in CLASSES
        for entry in (name, name.replace("_", " "), *tables[f"class {name}"].known)
        for phrase in entry.split(" | ")
    }
    # the longest first: a lane boundary is no boundary
    any_phrase = re.compile("|".join(sorted(phrases, key=len, reverse=True)))
    for pair, request in single_requests(language):
        if pair.kind in WITHOUT_CLASSES:
            continue
        said = {phrases[phrase] for phrase in any_phrase.findall(pair.text.lower())}
        assert said == set(request.classes) or (not request.classes and said == set(CLASSES)), pair


@pytest.mark.usefixtures("_no_slips")
@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("language", ["en", "zh"])
def test_digits_and_units(language, part):
    names = {unit: sections(language)[f"unit {unit}"].known for unit in UNITS}
    for pair, request in single_requests(language, part, 600):
        distance = request.region.distance
        in_digits = [float(number) for number in re.findall(r"\d+(?:\.\d+)?", pair.text)]
        asked = [] if distance is None else list(distance.values)
        assert in_digits in ([], asked), pair
        if asked:
            words = "|".join(word for name in names[distance.unit] for word in name.split(" | "))
            assert re.search(rf"({words})(?![a-z])", pair.text.lower()), pair


def english_value(text):
    text = text.replace("-", " ")
    if text.endswith(" and a half"):
        return english_value(text.removesuffix(" and a half")) + 0.5
    whole, _, behind = text.partition(" point ")
    hundreds, hundred, rest = whole.rpartition("hundred")
    value = (1 if hundreds.strip() == "a" else ENGLISH.get(hundreds.strip(), 0)) * 100 if hundred else 0
    value += sum(ENGLISH[word] for word in rest.split() if word != "and")
    return value + sum(ENGLISH[word] / 10 ** (place + 1) for place, word in enumerate(behind.split()))


def chinese_value(text):
    digits = dict(zip("零一二三四五六七八九两", [*range(10), 2], strict=True))
    whole, _, behind = text.partition("点")
    value, digit = 0, None
    for character in whole:
        if character in "十百":
            value += (1 if digit is None else digit) * (10 if character == "十" else 100)
            digit = None
        else:
            digit = digits[character] or None
    return value + (digit or 0) + sum(digits[c] / 10 ** (place + 1) for place, c in enumerate(behind))


@pytest.mark.parametrize("style", [0, 1])
def test_number_words(style):
    for hundredths in [*range(2200), *range(9000, 100000, 370), *range(0, 100000, 700)]:
        value = hundredths / 100
        assert english_value(numbers.english(value, style)) == pytest.approx(value)
        assert chinese_value(numbers.chinese(value, style)) == pytest.approx(value)


@pytest.mark.parametrize(
    ("value", "english", "chinese"),
    [
        (105, "a hundred and five", "一百零五"),
        (2.5, "two and a half", "二点五"),
        (2, "two", "两"),
        (110, "a hundred and ten", "一百一十"),
    ],
)
def test_numbers_are_said_as_people_say_them(value, english, chinese):
    assert numbers.english(value) == english
    assert numbers.chinese(value) == chinese


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_half_is_said_with_its_unit(language):
    speaker = phrases.Speaker(language, CLASSES, False, random.Random(0))
    said = [
        speaker.lengths("{d}", Distance("within", (value,), "km")) for value in (0.5, 2.5) for _ in range(80)
    ]
    assert {"en": "half a kilometre", "zh": "半公里"}[language] in said
    assert {"en": "two and a half kilometres", "zh": "两公里半"}[language] in said


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("language", ["en", "zh"])
def test_any_request_can_be_put_into_words(language, part):
    rng = random.Random(5)
    distances = [
        None,
        Distance("within", (2500,), "ft"),
        Distance("between", (0.125, 3)),
        Distance("at", (20,)),
    ]
    for kind in KINDS:
        for names in [(), ("boundary",), ("divider", "ped_crossing")]:
            for sides in [(), *((side,) for side in SIDES), ("ahead", "left"), ("behind", "right")]:
                for distance in distances:
                    try:
                        request = Request(kind, names, Region(sides, distance))
                    except MapLLaVAError:
                        continue
                    assert word([request, Request("lanes")][: 1 + len(names)], language, part, CLASSES, rng)


def test_what_cannot_be_worded_is_refused():
    rng = random.Random(0)
    for arguments, says in [
        ((Request("draw"), "fr", "train", CLASSES), "language 'fr'"),
        ((Request("draw"), "en", "test", CLASSES), "part 'test'"),
        ((Request("draw"), "en", "train", ()), "classes is empty"),
        ((Request("draw", ("tree",)), "en", "train", CLASSES), "class 'tree'"),
        (((), "en", "train", CLASSES), "one to three requests"),
    ]:
        with pytest.raises(MapLLaVAError, match=says):
            word(*arguments, rng)


def test_a_map_is_not_refused_its_own_classes_but_those_of_other_maps():
    things = unanswerable.other_things("en", ("stop_line", "boundary"), held_out=False)
    assert "crosswalk | crosswalks" in things
    assert "tree | trees" in things
    assert not {"stop line | stop lines", "road edge | road edges"} & set(things)
