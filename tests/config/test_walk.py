"""The walk: every place once, the whole before its parts, changes seen."""

from mmengine.config import Config

from mapllava.config.walk import at, dicts, walk

CFG = {
    "a": {"type": "A", "parts": [{"type": "B"}, ({"x": 1},), "text"]},
    "b": {"architecture": {"type": "c"}},
}


def test_every_place_is_given_once_the_whole_before_its_parts():
    expected = ["", "a", "a.type", "a.parts", "a.parts.0", "a.parts.0.type", "a.parts.1", "a.parts.1.0"]
    expected += ["a.parts.1.0.x", "a.parts.2", "b", "b.architecture", "b.architecture.type"]
    assert [where for where, _ in walk(CFG)] == expected
    assert [where for where, _ in walk(Config(CFG))] == expected
    assert [where for where, _ in walk(CFG["b"], "b", ["architecture"])] == ["b"]


def test_dicts_leave_hugging_faces_architecture_out():
    assert [where for where, _ in dicts(CFG, "cfg")] == [
        "cfg", "cfg.a", "cfg.a.parts.0", "cfg.a.parts.1.0", "cfg.b",
    ]  # fmt: skip


def test_what_is_changed_on_the_way_is_seen():
    cfg = {"a": {"old": 1}}
    seen = []
    for where, node in walk(cfg):
        seen.append(where)
        if where == "a":
            node["new"] = {"inner": 2}
            del node["old"]
    assert seen == ["", "a", "a.new", "a.new.inner"]


def test_a_place_is_looked_up_through_dicts_and_lists():
    assert at(Config(CFG), "a.parts.0.type") == "B"
    assert at(CFG, "a.parts.7.type") is None
    assert at(CFG, "a.type.deeper") is None
