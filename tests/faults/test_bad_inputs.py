"""Every bad input gets its message: status 1 or 2, no traceback, what was found and the remedy."""

import pytest
from bad_inputs import CASES, World, faults, message


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return World(tmp_path_factory.mktemp("world"))


def test_there_are_enough():
    assert len(CASES) >= 40
    assert len({(case.group, case.what) for case in CASES}) == len(CASES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.group}: {case.what}")
def test_bad_input_gets_its_message(case, world):
    status, text = message(case, world)
    assert not faults(case, status, text), text[-3000:]
