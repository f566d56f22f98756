import pytest


@pytest.fixture
def opened(tmp_path, city, city_cache):
    """``opened(neck=…, decoder=…)``: a tiny model as the tool opens it."""
    from tiny import tiny_config, write_run

    from mapllava.analysis.diagnosis import open_checkpoint

    def build(**model):
        checkpoint = write_run(tmp_path / "run", tiny_config(city, city_cache, **model))
        return open_checkpoint(checkpoint, device="cpu")

    return build
