"""Images against the rig: size, orientation tags, lenses."""

import numpy as np
import pytest
from PIL import Image

from mapllava.datasets.rig_images import prepare_images
from mapllava.errors import MapLLaVAError
from mapllava.structures.rig import Distortion, Rig, RigCamera, RigSample

K = np.array([[50.0, 0, 31.5], [0, 50, 17.5], [0, 0, 1]])


def sample(image, lens=None, size=(64, 36)):
    return RigSample("now", Rig((RigCamera("front", size, K, np.eye(4), lens),)), (image,))


def picture(folder, size=(64, 36), orientation=1):
    image = Image.fromarray(np.arange(size[0] * size[1] * 3, dtype=np.uint8).reshape(size[1], size[0], 3))
    exif = Image.Exif()
    exif[274] = orientation
    path = folder / "front.png"
    image.save(path, exif=exif)
    return path


def test_a_pinhole_s_file_stays_a_file_or_is_decoded(tmp_path):
    path = picture(tmp_path)
    assert prepare_images(sample(path)).images == (path,)
    (array,) = prepare_images(sample(path), decode_all=True).images
    np.testing.assert_array_equal(array[..., ::-1], np.asarray(Image.open(path)))


def test_a_lens_is_undistorted_once(tmp_path):
    bent = sample(picture(tmp_path), Distortion("opencv", (-0.2, 0.0, 0.0, 0.0)))
    flat = prepare_images(bent)
    assert flat.rig.cameras[0].distortion is None
    assert flat.images[0].shape == (36, 64, 3)
    assert (flat.images[0] != prepare_images(sample(bent.images[0]), decode_all=True).images[0]).any()
    assert prepare_images(flat).images[0] is flat.images[0]


@pytest.mark.parametrize("orientation", [2, 3, 4])
def test_a_tag_that_keeps_the_size_is_refused(tmp_path, orientation):
    with pytest.raises(MapLLaVAError, match=rf"front.*EXIF orientation of {orientation} .*exiftool"):
        prepare_images(sample(picture(tmp_path, orientation=orientation)))


def test_a_tag_that_turns_the_picture_away_from_the_rig_is_refused(tmp_path):
    path = picture(tmp_path, size=(36, 64), orientation=6)
    with pytest.raises(
        MapLLaVAError, match=r"stored as 36 x 64 .*6 \(turned by 90.* rig says 64 x 36.*auto-orient"
    ):
        prepare_images(sample(path))


def test_a_rig_of_the_stored_pixels_takes_them_as_stored(tmp_path):
    path = picture(tmp_path, orientation=6)
    assert prepare_images(sample(path)).images == (path,)


def test_another_size_is_refused_with_the_intrinsics_for_it(tmp_path):
    path = picture(tmp_path, size=(32, 18))
    with pytest.raises(MapLLaVAError, match=r"front.* 32 x 18 .* 64 x 36: .*fx 25.00.* cx 15.5, cy 8.5"):
        prepare_images(sample(path))
    with pytest.raises(MapLLaVAError, match="cut out or squeezed"):
        prepare_images(sample(np.zeros((36, 60, 3), np.uint8)))


def test_an_array_that_is_no_picture_is_refused():
    with pytest.raises(MapLLaVAError, match="float64"):
        prepare_images(sample(np.zeros((36, 64, 3))))
