"""Answers as sentences, English and Chinese."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mapllava.errors import MapLLaVAError
from mapllava.language.answers import Answer
from mapllava.language.request import Region

LANGUAGES = ("en", "zh")

_EN_NAMES = {
    "divider": ("lane divider", "lane dividers"),
    "ped_crossing": ("pedestrian crossing", "pedestrian crossings"),
    "boundary": ("road boundary", "road boundaries"),
}
_ZH_NAMES = {"divider": "车道分隔线", "ped_crossing": "人行横道", "boundary": "道路边界"}
_ZH_SIDES = {"ahead": "前", "behind": "后", "left": "左", "right": "右"}
_ZH_UNITS = {"m": "米", "km": "公里", "ft": "英尺", "yd": "码"}
_EN_WHERE = {
    "left": "on the left",
    "right": "on the right",
    "ahead": "straight ahead",
    "behind": "straight behind",
}
_ZH_WHERE = {"left": "在左侧", "right": "在右侧", "ahead": "在正前方", "behind": "在正后方"}


def sentence(answer: Answer, language: str) -> str:
    """What :meth:`Answer.text_in <mapllava.language.answers.Answer.text_in>` gives.

    Raises:
        MapLLaVAError: If the language is unknown.
    """
    if language not in LANGUAGES:
        raise MapLLaVAError(f"answers are given in {' and '.join(LANGUAGES)}, not in '{language}'")
    words = _english(answer) if language == "en" else _chinese(answer)
    if answer.certain:
        return words
    return f"{words} (not certain)" if language == "en" else f"{words}（不确定）"


def _english(answer: Answer) -> str:
    request, value, facts = answer.request, answer.value, answer.facts
    where, kind = _en_region(request.region), request.kind
    names = request.classes or answer.classes
    several, one = _en_names(names, 1, "or"), _en_names(names, 0, "or")
    if kind in ("draw", "count"):
        number = f"{value}" if value else "no"
        noun = one if value == 1 else several
        verb = "Drawn:" if kind == "draw" else "There is" if value == 1 else "There are"
        return f"{verb} {number} {noun}{where}."
    if kind == "exists":
        return f"Yes, there is a {one}{where}." if value else f"No, there is no {one}{where}."
    if kind == "lanes":
        return _en_lanes(answer)
    if kind == "junction":
        found = f"Yes, there is a junction{where}, about {facts.get('distance', 0):.0f} m away."
        return found if value else f"No, the lines show no junction{where}."
    if kind == "describe":
        return _en_description(answer, where)
    if value is None:
        return f"There is no {one}{where}."
    nearest, away = _en_names([facts["class"]], 0, ""), _en_away(facts["distance"])
    if kind == "nearest":
        return f"The nearest{where} is a {nearest}, {away}{_en_bearing(facts)}."
    if kind == "side":
        side = _EN_WHERE.get(str(value), "under the car")
        return f"The nearest {nearest}{where} is {side}" + ("." if value == "here" else f", {away}.")
    return f"The nearest {nearest}{where} is {away}."


def _en_names(names: Sequence[str], plural: int, joint: str) -> str:
    known = [_EN_NAMES.get(name, (name, f"{name} lines"))[plural] for name in names]
    return f" {joint} ".join([", ".join(known[:-1]), known[-1]]) if len(known) > 1 else known[0]


def _en_away(distance: float) -> str:
    return f"{distance:.1f} m away"


def _en_bearing(facts: Any) -> str:
    degrees = round(facts["bearing"])
    if facts["distance"] == 0:
        return ""
    if degrees == 0 or abs(degrees) == 180:
        return ", straight behind" if degrees else ", straight ahead"
    return f", {abs(degrees)}° to the {'left' if degrees > 0 else 'right'}"


def _en_region(region: Region) -> str:
    sides, distance = region.sides, region.distance
    along = [side for side in sides if side in ("ahead", "behind")]
    across = [f"on the {side}" for side in sides if side in ("left", "right")]
    if distance is not None and distance.relation == "at":
        along = [f"{distance.values[0]:g} {distance.unit} {along[0] if along else 'ahead'}"]
    words = " ".join([*along, *across])
    if distance is not None and distance.relation == "within":
        words += f" within {distance.values[0]:g} {distance.unit}"
    elif distance is not None and distance.relation == "between":
        low, high = distance.values
        words += f" between {low:g} and {high:g} {distance.unit} away"
    return f" {words.strip()}" if words else ""


def _en_lanes(answer: Answer) -> str:
    region, value, facts = answer.request.region, answer.value, answer.facts
    at = _en_region(Region(tuple(s for s in region.sides if s in ("ahead", "behind")), region.distance))
    place = at if region.distance is not None else " at the car"
    side = next((side for side in ("left", "right") if side in region.sides), None)
    if value is None:
        return f"No line{f' on the {side}' if side else ''} tells the lanes{place}."
    if side is not None:
        noun = "lane lies" if value in (0, 1) else "lanes lie"
        return f"{value or 'No'} {noun} to the {side} of the car's own lane{place}."
    noun = "lane" if value == 1 else "lanes"
    both = f"{facts['left']} to its left, {facts['right']} to its right"
    return f"{value} {noun}{place}: the car's own, {both}."


def _en_description(answer: Answer, where: str) -> str:
    parts = []
    for name, (count, distance) in answer.facts["classes"].items():
        noun = _en_names([name], int(count != 1), "")
        nearest = (
            ""
            if count == 0
            else f" ({_en_away(distance)})"
            if count == 1
            else f" (nearest {_en_away(distance)})"
        )
        parts.append(f"{count or 'no'} {noun}{nearest}")
    text = f"The map{where} shows {', '.join(parts[:-1])}{' and ' if parts[1:] else ''}{parts[-1]}"
    if (lanes := answer.facts["lanes"]) is not None:
        text += f"; {lanes} {'lane' if lanes == 1 else 'lanes'} at the car, its own included"
    if "junction" in answer.facts:
        junction = answer.facts["junction"]
        text += "; no junction" if junction is None else f"; a junction about {junction:.0f} m away"
    return f"{text}."


def _chinese(answer: Answer) -> str:
    request, value, facts, kind = answer.request, answer.value, answer.facts, answer.request.kind
    where = _zh_region(request.region)
    names = "或".join(_zh_name(name) for name in request.classes or answer.classes)
    if kind in ("draw", "count"):
        verb = "画出" if kind == "draw" else "有"
        return f"{where}{verb}{value}条{names}。" if value else f"{where}没有{names}。"
    if kind == "exists":
        return f"有，{where}有{names}。" if value else f"没有，{where}没有{names}。"
    if kind == "lanes":
        return _zh_lanes(answer)
    if kind == "junction":
        found = f"有，{where}有路口，距车约{facts.get('distance', 0):.0f}米。"
        return found if value else f"没有，从折线看{where}没有路口。"
    if kind == "describe":
        return _zh_description(answer, where)
    if value is None:
        return f"{where}没有{names}。"
    nearest, away = _zh_name(facts["class"]), f"距车{facts['distance']:.1f}米"
    if kind == "nearest":
        degrees = round(facts["bearing"])
        turned = (
            f"，偏{'左' if degrees > 0 else '右'}{abs(degrees)}°" if degrees and facts["distance"] else ""
        )
        return f"{where}最近的是{nearest}，{away}{turned}。"
    if kind == "side":
        side = _ZH_WHERE.get(str(value), "就在车下")
        return f"{where}最近的{nearest}{side}" + ("。" if value == "here" else f"，{away}。")
    return f"{where}最近的{nearest}{away}。"


def _zh_name(name: str) -> str:
    return _ZH_NAMES.get(name, name)


def _zh_region(region: Region) -> str:
    sides, distance = region.sides, region.distance
    across = "".join(_ZH_SIDES[side] for side in sides if side in ("left", "right"))
    along = "".join(_ZH_SIDES[side] for side in sides if side in ("ahead", "behind"))
    if distance is not None and distance.relation == "at":
        place = f"{along or '前'}方{distance.values[0]:g}{_ZH_UNITS[distance.unit]}处"
        return place + (f"{across}侧" if across else "")
    words = f"{across}{along}方" if along else f"{across}侧" if across else ""
    if distance is not None:
        lengths = "到".join(f"{value:g}" for value in distance.values)
        words += f"{lengths}{_ZH_UNITS[distance.unit]}{'内' if distance.relation == 'within' else '之间'}"
    return words


def _zh_lanes(answer: Answer) -> str:
    region, value, facts = answer.request.region, answer.value, answer.facts
    along = Region(tuple(s for s in region.sides if s in ("ahead", "behind")), region.distance)
    place = _zh_region(along) if region.distance is not None else "车旁"
    side = next((_ZH_SIDES[side] for side in ("left", "right") if side in region.sides), "")
    if value is None:
        return f"{place}{f'{side}侧' if side else ''}没有折线能说明车道。"
    if side:
        return f"{place}本车道{side}侧" + (f"有{value}条车道。" if value else "没有车道。")
    return f"{place}共有{value}条车道（含本车道）：左侧{facts['left']}条，右侧{facts['right']}条。"


def _zh_description(answer: Answer, where: str) -> str:
    parts = []
    for name, (count, distance) in answer.facts["classes"].items():
        nearest = f"（{'最近的' if count > 1 else ''}距车{distance:.1f}米）" if count else ""
        parts.append(f"{count}条{_zh_name(name)}{nearest}" if count else f"没有{_zh_name(name)}")
    text = f"{where}地图上：{'，'.join(parts)}"
    if (lanes := answer.facts["lanes"]) is not None:
        text += f"；车旁共{lanes}条车道（含本车道）"
    if "junction" in answer.facts:
        junction = answer.facts["junction"]
        text += "；没有路口" if junction is None else f"；约{junction:.0f}米处有路口"
    return f"{text}。"
