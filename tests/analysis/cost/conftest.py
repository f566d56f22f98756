from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.registry import init_default_scope

from mapllava.config.resolve import resolve

CONFIGS = Path(__file__).parents[3] / "configs" / "stage2"


@pytest.fixture(scope="session")
def read():
    """Reads a shipped config, its map_spec filled in, some values of its model changed."""

    def config(name, **options):
        init_default_scope("mapllava")
        cfg = Config.fromfile(CONFIGS / f"{name}.py")
        cfg.merge_from_dict({f"model.{key}": value for key, value in options.items()})
        resolve(cfg)
        return cfg

    return config
