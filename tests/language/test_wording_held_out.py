"""What is held out for testing occurs in no training pair, and what is tested holds it."""

import re

import pytest

from mapllava.language.request import KINDS, WITHOUT_CLASSES
from mapllava.language.wording import sample_pairs
from mapllava.language.wording.tables import sections, templates

CLASSES = ("divider", "ped_crossing", "boundary")
LANGUAGES = ("en", "zh")


def held_out_words(language, *kinds):
    found = []
    for name, section in sections(language).items():
        if name.split(" ")[0] in kinds:
            found += [word for entry in section.held_out for word in entry.split(" | ")]
    return found


def holds(text, words, language):
    pattern = "|".join(map(re.escape, words))
    return re.search(rf"\b({pattern})\b" if language == "en" else pattern, text.lower())


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_held_out_word_is_in_training(language):
    words = held_out_words(language, "class", "side", "other")
    assert len(words) > 40
    entries = [entry for section in sections(language).values() for entry in section.known]
    texts = [pair.text for pair in sample_pairs(4, 2000, language, "train", CLASSES)]
    assert not [text for text in [*entries, *texts] if holds(text, words, language)]


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_held_out_template_is_in_training(language):
    for name, section in sections(language).items():
        plain = {re.sub(r"\W", "", entry.lower()) for entry in section.known}
        assert not [entry for entry in section.held_out if re.sub(r"\W", "", entry.lower()) in plain], name
        assert len(section.held_out) == len(set(section.held_out))


def words_of(template, language):
    plain = re.sub(r"\{.*?\}", " ", template.lower())
    return set(re.findall(r"[a-z']+" if language == "en" else r"[\u4e00-\u9fff]", plain))


@pytest.mark.parametrize("language", LANGUAGES)
def test_held_out_templates_hold_no_new_word(language):
    known = set()
    for name, section in sections(language).items():
        if name != "confused":
            known |= set().union(*(words_of(entry, language) for entry in section.known))
    for name, section in sections(language).items():
        if name.split(" ")[0] not in ("class", "side", "other"):
            new = {entry: words_of(entry, language) - known for entry in section.held_out}
            assert not {entry: words for entry, words in new.items() if words}, name


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_pair_of_held_out_words_has_one(language):
    words = held_out_words(language, "class", "side", "other")
    classes = held_out_words(language, "class")
    for pair in sample_pairs(6, 1000, language, "words", CLASSES):
        assert holds(pair.text, words, language), pair
        if pair.kind in KINDS and pair.kind not in WITHOUT_CLASSES:
            assert holds(pair.text, classes, language), pair


@pytest.mark.parametrize(("language", "least"), [("en", 15), ("zh", 10)])
def test_there_are_many_ways_to_ask(language, least):
    for kind in KINDS:
        found = templates(language, (kind,))
        known = [template for template in found if not template.held_out]
        assert len(known) >= least
        assert 0.15 < 1 - len(known) / len(found) < 0.3, kind
