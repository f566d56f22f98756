"""A folder's moments, whichever way it holds them."""

import json

import av
import numpy as np
import pytest
from own_rig import good_rig, write_images, write_rig

from mapllava.errors import MapLLaVAError
from mapllava.sources.folder import open_input

NAMES = ["front", "front_right", "front_left", "back", "back_left", "back_right"]
POSE = [[0, -1, 0, 10], [1, 0, 0, 20], [0, 0, 1, 0], [0, 0, 0, 1]]


@pytest.fixture
def folder(tmp_path):
    return write_rig(tmp_path / "drive", good_rig())


def write_video(path, frames=6, size=(320, 180), rate=10):
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=rate)
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        for number in range(frames):
            picture = np.full((size[1], size[0], 3), 30 * number + 20, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="bgr24")))
        container.mux(stream.encode())


def test_one_moment(folder):
    write_images(folder, good_rig())
    opened = open_input(folder)
    (sample,) = opened
    assert len(opened) == 1
    assert [camera.name for camera in sample.rig.cameras] == NAMES
    assert [path.name for path in sample.images] == [f"{name}.png" for name in NAMES]
    assert (sample.token, sample.ego2global, sample.crs) == ("drive", None, None)
    assert next(iter(open_input(folder / "rig.json"))).images == sample.images


def test_sub_folders_in_natural_order_with_poses(folder):
    for name in ("10", "9", "8"):
        write_images(folder / name, good_rig())
    (folder / "notes").mkdir()
    (folder / "9" / "pose.json").write_text(json.dumps({"vehicle_to_world": POSE, "timestamp": 77}))
    samples = list(open_input(folder))
    assert [sample.token for sample in samples] == ["8", "9", "10"]
    assert {sample.scene for sample in samples} == {"drive"}
    assert samples[1].timestamp == 77
    assert samples[0].ego2global is None
    np.testing.assert_array_equal(samples[1].ego2global, POSE)
    assert [sample.token for sample in open_input(folder, stride=2)] == ["8", "10"]


def frames_file(folder, *entries):
    write_images(folder / "pictures", good_rig())
    images = {name: f"pictures/{name}.png" for name in NAMES}
    listed = [{"images": images, "token": f"t{place}", **entry} for place, entry in enumerate(entries)]
    (folder / "frames.json").write_text(json.dumps(listed))
    return listed


def test_a_list_of_frames_with_the_cars_motion_between_exposures(folder):
    moved = np.array(good_rig()["cameras"][0]["camera_to_vehicle"])
    moved[0, 3] += 0.4
    entry = {"vehicle_to_world": POSE, "camera_poses": {"front": {"camera_to_vehicle": moved.tolist()}}}
    frames_file(folder, {}, entry | {"scene": "s"})
    first, second = open_input(folder)
    assert (first.token, second.token, second.scene) == ("t0", "t1", "s")
    assert second.rig.cameras[0].cam2ego[0, 3] == pytest.approx(first.rig.cameras[0].cam2ego[0, 3] + 0.4)
    np.testing.assert_array_equal(second.rig.cameras[1].cam2ego, first.rig.cameras[1].cam2ego)


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"images": {"front": "a.png"}}, "lacks back, back_left"),
        ({"time": 3}, "'time' is not known"),
        ({"vehicle_to_world": np.diag([1, 1, 2, 1]).tolist()}, "entry 0, vehicle_to_world is no rotation"),
        ({"camera_poses": {"roof": {"camera_to_vehicle": POSE}}}, "names roof"),
    ],
)
def test_a_wrong_entry_is_named(folder, entry, said):
    frames_file(folder, entry)
    with pytest.raises(MapLLaVAError, match=said) as error:
        open_input(folder)
    assert "frames.json" in str(error.value)


def test_a_token_twice_is_refused(folder):
    frames_file(folder, {}, {"token": "t0"})
    with pytest.raises(MapLLaVAError, match="two moments have the token t0"):
        open_input(folder)


def test_videos_are_decoded_in_step(folder):
    for name in NAMES:
        write_video(folder / f"{name}.mp4")
    opened = open_input(folder, stride=2)
    samples = list(opened)
    assert len(opened) == len(samples) == 3
    assert [sample.timestamp for sample in samples] == [0, 200_000, 400_000]
    for number, sample in zip((0, 2, 4), samples, strict=True):
        assert all(image.shape == (180, 320, 3) for image in sample.images)
        assert np.mean([image.mean() for image in sample.images]) == pytest.approx(30 * number + 20, abs=6)
    at = list(open_input(folder, timestamps=[120_000, 550_000]))
    assert [sample.token for sample in at] == ["drive_000001", "drive_000005"]
    assert at[1].images[0].mean() == pytest.approx(170, abs=6)


def test_frames_of_videos_with_poses(folder):
    for name in NAMES:
        write_video(folder / f"{name}.mp4", frames=3)
    (folder / "frames.json").write_text(json.dumps([{"frame": 2, "vehicle_to_world": POSE, "timestamp": 5}]))
    (sample,) = open_input(folder)
    np.testing.assert_array_equal(sample.ego2global, POSE)
    assert sample.timestamp == 5
    assert sample.images[3].mean() == pytest.approx(80, abs=6)


@pytest.mark.parametrize(
    ("spoilt", "said"),
    [
        ({"frames": 5}, "differ in length.*back.mp4 5 frames"),
        ({"rate": 5}, "differ in frame rate"),
        ({"size": (160, 90)}, "back.mp4.*160 x 90.*320 x 180"),
        (None, "no file for back "),
    ],
)
def test_videos_that_do_not_belong_together(folder, spoilt, said):
    for name in NAMES:
        if name != "back":
            write_video(folder / f"{name}.mp4")
    if spoilt is not None:
        write_video(folder / "back.mp4", **spoilt)
    with pytest.raises(MapLLaVAError, match=said):
        open_input(folder)


def test_a_damaged_video_is_named(folder):
    for name in NAMES:
        write_video(folder / f"{name}.mp4")
    (folder / "front.mp4").write_bytes(b"no video")
    with pytest.raises(MapLLaVAError, match=r"front.mp4.*cannot be read"):
        open_input(folder)


def test_where_on_earth_needs_a_pose(folder):
    write_images(folder, good_rig())
    write_rig(folder, good_rig() | {"origin": {"latitude": 1.3, "longitude": 103.8}})
    with pytest.raises(MapLLaVAError, match=r"write origin.heading"):
        open_input(folder)
    (folder / "pose.json").write_text(json.dumps({"vehicle_to_world": POSE}))
    (sample,) = open_input(folder)
    np.testing.assert_allclose(sample.ego2global, POSE, atol=1e-12)
    assert "+lat_0=1.3 +lon_0=103.8" in sample.crs


def test_a_fault_of_the_rig_is_refused(folder):
    rig = good_rig()
    for camera in rig["cameras"]:
        camera["vehicle_to_camera"] = camera.pop("camera_to_vehicle")
    write_images(folder, rig)
    write_rig(folder, rig)
    with pytest.raises(MapLLaVAError, match="inverted"):
        open_input(folder)
    assert len(open_input(folder, check=False)) == 1


def test_data_sets_are_known_by_their_files(tmp_path):
    (tmp_path / "v1.0-mini").mkdir()
    (tmp_path / "v1.0-mini" / "sample_data.json").touch()
    with pytest.raises(MapLLaVAError, match=r"nuScenes data set.*--scene"):
        open_input(tmp_path)
    (tmp_path / "log").mkdir()
    (tmp_path / "log" / "city_SE3_egovehicle.feather").touch()
    with pytest.raises(MapLLaVAError, match="Argoverse 2, which is not read yet"):
        open_input(tmp_path / "log")


def test_swapped_image_files_are_refused(folder):
    rig = good_rig()
    rig["cameras"][0]["image"], rig["cameras"][3]["image"] = "cam_back_1.png", "cam_front_1.png"
    write_images(folder, rig)
    (folder / "front.png").rename(folder / "cam_front_1.png")
    (folder / "back.png").rename(folder / "cam_back_1.png")
    write_rig(folder, rig)
    with pytest.raises(MapLLaVAError, match=r"camera front is given .* bears the name of back"):
        open_input(folder)


def test_folders_bear_names_too(folder):
    write_images(folder / "back_yard", good_rig())  # holds all images: it is named after no camera
    for name in NAMES:
        (folder / "back_yard" / name).mkdir()
        (folder / "back_yard" / f"{name}.png").rename(folder / "back_yard" / name / "0001.png")
    files = {name: f"back_yard/{name}/0001.png" for name in NAMES}
    (folder / "frames.json").write_text(json.dumps([{"images": files}]))
    assert len(open_input(folder)) == 1
    files["front"], files["back"] = files["back"], files["front"]
    (folder / "frames.json").write_text(json.dumps([{"images": files}]))
    with pytest.raises(MapLLaVAError, match=r"camera front is given .*bears the name of back;"):
        open_input(folder)


def with_image(folder, file):
    rig = good_rig()
    rig["cameras"][3]["image"] = file
    write_images(folder, rig)
    return write_rig(folder, rig)


def test_the_image_that_the_rig_names_is_needed(folder, tmp_path):
    with_image(folder, "rear/view.png")  # and back.png is there: it is not taken in its place
    with pytest.raises(MapLLaVAError, match=r"no file for back \(.*rear.view.png"):
        open_input(folder)
    (folder / "rear").mkdir()
    (folder / "back.png").rename(folder / "rear" / "view.png")
    (sample,) = open_input(folder)
    assert sample.images[3] == folder / "rear" / "view.png"
    write_images(tmp_path / "other", good_rig())
    with pytest.raises(MapLLaVAError, match=r"holds back.png, and .* take that key out"):
        open_input(tmp_path / "other", rig=folder / "rig.json")
    (tmp_path / "other" / "back.png").unlink()
    (sample,) = open_input(tmp_path / "other", rig=folder / "rig.json")
    assert sample.images[3] == folder / "rear" / "view.png"
    assert sample.images[0] == tmp_path / "other" / "front.png"


def test_an_image_of_sub_folders_is_needed_in_each(folder):
    for moment in ("1", "2"):
        write_images(folder / moment, good_rig())
    (folder / "1" / "back.png").rename(folder / "1" / "rear.png")
    rig = good_rig()
    rig["cameras"][3]["image"] = "rear.png"
    write_rig(folder, rig)
    with pytest.raises(MapLLaVAError, match=r"no file for back \(.*2.rear.png"):
        open_input(folder)


def test_two_layouts_at_once_are_refused(folder):
    write_images(folder, good_rig())
    write_images(folder / "1", good_rig())
    with pytest.raises(MapLLaVAError, match="images of one moment as well as sub-folders of moments"):
        open_input(folder)


@pytest.mark.parametrize("stride", [1, 3])
def test_a_stride_makes_no_car_stand_in_the_origin(folder, stride):
    write_rig(folder, good_rig() | {"origin": {"latitude": 1.3, "longitude": 103.8, "heading": 0}})
    for name in NAMES:
        write_video(folder / f"{name}.mp4", frames=3)
    with pytest.raises(MapLLaVAError, match="this moment has no vehicle_to_world"):
        open_input(folder, stride=stride)
    (folder / "frames.json").write_text(json.dumps([{"frame": number} for number in range(3)]))
    with pytest.raises(MapLLaVAError, match="this moment has no vehicle_to_world"):
        open_input(folder, stride=stride)


def test_whole_numbers_may_be_written_as_floats(folder):
    rig = good_rig()
    rig["cameras"][0].update(width=320.0, height=180.0, dist_coeffs=[0.01, 0, 0, 0])
    write_rig(folder, rig)
    for name in NAMES:
        write_video(folder / f"{name}.mp4", frames=3)
    (folder / "frames.json").write_text('[{"frame": 1.0, "timestamp": 1532402927647951.0}]')
    (sample,) = open_input(folder)
    assert (sample.token, sample.rig.cameras[0].size) == ("drive_000001", (320, 180))
    assert isinstance(sample.timestamp, int)
    (folder / "frames.json").write_text(json.dumps([{"frame": 10**400}]))
    with pytest.raises(MapLLaVAError, match=r"frames.json', \[0\].frame: a number of 401 digits"):
        open_input(folder)


def test_missing_things_are_named(folder, tmp_path):
    with pytest.raises(MapLLaVAError, match="neither images nor videos"):
        open_input(folder)
    write_images(folder, good_rig())
    (folder / "back.png").unlink()
    with pytest.raises(MapLLaVAError, match="no file for back"):
        open_input(folder)
    with pytest.raises(MapLLaVAError, match=r"rig.json' is missing"):
        open_input(tmp_path)
    with pytest.raises(MapLLaVAError, match="is no folder"):
        open_input(tmp_path / "nowhere")
