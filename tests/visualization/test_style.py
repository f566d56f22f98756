from itertools import combinations

import numpy as np
import pytest

from mapllava.structures.frames import CLASSES
from mapllava.visualization.style import PALETTE, PAPER, TRUTH, bgr, class_color, class_form, pale

ENOUGH, ENOUGH_OF_EIGHT = 40.0, 12.0  # maps are read by classes; curves have names beside them too


def rgb(color):
    return np.array(bgr(color)[::-1]) / 255


def differences(colors):
    """ΔE2000 of every pair, as it looks to most people, in deuteranopia and in protanopia (Machado 2009)."""
    colour = pytest.importorskip("colour")
    from colour.blindness import matrix_cvd_Machado2009

    simulations = [
        np.eye(3),
        *(matrix_cvd_Machado2009(kind, 1.0) for kind in ("Deuteranomaly", "Protanomaly")),
    ]
    linear = colour.cctf_decoding(np.stack([rgb(color) for color in colors]), function="sRGB")
    found = {}
    for name, matrix in zip(("normal", "deuteranopia", "protanopia"), simulations, strict=True):
        seen = colour.cctf_encoding(np.clip(linear @ matrix.T, 0, 1), function="sRGB")
        lab = colour.XYZ_to_Lab(colour.sRGB_to_XYZ(seen))
        for one, two in combinations(range(len(colors)), 2):
            delta = colour.delta_E(lab[one], lab[two], method="CIE 2000")
            found[name, colors[one], colors[two]] = float(delta)
    return found


@pytest.mark.filterwarnings("ignore")  # colour-science's own remark on its pre-computed matrices
def test_colours_stay_apart_for_colour_blind_eyes():
    classes = differences([class_color(CLASSES, label) for label in range(len(CLASSES))])
    assert min(classes.values()) > ENOUGH, classes
    assert min(differences(PALETTE).values()) > ENOUGH_OF_EIGHT


def luminance(color):
    value = rgb(color)
    linear = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


@pytest.mark.parametrize("label", range(3))
def test_lines_stand_out_on_paper_and_truth_is_paler_than_a_prediction(label):
    color = class_color(CLASSES, label)
    assert (luminance(PAPER) + 0.05) / (luminance(color) + 0.05) >= 2.95
    assert luminance(pale(color)) > 1.4 * luminance(color)
    assert pale(color, 0.0) == color
    assert pale(color, 1.0) == PAPER
    assert TRUTH.tint > 0.3


def test_classes_differ_in_form_too_whatever_they_are_called():
    classes = (*CLASSES, "stop_line", "centerline")
    assert len({class_color(classes, k) for k in range(5)}) == 5
    assert len({class_form(classes, k) for k in range(5)}) == 5
    assert class_color(("boundary", "divider"), 1) == class_color(classes, 0)
