import av
import numpy as np
import pytest
from PIL import Image

from mapllava.errors import MapLLaVAError
from mapllava.visualization.video import fit_frame, write_video

COLORS = [(40, 60, 200), (60, 180, 40), (210, 90, 30)]  # BGR


def picture(color, size=(97, 65)):
    out = np.full((size[1], size[0], 3), 245, dtype=np.uint8)
    out[16:48, 16:64] = color
    return out


def decoded(path):
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        frames = [frame.to_ndarray(format="bgr24") for frame in container.decode(stream)]
        facts = (stream.codec_context.name, stream.codec_context.pix_fmt, float(container.duration) / 1e6)
    return frames, facts


def test_an_mp4_holds_the_pictures_as_browsers_play_them(tmp_path):
    path = tmp_path / "new" / "scene.mp4"
    assert write_video([path], [picture(color) for color in COLORS], fps=2) == 3
    frames, facts = decoded(path)
    assert facts == ("h264", "yuv420p", pytest.approx(1.5))
    assert [frame.shape for frame in frames] == [(64, 96, 3)] * 3
    for frame, color in zip(frames, COLORS, strict=True):
        inside = frame[20:44, 20:60].reshape(-1, 3).mean(axis=0)
        assert np.abs(inside - color).max() < 6
        assert np.abs(frame[:8].astype(float) - 245).max() < 6
    content = path.read_bytes()
    assert 0 < content.find(b"moov") < content.find(b"mdat")  # the index in front
    assert [entry.name for entry in path.parent.iterdir()] == ["scene.mp4"]


def test_an_mp4_and_a_gif_are_drawn_once(tmp_path):
    paths = [tmp_path / "a.mp4", tmp_path / "a.gif"]
    drawn = iter([picture(color) for color in COLORS])
    assert write_video(paths, drawn, fps=4, gif_width=48) == 3
    with Image.open(paths[1]) as gif:
        assert (gif.n_frames, gif.size, gif.info["duration"], gif.info["loop"]) == (3, (48, 32), 250, 0)
        gif.seek(2)
        assert np.abs(np.array(gif.convert("RGB"))[16, 16, ::-1].astype(int) - COLORS[2]).max() < 12
    assert len(decoded(paths[0])[0]) == 3


def test_frames_of_another_size_are_set_into_the_first_ones():
    small = fit_frame(picture(COLORS[0], (60, 50)), (96, 64))
    assert small.shape == (64, 96, 3)
    assert (small[:50, :60] == picture(COLORS[0], (60, 50))).all()
    wide = fit_frame(picture(COLORS[0], (192, 64)), (96, 64))
    assert wide.shape == (64, 96, 3)
    assert np.abs(wide[16, 20].astype(int) - COLORS[0]).max() < 3  # half as large, not stretched
    assert (wide[32:] == 245).all()


def test_what_cannot_be_written_leaves_nothing_behind(tmp_path):
    path = tmp_path / "scene.mp4"
    path.write_bytes(b"older")

    def broken():
        yield picture(COLORS[0])
        raise MapLLaVAError("no second picture")

    with pytest.raises(MapLLaVAError, match="no second picture"):
        write_video([path], broken(), fps=2)
    with pytest.raises(MapLLaVAError, match="no picture to make a video of"):
        write_video([path], [], fps=2)
    assert path.read_bytes() == b"older"
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(MapLLaVAError, match=r"scene\.avi.*\.mp4 or \.gif"):
        write_video([tmp_path / "scene.avi"], [picture(COLORS[0])], fps=2)
    with pytest.raises(MapLLaVAError, match="0 frames a second"):
        write_video([path], [picture(COLORS[0])], fps=0)
