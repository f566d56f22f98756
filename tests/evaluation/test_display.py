"""The score from which on lines are shown: where F1 is best, per class; 0.3 only where nothing is known."""

import numpy as np
import pytest

from mapllava.evaluation.display import best_f1_display, display_of_matches, told_of
from mapllava.evaluation.functional import match_maps
from mapllava.evaluation.functional.protocols import get_protocol
from mapllava.evaluation.scoring import PairedMaps, evaluate_maps
from mapllava.structures import MapSpec


def maps():
    """Dividers right at 0.9 and 0.6, wrong at 0.5 and 0.4; a boundary right at 0.2; no crossing at all."""
    lines = [np.array([[x, -5.0], [x, 5.0]]) for x in (-9.0, -6.0, -3.0, 0.0, 6.0)]
    truth = {"points": [lines[0], lines[1], lines[4]], "labels": np.array([0, 0, 2])}
    scores = np.array([0.9, 0.6, 0.5, 0.4, 0.2])
    return [{"points": lines, "labels": np.array([0, 0, 0, 0, 2]), "scores": scores}], [truth]


def test_each_class_has_its_own_cut_and_its_source():
    display = display_of_matches(match_maps(*maps(), MapSpec().classes), "val of v1.0-mini")
    assert display.thresholds == {"divider": 0.6, "ped_crossing": 0.3, "boundary": 0.2}
    assert display.source == (
        "best F1 at 1 m on val of v1.0-mini; 0.3 for ped_crossing, of which nothing was found"
    )


def test_an_evaluation_gives_the_same():
    protocol = get_protocol("maptr")
    evaluation = evaluate_maps(PairedMaps(MapSpec(), "val", protocol, *maps(), ["scene"]))
    display = best_f1_display(evaluation, version="v1.0-mini")
    assert display == display_of_matches(evaluation.matches, "val of v1.0-mini")
    assert best_f1_display(evaluation, 0.6).source.startswith("best F1 at 0.5 m on val;")


@pytest.mark.parametrize("distance", [0.1, 9.0])
def test_a_distance_that_the_protocol_lacks_takes_its_nearest(distance):
    source = display_of_matches(match_maps(*maps(), MapSpec().classes), "val", distance).source
    assert source.startswith(f"best F1 at {0.5 if distance < 1 else 1.5:g} m")


def test_thresholds_that_these_samples_chose_are_told_from_others():
    display = display_of_matches(match_maps(*maps(), MapSpec().classes), "val of v1.0-mini")
    assert told_of(display, "test of v1.0-mini") == display
    told = told_of(display, "val of v1.0-mini").source
    assert told == (
        "best F1 at 1 m on val of v1.0-mini, these samples themselves; 0.3 for ped_crossing, of which "
        "nothing was found"
    )
