"""Sentences that are no request about the map, or none that can be answered; some come very near to one."""

from __future__ import annotations

from mapllava.language.request import KINDS, WITHOUT_CLASSES, Distance, Region, Request
from mapllava.language.wording.noise import pick
from mapllava.language.wording.phrases import CLASS_SLOTS, slots
from mapllava.language.wording.sampling import sample_distance, sample_request
from mapllava.language.wording.tables import Template, sections, templates
from mapllava.language.wording.writer import Writer, tidy

_OTHER, _PARTLY, _MIXED = 0.45, 0.1, 0.25
_ASKING = tuple(kind for kind in KINDS if kind not in WITHOUT_CLASSES)


def sample(writer: Writer) -> str:
    """A sentence of its own, one about things that the map does not have, or one of which half is.

    In held-out words, only the things that the map does not have are new.
    """
    luck = writer.rng.random()
    if luck < _OTHER or writer.part == "words":
        return writer.finish(writer.wrap(_about_other_things(writer)))
    if luck < _OTHER + _PARTLY:
        template = pick(writer.rng, [one for one in _templates(writer, _ASKING) if one.stands_alone])
        answerable = writer.fill(template, [_request(writer, template)])
        other = _about_other_things(writer, clauses=False)
        return writer.join([answerable, other] if writer.rng.random() < 0.5 else [other, answerable])
    template = pick(writer.rng, _templates(writer, ("none",)))
    text = writer.fill(template, [_request(writer, template)])
    if "{d}" in text:
        within = Distance("within", sample_distance(writer.rng, "draw").values[:1])
        text = writer.speaker.lengths(text, within)
    return writer.finish(writer.wrap(text))


def other_things(language: str, classes: tuple[str, ...], held_out: bool) -> list[str]:
    """``singular | plural`` of things that a map of these classes does not have.

    That is also the words of classes that other maps have.
    """
    tables = sections(language)
    absent = [name for name in tables if name.startswith("class ") and name.split(" ", 1)[1] not in classes]
    own = {name.replace("_", " ") for name in classes}
    entries = [
        entry for name in ("other", *absent) if name in tables for entry in tables[name].entries(held_out)
    ]
    return [entry for entry in entries if not own & set(entry.split(" | "))]


def _about_other_things(writer: Writer, clauses: bool = True) -> str:
    found = [one for one in _templates(writer, _ASKING) if slots(one.text, 0) & set(CLASS_SLOTS)]
    template = pick(writer.rng, [one for one in found if clauses or one.stands_alone])
    things = other_things(writer.language, writer.classes, writer.part == "words")
    words = [pick(writer.rng, things)]
    if "either" in slots(template.text, 0) or writer.rng.random() < _MIXED:
        words.append(writer.speaker.one_class(pick(writer.rng, writer.classes)))
        words.sort(key=lambda _: writer.rng.random())
    region = _request(writer, template).region
    left = tuple(side for side in region.sides if side not in template.sides)
    return tidy(writer.speaker.fill_words(template.text, 0, words, Region(left, region.distance)))


def _templates(writer: Writer, kinds: tuple[str, ...]) -> list[Template]:
    held_out = writer.part == "templates"
    return [one for kind in kinds for one in templates(writer.language, (kind,)) if one.held_out == held_out]


def _request(writer: Writer, template: Template) -> Request:
    kind = template.kinds[0] if template.kinds[0] in KINDS else "draw"
    return sample_request(writer.rng, kind, template, 0, writer.classes, writer.speakable)
