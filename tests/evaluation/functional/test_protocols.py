import pytest

from mapllava.errors import MapLLaVAError
from mapllava.evaluation.functional import PROTOCOLS, Protocol, get_protocol


def test_the_named_protocols():
    rows = {
        p.name: (p.num_points, p.thresholds, p.buffer, p.simplify, p.as_they_are) for p in PROTOCOLS.values()
    }
    assert rows == {
        "maptr": (100, (0.5, 1.0, 1.5), 2.0, 0.0, False),
        "strict": (100, (0.2, 0.5, 1.0), 2.0, 0.0, False),
        "far": (100, (1.0, 1.5, 2.0), 2.0, 0.0, False),
        "maptrv2": (100, (0.5, 1.0, 1.5), 2.0, 0.0, True),
        "streammapnet": (200, (0.5, 1.0, 1.5), None, 0.2, False),
        "streammapnet_100x50": (200, (1.0, 1.5, 2.0), None, 0.2, False),
    }


def test_other_thresholds_show_in_the_title():
    protocol = get_protocol("maptr", [2, 0.25])
    assert protocol.thresholds == (0.25, 2.0)
    assert protocol.title == "maptr (0.25/2 m)"
    assert get_protocol("maptr").thresholds == (0.5, 1.0, 1.5)


def test_unknown_name_lists_the_known_ones():
    with pytest.raises(MapLLaVAError, match=r"'mapptr'.*maptr.*streammapnet"):
        get_protocol("mapptr")


@pytest.mark.parametrize("thresholds", [[], [0.5, 0.5], [0.0, 1.0], [-1.0], [float("nan")], [float("inf")]])
def test_bad_thresholds_are_refused(thresholds):
    with pytest.raises(MapLLaVAError, match="distinct, positive metres"):
        get_protocol("maptr", thresholds)


def test_the_earlier_name_of_strict_is_still_read():
    assert get_protocol("maptr_strict") is get_protocol("strict")
    assert get_protocol("maptr_strict").name == "strict"


@pytest.mark.parametrize("thresholds", [(), (1.5, 0.5), (0.5, 0.5), (0.0, 1.0)])
def test_a_protocol_of_ones_own_needs_ascending_thresholds(thresholds):
    with pytest.raises(MapLLaVAError, match="protocol mine: thresholds"):
        Protocol("mine", 100, thresholds)
