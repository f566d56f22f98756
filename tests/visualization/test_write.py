import re
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest

from mapllava.errors import MapLLaVAError
from mapllava.structures import MapLines
from mapllava.visualization import draw_sample, render, sample_figure, write_picture


@pytest.fixture(scope="module")
def figure(parts):
    meta, views, lines = parts
    return sample_figure(meta, views[:2], MapLines(lines, np.array([0, 2])), None, width=480)


def test_pixels_of_files_and_figures_are_the_same(figure, parts, tmp_path):
    path = write_picture(tmp_path / "deep" / "a.png", figure)
    np.testing.assert_array_equal(cv2.imread(str(path)), render(figure))
    meta, views, lines = parts
    again = draw_sample(meta, views[:2], MapLines(lines, np.array([0, 2])), None, width=480)
    np.testing.assert_array_equal(again, render(figure))
    assert again.dtype == np.uint8
    assert again.shape[1] == 480
    assert again.shape[0] % 2 == 0  # what video encoders take


def test_svg_and_pdf_hold_lines_as_vectors_and_photographs_as_jpeg(figure, tmp_path):
    svg = write_picture(tmp_path / "a.svg", figure)
    root = ElementTree.parse(svg).getroot()
    assert len(re.findall("data:image/jpeg", svg.read_text())) == 2
    assert "data:image/png" not in svg.read_text()
    assert len(root.findall(".//{*}path")) > 20
    assert write_picture(tmp_path / "a.pdf", figure).read_bytes().startswith(b"%PDF")
    assert svg.read_bytes() == write_picture(tmp_path / "b.svg", figure).read_bytes()


@pytest.mark.parametrize("name", ["a.gif", "a", "a.svg"])
def test_other_suffixes_are_refused_by_name(name, tmp_path):
    with pytest.raises(MapLLaVAError, match=rf"{name}.*\.png"):
        write_picture(tmp_path / name, np.zeros((4, 4, 3), dtype=np.uint8))
    assert not list(tmp_path.iterdir())


def test_a_picture_that_cannot_be_written_says_so(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(MapLLaVAError, match="file"):
        write_picture(tmp_path / "file" / "a.png", np.zeros((4, 4, 3), dtype=np.uint8))
