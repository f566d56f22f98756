import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="session")
def trained(tmp_path_factory, city, city_cache):
    """A tiny model of the full-size kind, trained for a step: read its files only."""
    from trained import train_tiny

    return train_tiny(tmp_path_factory.mktemp("trained"), city, city_cache)
