import copy

import numpy as np
import pytest

from mapllava import gt_cache
from mapllava.errors import MapLLaVAError
from mapllava.gt_cache.inspect.compare import SampleComparison, diff, hausdorff_matrix
from mapllava.gt_cache.inspect.verify import verify
from mapllava.structures import MapSpec

CLASSES = ["divider", "ped_crossing", "boundary"]


def line(points, label=0, closed=False):
    return {"label": label, "points": np.array(points, dtype=np.float64), "closed": closed}


def entry(*lines, token="a"):
    camera = {"cam2img": np.eye(3), "lidar2cam": np.eye(4)}
    poses = {"lidar2ego": np.eye(4), "ego2global": np.eye(4)}
    return {"sample_token": token, "polylines": list(lines), "cams": {"CAM_FRONT": camera}, **poses}


def compare(first, second):
    comparison = SampleComparison()
    comparison.add(first, second, CLASSES)
    return comparison


STRAIGHT = [[0, 0], [0, 10]]


def test_hausdorff_distances_by_hand():
    first = [line(STRAIGHT), line([[5, 0], [5, 10]])]
    second = [line([[0, 0], [0, 5], [0, 10]]), line([[0, 0], [0, 12]])]
    assert hausdorff_matrix(first, second).tolist() == [[0, 2], [5, np.sqrt(25 + 4)]]
    assert hausdorff_matrix([], second).shape == (0, 2)


def test_an_added_vertex_on_a_line_and_another_order_of_lines_are_no_difference():
    first = entry(line(STRAIGHT), line([[5, 0], [5, 10]]))
    second = entry(line([[5, 0], [5, 10]]), line([[0, 0], [0, 5], [0, 10]]))
    comparison = compare(first, second)
    assert comparison.identical
    assert comparison.distances == [0.0, 0.0]


@pytest.mark.parametrize(
    ("other", "kind", "distance"),
    [
        ([line([[0.05, 0], [0.05, 10]])], "moved", 0.05),
        ([line([[3, 0], [3, 10]])], "only first", np.inf),  # and one only in the second
        ([], "only first", np.inf),
        ([line(STRAIGHT, label=2)], "only first", np.inf),
        ([line(STRAIGHT, closed=True)], "closedness", 0.0),
    ],
)
def test_what_differs_is_named(other, kind, distance):
    comparison = compare(entry(line(STRAIGHT)), entry(*other))
    first = comparison.differences[0]
    assert (first.sample_token, first.class_name, first.kind) == ("a", "divider", kind)
    assert first.distance == pytest.approx(distance)
    assert not comparison.identical


def directed(points, closed=False):
    return {**line(points, closed=closed), "directed": True}


RING = [[0, 0], [10, 0], [10, 10], [0, 10], [0, 0]]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (directed(STRAIGHT), directed(STRAIGHT[::-1])),
        (directed(STRAIGHT), directed([[0.05, 10], [0.05, 0]])),  # moved as well
        (directed(RING, closed=True), directed(RING[::-1], closed=True)),
        (directed(STRAIGHT), line(STRAIGHT)),
    ],
)
def test_a_directed_line_that_runs_the_other_way_is_no_parity(first, second):
    comparison = compare(entry(first), entry(second))
    assert [d.kind for d in comparison.differences] == ["reversed"]
    assert not comparison.equivalent


def test_direction_counts_for_directed_lines_only():
    assert compare(entry(line(STRAIGHT)), entry(line(STRAIGHT[::-1]))).identical
    assert compare(entry(directed(STRAIGHT)), entry(directed([[0, 0.001], [0, 10]]))).identical
    turned = [*RING[1:], RING[1]]
    assert compare(entry(directed(RING, True)), entry(directed(turned, True))).identical


def test_parity_allows_one_line_in_a_hundred_ten_centimetres():
    comparison = SampleComparison()
    for index in range(100):
        moved = 0.09 if index == 0 else 0.005
        comparison.add(entry(line(STRAIGHT)), entry(line([[moved, 0], [moved, 10]])), CLASSES)
    assert comparison.equivalent
    assert not comparison.identical
    comparison.add(entry(line(STRAIGHT)), entry(line([[0.09, 0], [0.09, 10]])), CLASSES)
    assert not comparison.equivalent  # two of 101
    assert not compare(entry(line(STRAIGHT)), entry(line([[0.2, 0], [0.2, 10]]))).equivalent
    assert not compare(entry(line(STRAIGHT)), entry()).equivalent


def test_a_moved_camera_is_no_parity():
    second = entry(line(STRAIGHT))
    second["cams"]["CAM_FRONT"]["lidar2cam"] = np.diag([1.0, 1, 1, 1]) + np.eye(4, k=3) * 0.01
    comparison = compare(entry(line(STRAIGHT)), second)
    assert comparison.changed_poses == ["a"]
    assert not comparison.equivalent


@pytest.fixture
def changed_copy(city_cache):
    """Gives a changed copy of the training cache."""

    def write(change):
        content = gt_cache.load(city_cache["train"])
        change(content)
        content["metainfo"]["num_samples"] = len(content["data_list"])
        return content

    return write


def test_diff_of_a_cache_with_itself_and_with_a_changed_copy(city_cache, changed_copy):
    train = gt_cache.load(city_cache["train"])
    assert diff(train, train).identical

    def change(content):
        del content["data_list"][0]
        content["data_list"][0]["polylines"].pop()

    found = diff(train, changed_copy(change))
    assert len(found.only_first) == 1
    assert found.only_second == []
    assert [d.kind for d in found.comparison.differences] == ["only first"]
    assert set(found.metainfo) == {"num_samples"}


def test_diff_refuses_what_cannot_be_compared(city, city_cache, tmp_path):
    other = gt_cache.build(city, "v1.0-mini", "val", tmp_path, spec=MapSpec(classes=("divider",)))
    with pytest.raises(MapLLaVAError, match="the first cache has classes"):
        diff(gt_cache.load(city_cache["val"]), gt_cache.load(other))


def test_verify_finds_its_source_and_a_moved_line(city, city_cache, changed_copy):
    found = verify(gt_cache.load(city_cache["train"]), city, num=4, seed=1)
    assert found.samples == 4
    assert found.identical

    def change(content):
        for sample in content["data_list"]:
            sample["polylines"][0]["points"] = sample["polylines"][0]["points"] + 0.3

    changed = changed_copy(change)
    found = verify(changed, city, num=None)
    assert found.samples == 12
    assert not found.equivalent
    assert {d.kind for d in found.differences} == {"moved"}
    with pytest.raises(MapLLaVAError, match="at least one"):
        verify(changed, city, num=0)


def test_verify_names_a_scene_that_is_gone(city, city_cache, changed_copy):
    def change(content):
        content["data_list"][0]["scene_name"] = "scene-9999"

    with pytest.raises(MapLLaVAError, match="scene-9999"):
        verify(changed_copy(change), city, num=None)


def test_comparing_leaves_the_entries_alone(city_cache):
    content = gt_cache.load(city_cache["val"])
    before = copy.deepcopy(content["data_list"][0])
    compare(content["data_list"][0], content["data_list"][0])
    assert (
        before["polylines"][0]["points"].tolist()
        == content["data_list"][0]["polylines"][0]["points"].tolist()
    )
