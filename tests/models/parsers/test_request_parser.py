"""Words to requests: what a parser writes, how sure it is, what it refuses."""

import pytest
import torch
from mmengine.structures import BaseDataElement

from mapllava.language import NO_REQUEST, read_request, read_requests
from mapllava.models.parsers import RequestParser

SPEC = {
    "frame": "lidar",
    "roi": [-15.0, -30.0, 15.0, 30.0],
    "classes": ["divider", "ped_crossing", "boundary"],
}
PAIRS = {
    "crossings ahead": "draw: ped_crossing; ahead",
    "boundaries, lines": "draw: divider, boundary",
    "how far?": "distance: all",
    "a joke": NO_REQUEST,
}


def build(**options):
    torch.manual_seed(0)
    architecture = {
        "model_type": "llama",
        "vocab_size": 259,
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
    }
    language_model = {"type": "LanguageModel", "frozen": False, "architecture": architecture}
    return RequestParser(language_model, prompt="{text} = ", map_spec=SPEC, **options)


@pytest.fixture(scope="module")
def parser():
    """Has learned four sentences by heart."""
    model = build()
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    samples = [BaseDataElement(metainfo={"canonical": canonical}) for canonical in PAIRS.values()]
    for _ in range(120):
        optimizer.zero_grad()
        loss = model(list(PAIRS), samples, mode="loss")["loss_request"]
        loss.backward()
        optimizer.step()
        if loss < 0.005:
            break
    assert loss < 0.005
    return model


def test_what_it_has_learned_comes_out_as_requests(parser):
    found = parser.parse(list(PAIRS))
    assert [each.canonical for each in found] == list(PAIRS.values())
    assert [each.requests for each in found] == [
        read_requests(text, SPEC["classes"]) for text in PAIRS.values()
    ]
    assert [each.text for each in found] == list(PAIRS)
    assert all(0.5 < each.confidence <= 1 for each in found)


def test_a_batch_changes_nothing(parser):
    parser.batch_size = 1
    alone = parser.parse(list(PAIRS))
    parser.batch_size = 3
    for one, other in zip(alone, parser.parse(list(PAIRS)), strict=True):
        assert one.canonical == other.canonical
        assert one.confidence == pytest.approx(other.confidence, rel=1e-3)


def test_below_the_threshold_nothing_is_understood_but_what_was_read_is_told(parser):
    (surely,) = parser.parse(["crossings ahead"])
    parser.min_confidence = 1.0
    try:
        (unsure,) = parser.parse(["crossings ahead"])
    finally:
        parser.min_confidence = 0.5
    assert surely.understood
    assert not unsure.understood
    assert unsure.canonical == surely.canonical


def test_another_map_has_its_own_order_and_may_lack_a_class(parser):
    asked = ["boundaries, lines", "crossings ahead"]
    found = parser.parse(asked, classes=["boundary", "divider"])
    assert [each.canonical for each in found] == [PAIRS[text] for text in asked]
    assert found[0].requests == (read_request("draw: all", ["boundary", "divider"]),)
    assert not found[1].understood  # this map has no crossings


@pytest.mark.parametrize("more", [[], ["ped_crossing", "centerline"]])
def test_all_is_clear_of_a_map_with_the_same_classes_alone(parser, more):
    (found,) = parser.parse(["how far?"], classes=["boundary", "divider", *more])
    assert (found.canonical, found.understood) == ("distance: all", False)
    (found,) = parser.parse(["how far?"], classes=SPEC["classes"][::-1])
    assert found.requests == (read_request("distance: all", SPEC["classes"]),)


def test_whatever_a_model_without_training_writes_is_a_request():
    model = build(max_tokens=200)
    sentences = [f"{index} metres of 什么 {index * 7}" for index in range(4)]
    for canonical, confidence in model.write(sentences):
        read_requests(canonical, SPEC["classes"])
        assert 0 <= confidence <= 1


def test_a_text_without_end_is_not_understood():
    (found,) = build(max_tokens=3, min_confidence=0.0).parse(["anything"])
    assert (found.requests, found.confidence, found.canonical) == ((), 0.0, NO_REQUEST)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"prompt": "no place"}, "needs {text}"),
        ({"prompt": "{text} "}, "and words around it"),
        ({"map_spec": None}, "map_spec is missing"),
        ({"min_confidence": 1.5}, "in \\[0, 1\\]"),
    ],
)
def test_settings_that_cannot_work_are_refused(options, said):
    given = {"language_model": {}, "prompt": "{text} = ", "map_spec": SPEC, **options}
    with pytest.raises(ValueError, match=said):
        RequestParser(**given)
