"""Any rig to a map: the training's bit by bit, others by geometry alone, streams in order."""

import threading
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from trained import rig_sample, same

import mapllava
from mapllava.apis import MapInferencer
from mapllava.apis.model_frame import view_of
from mapllava.apis.read_ahead import read_ahead
from mapllava.errors import MapLLaVAError
from mapllava.geometry.lidar_frame import frame_of_lidar, virtual_lidar
from mapllava.registry import INFERENCERS
from mapllava.structures import MapSpec


def of_cameras(sample, places, **changes):
    rig = replace(sample.rig, cameras=tuple(sample.rig.cameras[k] for k in places), **changes)
    return replace(sample, rig=rig, images=tuple(sample.images[k] for k in places))


def renamed(sample):
    cameras = (replace(camera, name=f"own{k}") for k, camera in enumerate(sample.rig.cameras))
    return replace(sample, rig=replace(sample.rig, cameras=tuple(cameras)))


@pytest.fixture(scope="module")
def inferencer(predictor):
    return MapInferencer(predictor, batch_size=2)


@pytest.fixture(scope="module")
def own(sample):
    return rig_sample(sample)


def test_the_training_rig_gets_the_map_it_always_got(inferencer, predictor, sample, own):
    before = predictor.predict(sample["img_paths"], sample["cam2img"], sample["lidar2cam"])
    found = inferencer(own)
    assert np.allclose(np.stack(found.lines.points), np.stack(before.points), atol=1e-4)
    assert np.allclose(found.lines.scores, before.scores, atol=1e-6)
    assert np.array_equal(found.lidar2ego, sample["lidar2ego"])
    assert inferencer.notes == []


def test_the_order_of_the_cameras_and_their_names_say_nothing(inferencer, own):
    expected = inferencer(own).lines
    same(inferencer(of_cameras(own, [3, 0, 5, 1, 4, 2])).lines, expected)
    found = inferencer(renamed(of_cameras(own, [3, 0, 5, 1, 4, 2]))).lines
    assert np.allclose(np.stack(found.points), np.stack(expected.points), atol=1e-3)
    assert np.allclose(found.scores, expected.scores, atol=1e-5)


@pytest.mark.parametrize("places", [[0], [0, 1, 3, 5], [0, 1, 2, 3, 4, 5, 0]])
def test_any_number_of_cameras_of_any_size(inferencer, own, places):
    given = of_cameras(own, places)
    camera = given.rig.cameras[-1]  # at twice its size, beside others as they are
    larger = cv2.resize(cv2.imread(str(given.images[-1])), None, fx=2, fy=2)
    scale = np.array([[2, 0, 0.5], [0, 2, 0.5], [0, 0, 1]])
    changed = replace(camera, name="last", size=larger.shape[1::-1], cam2img=scale @ camera.cam2img)
    rig = replace(given.rig, cameras=(*given.rig.cameras[:-1], changed))
    found = inferencer(replace(given, rig=rig, images=(*given.images[:-1], larger)))
    assert np.isfinite(np.stack(found.lines.points)).all()
    assert len(found.lines.scores) == 50


def test_images_come_as_paths_arrays_or_pillows(inferencer, own, tmp_path):
    arrays = [cv2.imread(str(path)) for path in own.images]
    paths = [str(tmp_path / f"{k}.png") for k in range(6)]
    for path, array in zip(paths, arrays, strict=True):
        cv2.imwrite(path, array)
    expected = inferencer(paths, own.rig).lines
    same(inferencer(arrays, own.rig, channel_order="bgr").lines, expected)
    same(inferencer([array[..., ::-1] for array in arrays], own.rig, channel_order="rgb").lines, expected)
    same(inferencer([Image.open(path) for path in paths], own.rig).lines, expected)
    same(inferencer([*arrays[:3], *paths[3:]], own.rig, channel_order="bgr").lines, expected)
    with pytest.raises(ValueError, match="channel_order=None: say how"):
        inferencer(arrays, own.rig)
    with pytest.raises(ValueError, match="without their rig"):
        inferencer(paths)


def test_a_rig_without_a_lidar_counts_from_a_virtual_one(inferencer, own):
    assert np.array_equal(inferencer(of_cameras(own, range(6), lidar2ego=None)).lidar2ego, virtual_lidar())
    forward = virtual_lidar() @ np.array([0.0, 10.0, -1.84, 1.0])
    assert np.allclose(forward, [10.94, 0, 0, 1])
    assert np.allclose(virtual_lidar() @ np.array([2.0, 0, 0, 1]), [0.94, -2, 1.84, 1])  # to the right


@pytest.mark.parametrize(
    ("turned", "height", "taken"), [(0.0, 1.80, True), (90.0, 1.84, False), (0.0, 2.3, False)]
)
def test_a_lidar_that_is_mounted_otherwise_does_not_turn_the_roi(turned, height, taken):
    angle = np.radians(turned)
    turn = np.eye(4)
    turn[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    lidar2ego = virtual_lidar(height) @ turn
    frame, note = frame_of_lidar(lidar2ego)
    assert np.array_equal(frame, lidar2ego if taken else virtual_lidar())
    assert ("counts from a virtual LiDAR" in note) is not taken


@pytest.mark.parametrize(("frame", "told"), [("lidar", True), ("ego", False)])
def test_a_map_in_ego_does_not_count_from_a_lidar(own, frame, told):
    facts = {"model": None, "map_spec": MapSpec(frame=frame), "cameras": None, "num_cameras": None}
    view = view_of(replace(own.rig, lidar2ego=virtual_lidar(3.0)), SimpleNamespace(**facts))
    assert ("virtual LiDAR" in view.note) is told


def test_a_crop_that_takes_ground_away_is_told_with_the_camera(predictor, own):
    inferencer = MapInferencer(predictor)
    inferencer(own)
    assert inferencer.notes == []
    crop = mapllava.registry.TRANSFORMS.build({"type": "mapllava.CropMultiView", "bottom": 28})
    predictor.pipeline.transforms.insert(1, crop)
    try:
        inferencer(own)
    finally:
        predictor.pipeline.transforms.remove(crop)
    assert any("camera CAM_FRONT: " in note and "cropped away" in note for note in inferencer.notes)


def test_a_model_with_queries_for_each_camera_asks_which_is_which(predictor, own, monkeypatch):
    monkeypatch.setattr(predictor, "num_cameras", 6)
    with pytest.raises(MapLLaVAError, match=r"own0.* of its own for each of CAM_FRONT.*camera_names="):
        MapInferencer(predictor)(renamed(own))
    names = {f"own{k}": camera.name for k, camera in enumerate(own.rig.cameras)}
    told = MapInferencer(predictor, camera_names=names)
    same(told(renamed(own)).lines, MapInferencer(predictor)(own).lines)
    with pytest.raises(MapLLaVAError, match="camera_names has ghost; the cameras of the rig: CAM_FRONT"):
        MapInferencer(predictor, camera_names={"ghost": "CAM_FRONT"})(own)
    with pytest.raises(ValueError, match="5 images given; the model was trained with 6 cameras, in this"):
        predictor.predict(own.images[:5], np.zeros((5, 3, 3)), np.zeros((5, 4, 4)))


def test_what_does_not_belong_together_is_refused_by_name(inferencer, own):
    with pytest.raises(MapLLaVAError, match="sample t0: 5 images for the rig's 6 cameras"):
        inferencer(replace(own, images=own.images[:5]))
    smaller = np.zeros((90, 160, 3), np.uint8)
    images = (*own.images[:2], smaller, *own.images[3:])
    with pytest.raises(MapLLaVAError, match=r"sample t0: .*CAM_FRONT_LEFT has 160 x 90 .*says 320 x 180"):
        inferencer(replace(own, images=images))
    turned = replace(own.rig.cameras[2], cam2ego=2 * own.rig.cameras[2].cam2ego)
    rig = replace(own.rig, cameras=(*own.rig.cameras[:2], turned, *own.rig.cameras[3:]))
    with pytest.raises(MapLLaVAError, match="sample t0: the rig cannot be right"):
        inferencer(replace(own, rig=rig))


def test_a_stream_keeps_its_order_whatever_the_batches(inferencer, trained):
    dataset = trained.runner.val_dataloader.dataset
    samples = [rig_sample(dataset.get_data_info(k), f"s{k}") for k in range(5)]
    samples.insert(2, of_cameras(replace(samples[0], token="four"), [0, 1, 3, 5]))
    found = list(inferencer.stream(iter(samples)))
    assert [one.sample.token for one in found] == ["s0", "s1", "four", "s2", "s3", "s4"]
    for one in found:
        alone = inferencer(one.sample).lines
        assert np.allclose(one.lines.scores, alone.scores, atol=1e-4)


def test_a_bad_sample_comes_after_the_good_ones_before_it(inferencer, own):
    samples = [replace(own, token=f"s{k}") for k in range(4)]
    samples[1] = replace(samples[1], images=(Path("gone.jpg"), *own.images[1:]))
    seen = []
    with pytest.raises(MapLLaVAError, match=r"sample s1: image 'gone\.jpg' \(CAM_FRONT\) cannot be read"):
        seen.extend(one.sample.token for one in inferencer.stream(samples))
    bad = []
    kept = list(inferencer.stream(samples, on_bad=lambda sample, error: bad.append((sample.token, error))))
    assert [one.sample.token for one in kept] == ["s0", "s2", "s3"]
    assert [token for token, _ in bad] == ["s1"]


def test_what_an_input_gave_before_it_failed_is_predicted(predictor, own):
    def samples():
        yield from (replace(own, token=f"s{k}") for k in range(3))
        raise OSError("the disk is gone")

    stream = MapInferencer(predictor, batch_size=4).stream(samples())
    assert [next(stream).sample.token for _ in range(3)] == ["s0", "s1", "s2"]
    with pytest.raises(OSError, match="the disk is gone"):
        next(stream)


def test_a_pillow_image_is_under_the_rules_of_a_file(inferencer, own, tmp_path):
    images = [Image.open(path) for path in own.images]
    deep = Image.fromarray(np.full((180, 320), 3000, np.uint16))
    with pytest.raises(MapLLaVAError, match=r"camera CAM_FRONT_LEFT is of Pillow's mode I;16 .*8 bits"):
        inferencer([*images[:2], deep, *images[3:]], own.rig)
    with pytest.raises(MapLLaVAError, match="mode F"):
        inferencer([*images[:2], deep.convert("F"), *images[3:]], own.rig)
    exif = Image.Exif()
    exif[274] = 3
    images[2].save(tmp_path / "turned.jpg", exif=exif)
    with Image.open(tmp_path / "turned.jpg") as opened:
        for turned in (opened, tmp_path / "turned.jpg"):
            with pytest.raises(MapLLaVAError, match=r"CAM_FRONT_LEFT\)? is stored as 320 x 180 .* of 3 "):
                inferencer([*images[:2], turned, *images[3:]], own.rig)
    with pytest.raises(MapLLaVAError, match="5 images for the rig's 6 cameras"):
        inferencer(images[:5], own.rig)


def test_little_is_read_ahead_and_nothing_once_nobody_listens():
    drawn = []

    def items():
        for number in range(1000):
            drawn.append(number)
            yield number

    stream = read_ahead(items(), lambda number: number * 2, ahead=3)
    assert [future.result() for _, future in (next(stream), next(stream))] == [0, 2]
    stream.close()
    assert len(drawn) <= 2 + 3 + 2
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("mapllava-read")]


def test_it_is_registered(predictor):
    built = INFERENCERS.build({"type": "MapInferencer", "model": predictor})
    assert isinstance(built, MapInferencer)
    with pytest.raises(ValueError, match="batch_size=0"):
        MapInferencer(predictor, batch_size=0)
    assert torch.is_grad_enabled()
