"""What a map answers: values, the lines they rest on, and whether they would change without doubtful ones.

The street of these tests runs along the car: four lanes between kerbs at -6.5 and 7.5 m, the car in the
second from the left; a crossing 10 m ahead; a side street to the right, 15 to 25 m ahead; a crossing 20 m
behind.
"""

import re

import numpy as np
import pytest

from mapllava.errors import MapLLaVAError
from mapllava.language import execute, read_request
from mapllava.structures import MapLines, MapSpec

SPEC = MapSpec()


def ring(x0, y0, x1, y1):
    return np.array([[x0, y0], [x0, y1], [x1, y1], [x1, y0], [x0, y0]], dtype=float)


def street():
    lines = {
        "left kerb": (2, [[-6.5, -29.8], [-6.5, 29.8]]),
        "right kerb": (2, [[7.5, -29.8], [7.5, 13], [7.8, 14.2], [8.5, 14.8], [9.5, 15], [14.8, 15]]),
        "far kerb": (2, [[14.8, 25], [9.5, 25], [8.3, 25.4], [7.5, 27], [7.5, 29.8]]),
        "left divider": (0, [[-2.5, -30], [-2.5, 9]]),
        "own divider": (0, [[1.0, -30], [1.0, 9]]),
        "right divider": (0, [[4.2, -30], [4.2, 9]]),
        "crossing": (1, ring(-6.5, 10, 7.5, 13)),
        "crossing behind": (1, ring(-6.5, -22, 7.5, -20)),
    }
    points = [np.array(p, dtype=float) for _, p in lines.values()]
    return MapLines(points, np.array([label for label, _ in lines.values()])), list(lines)


def ask(text, lines=None, spec=SPEC, certainty=None):
    return execute(read_request(text, SPEC.classes), lines or street()[0], spec, certainty)


ANSWERS = [
    ("count: ped_crossing", 2, {"crossing", "crossing behind"}, "There are 2 pedestrian crossings."),
    ("count: ped_crossing; ahead left", 1, {"crossing"},
     "There is 1 pedestrian crossing ahead on the left."),
    ("count: divider; ahead; between 10 and 30 m", 0, set(),
     "There are no lane dividers ahead between 10 and 30 m away."),
    ("exists: ped_crossing; ahead; within 9 m", False, set(),
     "No, there is no pedestrian crossing ahead within 9 m."),
    ("exists: ped_crossing; ahead; within 40 ft", True, {"crossing"},
     "Yes, there is a pedestrian crossing ahead within 40 ft."),
    ("exists: ped_crossing; ahead; at 20 m", False, set(), "No, there is no pedestrian crossing 20 m ahead."),
    ("distance: ped_crossing; ahead", 10.0, {"crossing"},
     "The nearest pedestrian crossing ahead is 10.0 m away."),
    ("distance: divider; left; between 5 and 15 m", 5.0, {"left divider"},
     "The nearest lane divider on the left between 5 and 15 m away is 5.0 m away."),
    ("distance: ped_crossing; ahead; at 28 m", None, set(), "There is no pedestrian crossing 28 m ahead."),
    ("nearest: all", "divider", {"own divider"},
     "The nearest is a lane divider, 1.0 m away, 90° to the right."),
    ("nearest: ped_crossing, boundary; left", "boundary", {"left kerb"},
     "The nearest on the left is a road boundary, 6.5 m away, 90° to the left."),
    ("side: boundary", "left", {"left kerb"},
     "The nearest road boundary is on the left, 6.5 m away."),
    ("side: divider", "right", {"own divider"},
     "The nearest lane divider is on the right, 1.0 m away."),
    ("side: ped_crossing; behind", "behind", {"crossing behind"},
     "The nearest pedestrian crossing behind is straight behind, 20.0 m away."),
    ("side: ped_crossing; at 28 m", None, set(), "There is no pedestrian crossing 28 m ahead."),
    ("lanes:", 4, {"left divider", "left kerb", "own divider", "right divider", "right kerb"},
     "4 lanes at the car: the car's own, 1 to its left, 2 to its right."),
    ("lanes:; left", 1, {"left divider", "left kerb"},
     "1 lane lies to the left of the car's own lane at the car."),
    ("lanes:; right; at 20 m", None, set(), "No line on the right tells the lanes 20 m ahead."),
    ("lanes:; left; at 20 m", 0, {"left kerb"},
     "No lane lies to the left of the car's own lane 20 m ahead."),
    ("lanes:; behind right; at 10 m", 2, {"own divider", "right divider", "right kerb"},
     "2 lanes lie to the right of the car's own lane 10 m behind."),
    ("junction:", True, {"right kerb", "far kerb"},
     "Yes, there is a junction, about 18 m away."),
    ("junction:; behind", False, set(), "No, the lines show no junction behind."),
    ("describe:; ahead; within 12 m", 6,
     {"left kerb", "right kerb", "left divider", "own divider", "right divider", "crossing"},
     "The map ahead within 12 m shows 3 lane dividers (nearest 1.0 m away), 1 pedestrian crossing "
     "(10.0 m away) and 2 road boundaries (nearest 6.5 m away); 4 lanes at the car, "
     "its own included; no junction."),
]  # fmt: skip


@pytest.mark.parametrize(("text", "value", "cited", "words"), ANSWERS, ids=[case[0] for case in ANSWERS])
def test_the_street_answers(text, value, cited, words):
    lines, names = street()
    answer = ask(text, lines)
    assert answer.value == (pytest.approx(value) if isinstance(value, float) else value)
    assert type(answer.value) is type(value)
    assert {names[index] for index in answer.cited} == cited
    assert answer.text == words
    assert answer.unit == ("m" if isinstance(value, float) else None)
    assert answer.scores == (1.0,) * len(cited)
    assert answer.certain


@pytest.mark.parametrize("text", [case[0] for case in ANSWERS])
def test_the_frame_does_not_matter(text):
    lines, _ = street()
    turned = MapLines([np.stack([p[:, 1], -p[:, 0]], 1) for p in lines.points], lines.labels)
    answer, other = ask(text, lines), ask(text, turned, MapSpec("ego", (-30.0, -15.0, 30.0, 15.0)))
    assert (answer.cited, answer.text_in("zh")) == (other.cited, other.text_in("zh"))


@pytest.mark.parametrize("text", [case[0] for case in ANSWERS])
def test_a_mirrored_street_answers_a_mirrored_request(text):
    lines, _ = street()
    mirrored = MapLines([p * [-1, 1] for p in lines.points], lines.labels)
    swap = {"left": "right", "right": "left"}
    words = re.sub("left|right", lambda word: swap[word.group()], text)
    answer, other = ask(text, lines), ask(words, mirrored)
    assert other.cited == answer.cited
    assert other.value == swap.get(answer.value, answer.value)


@pytest.mark.parametrize("text", [case[0] for case in ANSWERS])
def test_what_is_cited_gives_the_answer_alone(text):
    lines, _ = street()
    answer = ask(text, lines)
    again = ask(text, lines.at(answer.cited))
    assert (again.value, again.text) == (answer.value, answer.text)
    assert again.cited == tuple(range(len(answer.cited)))


def test_draw_gives_the_cut_map():
    lines, names = street()
    answer = ask("draw: divider, ped_crossing; ahead; within 11 m", lines)
    assert {names[index] for index in answer.cited} == {
        "left divider",
        "own divider",
        "right divider",
        "crossing",
    }
    assert answer.value == len(answer.lines.points) == 4
    assert max(np.hypot(*points.T).max() for points in answer.lines.points) <= 11 + 1e-9
    assert answer.text == "Drawn: 4 lane dividers or pedestrian crossings ahead within 11 m."


def test_the_car_on_a_crossing_is_no_distance_from_it():
    lines = MapLines([ring(-4, -1, 4, 2)], np.array([1]))
    assert ask("distance: ped_crossing", lines).value == 0.0
    assert ask("side: ped_crossing", lines).text == "The nearest pedestrian crossing is under the car."
    assert ask("distance: boundary", MapLines(lines.points, np.array([2]))).value == 1.0


def test_an_answer_is_certain_where_it_stays_without_the_doubtful_lines():
    lines, names = street()
    scores = dict.fromkeys(names, 0.9)
    scores.update({"crossing": 0.4, "own divider": 0.4, "far kerb": 0.4})
    lines.scores = np.array(list(scores.values()))
    certainty = {"divider": 0.5, "ped_crossing": 0.5, "boundary": 0.5}

    def certain(text):
        return ask(text, lines, certainty=certainty).certain

    assert not certain("exists: ped_crossing; ahead")  # the only one there is doubtful
    assert certain("exists: ped_crossing")  # another, surer, is behind
    assert not certain("count: ped_crossing")
    assert not certain("distance: divider")  # 1.0 m, and 2.5 without the doubtful one
    assert certain("distance: divider; left")
    assert not certain("lanes:; right")
    assert certain("lanes:; left")
    assert certain("junction:")  # one of its two corners is enough
    assert not certain("draw: ped_crossing")
    assert certain("draw: ped_crossing; behind")
    assert ask("exists: ped_crossing; ahead", lines).certain  # nobody said what is certain
    doubtful = ask("exists: ped_crossing; ahead", lines, certainty=certainty)
    assert (doubtful.value, doubtful.scores) == (True, (0.4,))
    assert doubtful.text == "Yes, there is a pedestrian crossing ahead. (not certain)"
    assert doubtful.text_in("zh") == "有，前方有人行横道。（不确定）"


def test_an_answer_is_certain_where_it_stays_with_what_is_nearly_shown():
    lines, _ = street()
    lines.scores = np.full(len(lines.points), 0.9)
    nearly = MapLines([ring(-6.5, 4, 7.5, 6)], np.array([1]), np.array([0.2]))

    def certain(text):
        return execute(read_request(text, SPEC.classes), lines, SPEC, None, nearly).certain

    assert not certain("count: ped_crossing")
    assert not certain("distance: ped_crossing; ahead")
    assert not certain("exists: ped_crossing; ahead; within 8 m")
    assert certain("exists: ped_crossing; ahead")
    assert certain("count: ped_crossing; behind")
    answer = execute(read_request("count: ped_crossing", SPEC.classes), lines, SPEC, None, nearly)
    assert (answer.value, answer.cited) == (2, (6, 7))


def test_a_double_line_has_no_lane_within():
    lines, _ = street()
    lines.points.append(np.array([[-2.8, -30.0], [-2.8, 9]]))
    lines.labels = np.append(lines.labels, 0)
    answer = ask("lanes:; left", lines)
    assert (answer.value, answer.cited) == (1, (0, 3, 8))


def test_an_empty_map_answers_everything():
    for text, *_ in ANSWERS:
        answer = ask(text, MapLines([], np.array([])))
        assert answer.cited == ()
        assert answer.value in (None, 0, False)
        assert answer.text


def test_a_map_without_lines_of_lanes_says_so():
    spec = MapSpec(classes=("ped_crossing",))
    lines = MapLines([ring(-4, 3, 4, 6)], np.array([0]))
    with pytest.raises(MapLLaVAError, match="'divider' and 'boundary', and this map has ped_crossing alone"):
        execute(read_request("lanes:", spec.classes), lines, spec)
    described = execute(read_request("describe:", spec.classes), lines, spec)
    assert described.text == "The map shows 1 pedestrian crossing (3.0 m away)."
    assert described.text_in("zh") == "地图上：1条人行横道（距车3.0米）。"


def test_a_map_without_kerbs_does_not_say_that_there_is_no_junction():
    spec = MapSpec(classes=("divider", "ped_crossing"))
    lines = MapLines([np.array([[2.0, -20.0], [2.0, 20.0]])], np.array([0]))
    with pytest.raises(MapLLaVAError, match="class 'boundary', and this map has divider, ped_crossing alone"):
        execute(read_request("junction:", spec.classes), lines, spec)
    assert "junction" not in execute(read_request("describe:", spec.classes), lines, spec).text


@pytest.mark.parametrize(
    "text", ["exists: divider; at 100 m", "count: all; between 40 and 50 m", "lanes:; at 40 m"]
)
def test_nothing_is_certain_of_a_region_off_the_map(text):
    assert "(not certain)" in ask(text).text


def test_all_that_a_sentence_says_must_stay_to_be_certain():
    xs, labels, scores = [2.0, -2.0, 5.5, 9.0, -9.0], [0, 0, 0, 2, 2], [0.9, 0.9, 0.4, 0.9, 0.9]
    lines = MapLines([np.array([[x, -9.0], [x, 1.0]]) for x in xs], np.array(labels), np.array(scores))
    nearly = MapLines([np.array([[-5.5, -9.0], [-5.5, 1.0]])], np.array([0]), np.array([0.2]))
    sure = dict.fromkeys(SPEC.classes, 0.5)

    def certain(text, certainty, nearly):
        return execute(read_request(text, SPEC.classes), lines, SPEC, certainty, nearly).certain

    far = "describe:; ahead; between 12 and 20 m"  # holds the line in doubt nowhere, but its lanes rest on it
    assert not certain(far, sure, None)
    assert not certain(far, None, nearly)
    assert certain(far, None, None)


CHINESE = {
    "count: ped_crossing; ahead left": "左前方有1条人行横道。",
    "exists: ped_crossing; ahead; at 20 m": "没有，前方20米处没有人行横道。",
    "distance: divider; left; between 5 and 15 m": "左侧5到15米之间最近的车道分隔线距车5.0米。",
    "nearest: all": "最近的是车道分隔线，距车1.0米，偏右90°。",
    "side: ped_crossing; behind": "后方最近的人行横道在正后方，距车20.0米。",
    "lanes:": "车旁共有4条车道（含本车道）：左侧1条，右侧2条。",
    "lanes:; left; at 20 m": "前方20米处本车道左侧没有车道。",
    "junction:": "有，有路口，距车约18米。",
    "describe:; ahead; within 12 m": "前方12米内地图上：3条车道分隔线（最近的距车1.0米），"
    "1条人行横道（距车10.0米），2条道路边界（最近的距车6.5米）；车旁共4条车道（含本车道）；没有路口。",
}


def test_a_line_of_one_point_is_as_near_as_the_point():
    lines = MapLines([np.array([[3.0, 4.0]])], np.array([0]))
    assert ask("distance: divider", lines).value == 5
    assert ask("side: divider", lines).value == "right"


@pytest.mark.parametrize("text", CHINESE)
def test_answers_in_chinese(text):
    assert ask(text).text_in("zh") == CHINESE[text]


def test_another_language_is_refused():
    with pytest.raises(MapLLaVAError, match="en and zh, not in 'de'"):
        ask("lanes:").text_in("de")
