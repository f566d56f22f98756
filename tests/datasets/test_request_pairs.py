"""Sentences as training and validation read them."""

import numpy as np
import pytest

from mapllava.datasets import RequestPairs
from mapllava.errors import MapLLaVAError
from mapllava.language import read_requests

SPEC = {
    "frame": "lidar",
    "roi": [-15.0, -30.0, 15.0, 30.0],
    "classes": ["divider", "ped_crossing", "boundary"],
}


def read(dataset):
    return [dataset[index]["data_samples"].metainfo for index in range(len(dataset))]


def test_validation_sees_the_same_pairs_of_every_part_each_time():
    dataset = RequestPairs(24, SPEC, parts=["train", "templates", "words"], seed=1)
    first = read(dataset)
    assert first == read(dataset)
    assert first == read(RequestPairs(24, SPEC, parts=["train", "templates", "words"], seed=1))
    assert first != read(RequestPairs(24, SPEC, parts=["train", "templates", "words"], seed=2))
    assert [each["part"] for each in first] == ["train"] * 24 + ["templates"] * 24 + ["words"] * 24
    assert {each["language"] for each in first} == {"en", "zh"}
    assert dataset.metainfo["split"] == "train+templates+words"
    for each in first:
        read_requests(each["canonical"], SPEC["classes"])


def test_training_draws_new_ones_by_the_visit_and_every_kind_in_an_epoch():
    dataset = RequestPairs(48, SPEC)
    np.random.seed(0)  # noqa: NPY002
    first, second = read(dataset), read(dataset)
    assert [each["text"] for each in first] != [each["text"] for each in second]
    np.random.seed(0)  # noqa: NPY002
    assert read(dataset) == first
    assert len({(each["kind"], each["language"]) for each in first}) == 22  # 11 kinds in two languages
    assert dataset[3]["inputs"] != ""


def test_a_part_that_is_none_is_named():
    with pytest.raises(MapLLaVAError, match=r"\['test'\].*train, templates, words"):
        RequestPairs(1, SPEC, parts=["test"])
