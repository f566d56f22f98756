import pytest

from tests.doctor.set_up import SetUp, make_set_up


@pytest.fixture
def set_up(tmp_path, city, city_cache) -> SetUp:
    return make_set_up(tmp_path, city, city_cache)
