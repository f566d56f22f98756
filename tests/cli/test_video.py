from functools import partial

import av
import numpy as np

from mapllava import gt_cache
from mapllava.__main__ import run_command

video = partial(run_command, "video")


def test_a_scene_of_a_cache_becomes_a_video(city, city_cache, tmp_path, capsys):
    cache = gt_cache.load(city_cache["val"])
    scene = cache["metainfo"]["scenes"][1]
    out = tmp_path / "scene.mp4"
    words = [str(city_cache["val"]), "--dataroot", str(city), "--scene", scene, "--out", str(out)]
    assert video([*words, "--width", "480", "--workers", "2", "--gif"]) == 0
    printed = capsys.readouterr()
    assert printed.out.startswith(f"{out}  4 frames, 2 a second")
    assert "warning" not in printed.err
    with av.open(str(out)) as container:
        frames = [frame.to_ndarray(format="bgr24") for frame in container.decode(video=0)]
    assert len(frames) == 4
    assert frames[0].shape[1] == 480
    assert np.abs(frames[0].astype(int) - frames[3]).mean() > 1  # the car has moved
    assert out.with_suffix(".gif").is_file()

    small = tmp_path / "data"
    small.mkdir()
    assert video([*words, "--width", "320", "--workers", "1", "--dataroot", str(small)]) == 0
    error = capsys.readouterr().err
    assert "none of the 24 images is there" in error
    assert "samples/CAM_FRONT" in error


def test_what_does_not_fit_is_refused_before_anything_is_drawn(city_cache, tmp_path, capsys):
    cache, out = str(city_cache["val"]), str(tmp_path / "a.mp4")
    for words, message in (
        ([cache, "--out", out], "no scene is named: give --scene NAME"),
        ([cache, "--scene", "scene-9999", "--out", out], "there is no scene 'scene-9999'"),
        ([cache, "--scene", "x", "--out", out, "--cache", cache], "two GT caches are named"),
        ([str(tmp_path / "a.txt"), "--out", out], "give a GT cache (.pkl) or a results file (.json)"),
        ([cache, "--out", out, "--width", "20"], "--width 20: a frame takes 320 pixels or more"),
    ):
        assert video(words) == 2
        assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
