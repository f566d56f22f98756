import json
from dataclasses import replace

import cv2
import numpy as np
import pytest
import shapely

from mapllava import gt_cache
from mapllava.apis.album import Album, missing_images, names_of
from mapllava.apis.in_order import in_order
from mapllava.apis.ranking import best_and_worst_samples
from mapllava.apis.scene_frames import Frame, draw_frame, frames_of, real_fps
from mapllava.errors import MapLLaVAError
from mapllava.evaluation import MapResults
from mapllava.evaluation.sample_record import Display, SampleRecord
from mapllava.language import Parsed
from mapllava.structures import MapSpec
from mapllava.structures.rig import Distortion, RigCamera


@pytest.fixture(scope="module")
def cache(city_cache):
    return gt_cache.load(city_cache["val"])


def results_of(cache, keep=lambda k: True, **facts):
    """The ground truth as predicted, of the samples for which ``keep`` says so."""
    entries = {}
    for k, entry in enumerate(cache["data_list"]):
        lines = entry["polylines"] if keep(k) else []
        entries[entry["sample_token"]] = {
            "points": [line["points"] for line in lines],
            "labels": np.array([line["label"] for line in lines], dtype=np.int64),
            "scores": np.full(len(lines), 0.4),
        }
    return MapResults(MapSpec(), cache["metainfo"]["split"], entries, cache["metainfo"]["version"], **facts)


@pytest.fixture
def own_rig(tmp_path):
    """Results of an own rig: two cameras of different size, three moments, the last image gone."""
    cam2ego = np.array([[0, 0, 1, 1.5], [-1, 0, 0, 0], [0, -1, 0, 1.6], [0, 0, 0, 1.0]])
    cameras, paths = [], []
    for name, size in (("left", (160, 90)), ("right", (120, 100))):
        paths.append(tmp_path / f"{name}.png")
        cv2.imwrite(str(paths[-1]), np.full((size[1], size[0], 3), 90, dtype=np.uint8))
        k = np.array([[100.0, 0, size[0] / 2 - 0.5], [0, 100.0, size[1] / 2 - 0.5], [0, 0, 1]])
        cameras.append(RigCamera(name, size, k, cam2ego))
    mount = np.array([[0, 1, 0, 0.94], [-1, 0, 0, 0], [0, 0, 1, 1.8], [0, 0, 0, 1.0]])
    line = {
        "points": [np.array([[1.0, 5.0], [1.0, 25.0]])],
        "labels": np.array([0]),
        "scores": np.array([0.9]),
    }
    results = MapResults(MapSpec(), "unknown", {f"m{k}": line for k in range(3)}, source="own.json")
    for k, time in enumerate((2_000_000, 1_000_000, 3_000_000)):
        images = (paths[0], tmp_path / "gone.png" if k == 2 else paths[1])
        results.samples[f"m{k}"] = SampleRecord("drive", time, mount, cameras=tuple(cameras), images=images)
    return results


def test_an_own_rig_is_shown_without_a_cache(own_rig):
    album = Album(None, {"own": own_rig})
    assert album.tokens_of_scene(None) == ["m1", "m0", "m2"]
    samples = list(album.samples(album.tokens_of_scene("drive")))
    assert [path.rsplit("/", 1)[1] for path in missing_images(samples)] == ["gone.png"]
    samples[0].cameras[0].path.with_name("gone.png").write_text("no image")
    found = missing_images(samples)
    assert len(found) == 1
    assert found[0].endswith("gone.png (cannot be read)")
    left, right = samples[2].views()
    assert left.image.shape == (90, 160, 3)
    assert right.label == "right, cannot be read: gone.png"
    assert right.image.shape == (100, 120, 3)  # grey, as large as the camera's images
    # The LiDAR's (1, 5) is 5.94 m ahead of the rear axle, 1 m right; the camera is 1.5 m ahead and 1.6 m high
    place = left.lidar2img @ [1.0, 5.0, -1.8, 1.0]
    assert place[:2] / place[2] == pytest.approx([79.5 + 100 / 4.44, 44.5 + 160 / 4.44])
    frames = list(frames_of(samples, 640))
    assert [frame.words for frame in frames] == ["0.0 s, 1 of 3", "1.0 s, 2 of 3", "2.0 s, 3 of 3"]
    pictures = list(in_order(draw_frame, frames, 1))
    assert all(picture.shape == pictures[0].shape and picture.shape[1] == 640 for picture in pictures)
    assert real_fps([sample.meta["timestamp"] for sample in samples]) == 1.0
    assert real_fps([None, None]) == 2.0


def test_an_image_of_another_size_is_no_camera_s_and_a_lens_is_undone(own_rig):
    record = own_rig.samples["m0"]
    wide = Distortion("opencv", (-0.3, 0.05, 0.0, 0.0))
    bent = replace(record.cameras[1], distortion=wide)
    image = np.zeros((100, 120, 3), dtype=np.uint8)
    image[:, ::10] = 255
    cv2.imwrite(str(record.images[1]), image)
    cv2.imwrite(str(record.images[0]), image)
    own_rig.samples["m0"] = replace(record, cameras=(record.cameras[0], bent))
    (sample,) = Album(None, {"own": own_rig}).samples(["m0"])
    left, right = sample.views()
    assert left.label == "left, 120 x 100 pixels, not 160 x 90"
    assert (left.image == left.image[0, 0]).all()
    assert right.label == "right"
    assert np.abs(right.image.astype(int) - image).max() > 100


def test_frames_know_what_lies_in_the_world_so_far(cache):
    album = Album(cache)
    samples = list(album.samples(next(iter(album.scenes().values()))))
    frames = list(frames_of(samples, 400, world=True))
    assert [len(frame.world.track) for frame in frames] == [1, 2, 3, 4]
    assert frames[0].world.before.points == []
    assert len(frames[3].world.before.points) == sum(len(sample.truth.points) for sample in samples[:3])
    # The same paint, seen from where the car was and from where it is
    before, now = (
        shapely.MultiLineString([line for line, of in zip(m.points, m.labels, strict=True) if of == 0])
        for m in (frames[1].world.before, frames[1].world.now)
    )
    assert now.length > 5
    assert now.intersection(before.buffer(0.3)).length > 0.6 * now.length
    wide = draw_frame(frames[1])
    assert wide.shape[1] > 400
    samples[2].meta["ego2global"] = None
    with pytest.raises(MapLLaVAError, match="has no pose in the world: leave --world out"):
        list(frames_of(samples, 400, world=True))


def test_results_without_cameras_need_their_cache(cache):
    results = results_of(cache)
    with pytest.raises(MapLLaVAError, match="says nothing of cameras: give the GT cache"):
        Album(None, {"run": results})
    with pytest.raises(MapLLaVAError, match="nothing to draw"):
        Album(None)
    album = Album(cache, {"run": results})
    scenes = album.scenes()
    assert [len(tokens) for tokens in scenes.values()] == [4, 4]
    with pytest.raises(MapLLaVAError, match="no scene is named: give --scene NAME, one of the 2"):
        album.tokens_of_scene(None)
    with pytest.raises(MapLLaVAError, match="no scene 'scene-x'"):
        album.tokens_of_scene("scene-x")
    (name, tokens) = next(iter(scenes.items()))
    assert album.tokens_of_scene(name) == tokens
    (sample,) = album.samples(tokens[:1])
    assert sample.meta["scene_name"] == name
    assert len(sample.truth.points) == len(sample.predictions["run"].points) > 0
    with pytest.raises(MapLLaVAError, match=r"no sample none among the 8 of the GT cache \(split val"):
        album.choose(["none"], 1)
    assert album.choose(None, 100) == album.tokens


def test_samples_know_the_prompt_that_has_cut_their_maps(cache):
    whole, part = results_of(cache), results_of(cache)
    part.prompt = Parsed("kerbs", (), 1.0, "draw: boundary")
    token = cache["data_list"][0]["sample_token"]
    for files, prompt in (
        ({"a": whole}, None),
        ({"a": part}, "draw: boundary"),
        ({"a": whole, "b": part}, "b: draw: boundary"),
    ):
        (sample,) = Album(cache, files).samples([token])
        assert sample.meta["prompt"] == prompt


def test_a_sample_that_a_file_lacks_has_an_empty_map(cache):
    results = results_of(cache)
    token = cache["data_list"][2]["sample_token"]
    del results.results[token]
    (sample,) = Album(cache, {"a": results_of(cache), "b": results}).samples([token])
    assert [len(lines.points) > 0 for lines in sample.predictions.values()] == [True, False]
    assert draw_frame(Frame(sample, width=500)).shape[1] == 500


def test_files_with_thresholds_of_their_own_are_cut_by_these(cache):
    strict, loose = (Display(dict.fromkeys(MapSpec().classes, cut), "a test") for cut in (0.5, 0.2))
    files = {"a": results_of(cache, display=strict), "b": results_of(cache, display=loose)}
    album = Album(cache, files)
    (sample,) = album.samples(album.tokens[:1])
    assert [len(lines.points) > 0 for lines in sample.predictions.values()] == [False, True]
    assert album.cut["thresholds"] == loose.thresholds
    asked = Album(cache, files, score_thr=0.3)
    (sample,) = asked.samples(asked.tokens[:1])
    assert all(lines.points for lines in sample.predictions.values())
    assert asked.cut == 0.3
    assert Album(cache, {"a": files["a"]}).cut is strict
    assert Album(cache, {"a": files["a"], "c": files["a"]}).cut is strict


def test_best_and_worst_are_ranked_at_the_threshold_that_is_drawn(cache):
    good = results_of(cache, lambda k: k in (1, 6))
    ranked = best_and_worst_samples(Album(cache, {"run": good}), 2, 3)
    tokens = [entry["sample_token"] for entry in cache["data_list"]]
    assert {token for *_, token in ranked[:2]} == {tokens[1], tokens[6]}
    assert [rank for rank, *_ in ranked] == ["best_01", "best_02", "worst_01", "worst_02", "worst_03"]
    assert ranked[0][1] == "best 1: 1.00 (F1 at 1 m, mean over the classes there)"
    assert not {token for *_, token in ranked[2:]} & {tokens[1], tokens[6]}
    asked = best_and_worst_samples(Album(cache, {"run": good}, score_thr=0.5), 1, 0)
    display = Display(dict.fromkeys(MapSpec().classes, 0.5), "a test")
    said = best_and_worst_samples(Album(cache, {"run": results_of(cache, display=display)}), 1, 0)
    for ((_, words, _),) in (asked, said):
        assert words.startswith("best 1: 0.00")  # every score is 0.4
    with pytest.raises(MapLLaVAError, match="0 best and 0 worst"):
        best_and_worst_samples(Album(cache, {"run": good}), 0, 0)
    with pytest.raises(MapLLaVAError, match="need a results file and the GT cache"):
        best_and_worst_samples(Album(cache), 1, 1)


def test_names_tell_files_apart(tmp_path):
    assert names_of([tmp_path / "a.results.json", tmp_path / "b.json"]) == ["a", "b"]
    assert names_of([tmp_path / "x" / "r.json", tmp_path / "y" / "r.json"]) == ["x/r", "y/r"]
    with pytest.raises(MapLLaVAError, match="named twice"):
        names_of([tmp_path / "r.json", tmp_path / "r.json"])


def test_work_of_several_processes_comes_in_order():
    assert list(in_order(json.loads, (str(k) for k in range(20)), 2)) == list(range(20))
    with pytest.raises(json.JSONDecodeError):
        list(in_order(json.loads, ["1", "x", "2"], 2))
    with pytest.raises(MapLLaVAError, match="workers is 0"):
        list(in_order(json.loads, [], 0))
