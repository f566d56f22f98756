import pytest


@pytest.fixture(scope="session")
def trained(tmp_path_factory, city, city_cache):
    """A tiny model of the full-size kind, trained for a step: read its files only."""
    from trained import train_tiny

    return train_tiny(tmp_path_factory.mktemp("trained"), city, city_cache)


@pytest.fixture(scope="module")
def predictor(trained):
    import mapllava

    return mapllava.load_model(trained.best, device="cpu")


@pytest.fixture(scope="module")
def sample(trained):
    """What the data set knows of the first validation sample."""
    return trained.runner.val_dataloader.dataset.get_data_info(0)
