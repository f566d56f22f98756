"""From which score on a line is likely, and up to which it is not: as held-out matches tell."""

import numpy as np
import pytest

from mapllava.evaluation.certainty import NEVER, doubt_of_matches, rising_fit
from mapllava.evaluation.functional import match_maps
from mapllava.evaluation.sample_record import Display, display_from_json, display_to_json
from mapllava.structures import MapSpec


def test_the_fit_never_falls_and_keeps_the_mean():
    assert rising_fit(np.array([0.0, 1, 0, 1, 1])).tolist() == [0, 0.5, 0.5, 1, 1]
    assert rising_fit(np.array([1.0, 0, 0, 0])).tolist() == [0.25] * 4
    assert len(rising_fit(np.zeros(0))) == 0
    values = np.random.default_rng(0).random(200)
    fit = rising_fit(values)
    assert (np.diff(fit) >= 0).all()
    assert fit.mean() == pytest.approx(values.mean())


def held_out():
    """Dividers of score 0.1 wrong, 0.2 and 0.3 right once in four, 0.7 right; crossings always wrong."""
    maps, truth = [], []
    for k in range(40):
        lines = [np.array([[x, -5.0], [x, 5.0]]) for x in (-12.0, -9.0, -6.0, 0.0, 6.0)]
        right = [lines[3]] + ([lines[1], lines[2]] if k % 4 == 0 else [])
        scores = np.array([0.1, 0.2, 0.3, 0.7, 0.6]) + k * 1e-4
        maps.append({"points": lines, "labels": np.array([0, 0, 0, 0, 1]), "scores": scores})
        truth.append({"points": right, "labels": np.zeros(len(right), dtype=int)})
    return match_maps(maps, truth, MapSpec().classes)


def test_scores_between_are_in_doubt():
    doubt = doubt_of_matches(held_out())
    assert doubt.possible["divider"] == pytest.approx(0.2, abs=1e-3)
    assert doubt.certain["divider"] == pytest.approx(0.7, abs=1e-3)
    assert doubt_of_matches(held_out(), likely=0.25).certain["divider"] == pytest.approx(0.2, abs=1e-3)
    assert doubt.possible["ped_crossing"] == doubt.certain["ped_crossing"] == NEVER
    assert doubt.possible["boundary"] == NEVER


def test_it_travels_with_the_thresholds_and_older_files_are_read():
    classes = MapSpec().classes
    doubt = doubt_of_matches(held_out())
    display = Display(dict.fromkeys(classes, 0.3), "test", doubt.certain, doubt.possible)
    assert display_from_json(display_to_json(display), classes) == display
    older = Display(dict.fromkeys(classes, 0.3), "test")
    assert set(display_to_json(older)) == {"thresholds", "source"}
    assert display_from_json(display_to_json(older), classes) == older
    broken = {**display_to_json(display), "possible": {"divider": 0.1}}
    with pytest.raises(ValueError, match=r"display\.possible is .* not a score for each of divider"):
        display_from_json(broken, classes)
