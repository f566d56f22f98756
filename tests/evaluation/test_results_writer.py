import json
import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mapllava.errors import MapLLaVAError
from mapllava.evaluation import (
    Display,
    MapResults,
    SampleRecord,
    load_results,
    save_results,
    write_results_stream,
)
from mapllava.structures import MapSpec
from mapllava.structures.rig import Distortion, Rig, RigCamera, RigSample

MAP = {"points": [np.array([[0.5, -1.0], [2.0, 30.0]])], "labels": np.array([2]), "scores": np.array([0.25])}
POSE = np.array(
    [[0.0, -1.0, 0.0, 411.3], [1.0, 0.0, 0.0, 1180.89], [0.0, 0.0, 1.0, 0.0], [0.0, 0.0, 0.0, 1.0]]
)
FRONT = RigCamera("front", (640, 480), np.diag([500.0, 500.0, 1.0]), POSE)
LEFT = replace(FRONT, name="left", distortion=Distortion("opencv", (-0.3, 0.1, 0.0, 0.0)))
DISPLAY = Display({"divider": 0.4, "ped_crossing": 0.35, "boundary": 0.45}, "best F1 at 1.0 m on val")


def rig_sample(folder: Path) -> RigSample:
    images = (folder / "drive" / "front.jpg", folder / "drive" / "left.jpg")
    return RigSample(
        "a", Rig((FRONT, LEFT)), images, "monday", 1_532_402_927_647_951, POSE, "EPSG:32632", "the yard"
    )


@pytest.fixture
def path(tmp_path):
    record = SampleRecord.of(rig_sample(tmp_path), POSE)
    with write_results_stream(tmp_path / "out" / "x.results.json", MapSpec(), display=DISPLAY) as stream:
        stream.add("a", MAP, record)
        stream.add("b", MAP)
    return tmp_path / "out" / "x.results.json"


def damage(path, change):
    body = json.loads(path.read_text())
    change(body)
    path.write_text(json.dumps(body))


def test_a_sample_comes_back_as_the_rig_saw_it(path):
    back = load_results(path)
    record, given = back.samples["a"], rig_sample(path.parents[1])
    assert (list(back.results), list(back.samples), back.display) == (["a", "b"], ["a"], DISPLAY)
    np.testing.assert_array_equal(record.lidar2ego, POSE)
    assert (record.scene, record.timestamp, record.crs, record.images, record.location) == (
        given.scene, given.timestamp, given.crs, given.images, "the yard",
    )  # fmt: skip
    np.testing.assert_array_equal(record.ego2global, POSE)
    for camera, expected in zip(record.cameras, (FRONT, LEFT), strict=True):
        assert (camera.name, camera.size, camera.distortion) == (
            expected.name,
            expected.size,
            expected.distortion,
        )
        np.testing.assert_array_equal(camera.cam2img, expected.cam2img)
        np.testing.assert_array_equal(camera.cam2ego, expected.cam2ego)


def test_saving_what_was_read_writes_the_same_file(path):
    copy = save_results(path.with_name("copy.results.json"), load_results(path))
    assert copy.read_bytes() == path.read_bytes()


def test_results_and_images_can_be_moved_together(path, tmp_path):
    assert json.loads(path.read_text())["samples"]["a"]["images"]["left"]["path"] == "../drive/left.jpg"
    (tmp_path / "elsewhere").mkdir()
    path.parent.rename(tmp_path / "elsewhere" / "out")
    moved = load_results(tmp_path / "elsewhere" / "out" / path.name)
    assert moved.samples["a"].images[0] == tmp_path / "elsewhere" / "drive" / "front.jpg"


def test_images_are_found_through_a_link_to_the_results_folder(path, tmp_path):
    (tmp_path / "far" / "away").mkdir(parents=True)
    link = tmp_path / "far" / "away" / "linked"
    link.symlink_to(path.parent)
    expected = (tmp_path / "drive" / "front.jpg").resolve()
    assert load_results(link / path.name).samples["a"].images[0] == expected


def test_images_far_from_the_results_are_named_absolutely(path, tmp_path):
    far = SampleRecord.of(rig_sample(Path("/data")), None)
    deep = tmp_path / "a" / "b" / "x.results.json"
    save_results(deep, MapResults(MapSpec(), "val", {"a": MAP}, samples={"a": far}))
    assert json.loads(deep.read_text())["samples"]["a"]["images"]["front"]["path"] == "/data/drive/front.jpg"


def test_a_frame_of_a_video_has_no_file_to_show_again(path):
    sample = replace(rig_sample(path.parent), images=(np.zeros((4, 4, 3), np.uint8),) * 2)
    results = MapResults(MapSpec(), "val", {"a": MAP}, samples={"a": SampleRecord.of(sample, None)})
    record = load_results(save_results(path, results)).samples["a"]
    assert record.images == (None, None)


def test_files_without_samples_say_nothing_of_them(tmp_path):
    path = save_results(tmp_path / "x.results.json", MapResults(MapSpec(), "val", {"a": MAP}))
    assert sorted(json.loads(path.read_text())) == sorted(
        ["format_version", "frame", "roi", "classes", "split", "version", "results"]
    )
    assert (load_results(path).samples, load_results(path).display) == ({}, None)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda b: b["samples"].update(z=b["samples"]["a"]), "sample z: it is in 'samples', but not in"),
        (lambda b: b["samples"]["a"].pop("crs"), r"sample a: it lacks \['crs'\]"),
        (lambda b: b["samples"]["a"].update(crs=4326), "crs is 4326"),
        (lambda b: b["samples"]["a"].update(timestamp=1.5), "timestamp is 1.5, not a whole number of micro"),
        (lambda b: b["samples"]["a"].update(scene=None), "scene is None, not a text"),
        (lambda b: b["samples"]["a"].update(images=[]), r"images is \[\], not an object"),
        (lambda b: b["samples"]["a"]["ego2global"].pop(), "ego2global is .* not 4 rows of 4"),
        (lambda b: b["samples"]["a"]["ego2global"][0].__setitem__(0, "1"), "ego2global is .* finite numbers"),
        (lambda b: b["samples"]["a"]["ego2global"][3].__setitem__(0, 9), "ego2global has the last row"),
        (lambda b: b["samples"]["a"]["images"]["left"].update(size=[0, 480]), "images.left.size is"),
        (lambda b: b["samples"]["a"]["images"]["left"].update(cam2img=None), "images.left: cam2img or"),
        (lambda b: b["samples"]["a"]["images"]["left"].update(path=7), "images.left.path is 7"),
        (lambda b: b["samples"]["a"]["images"]["left"]["distortion"].pop("model"), r"lacks \['model"),
        (lambda b: b.update(samples=[]), "'samples' is"),
        (lambda b: b.update(display={"thresholds": {}, "source": ""}), "for each of divider, ped"),
        (lambda b: b["display"]["thresholds"].update(divider=1.5), "display.thresholds.divider is 1.5"),
        (lambda b: b["display"].update(source=3), "display.source is 3"),
    ],
)  # fmt: skip
def test_damage_is_told_with_sample_and_key(path, change, message):
    damage(path, change)
    with pytest.raises(MapLLaVAError, match=message) as told:
        load_results(path)
    assert str(path) in str(told.value)


def write(path, *tokens, then=lambda: None):
    with write_results_stream(path, MapSpec()) as stream:
        for token in tokens:
            stream.add(token, MAP)
        then()


def test_a_block_that_fails_leaves_the_older_file_and_its_own_error(path):
    before = path.read_bytes()
    with pytest.raises(FileNotFoundError, match="no_image"):
        write(path, "a", then=Path("no_image.jpg").read_bytes)
    assert path.read_bytes() == before
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_a_sample_comes_once(path):
    with pytest.raises(ValueError, match="sample a comes a second time"):
        write(path, "a", "a")


def test_a_pose_that_is_not_finite_is_refused(tmp_path):
    lost = SampleRecord(ego2global=np.full((4, 4), np.nan))
    with pytest.raises(ValueError, match="sample a: a pose"):
        save_results(tmp_path / "x.json", MapResults(MapSpec(), "val", {"a": MAP}, samples={"a": lost}))
    assert not list(tmp_path.iterdir())


def test_memory_does_not_grow_with_the_number_of_samples(tmp_path):
    lines = {"points": [np.ones((200, 2))], "labels": [0], "scores": [0.5]}
    record = SampleRecord.of(rig_sample(tmp_path), POSE)
    path = tmp_path / "long.results.json"
    tracemalloc.start()
    with write_results_stream(path, MapSpec()) as stream:
        stream.add("first", lines, record)
        before, _ = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        for number in range(300):
            stream.add(str(number), lines, record)
        _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak - before < path.stat().st_size / 4
