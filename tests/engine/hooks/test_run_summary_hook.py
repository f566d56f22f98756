"""What a run says of its data before it starts."""

import logging
from types import SimpleNamespace

import pytest
from mmengine.dataset import ConcatDataset, RepeatDataset
from torch import nn

from mapllava.engine.hooks.run_summary_hook import check_fit
from mapllava.errors import MapLLaVAError
from mapllava.registry import DATASETS
from mapllava.structures.frames import MapSpec


@pytest.fixture
def dataset(city, city_cache):
    spec = MapSpec().to_config()
    cache = str(city_cache["val"])
    return DATASETS.build(
        dict(type="NuScenesMapDataset", data_root=str(city), ann_file=cache, map_spec=spec, pipeline=[])
    )


def runner(num_instances, max_predictions=50, ground=-1.84):
    model = nn.Module()
    model.map_queries = SimpleNamespace(num_instances=num_instances)
    model.head = SimpleNamespace(max_predictions=max_predictions)
    model.neck = SimpleNamespace(ground=ground)
    return SimpleNamespace(model=model, logger=logging.getLogger("summary"))


@pytest.mark.parametrize("wrap", [lambda d: d, lambda d: RepeatDataset(d, 2), lambda d: ConcatDataset([d])])
def test_elements_beyond_the_queries_are_said_once_with_a_sample(dataset, wrap, caplog):
    most = max(dataset.entries(), key=lambda entry: len(entry["polylines"]))
    check_fit(runner(len(most["polylines"]) - 1), "train", wrap(dataset))
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert f"of 8 samples have more than {len(most['polylines']) - 1} elements" in record.message
    assert most["sample_token"] in record.message
    assert "num_instances" in record.message


def test_validation_is_also_cut_to_the_predictions_kept(dataset, caplog):
    check_fit(runner(50, max_predictions=2), "train", dataset)
    assert not caplog.records
    check_fit(runner(50, max_predictions=2), "val", dataset)
    assert "more than 2 elements" in caplog.text


def test_a_lidar_mounted_elsewhere_stops_the_run(dataset):
    with pytest.raises(MapLLaVAError, match=r"val data: .*z = 0 m.*heights\.ground\.lidar"):
        check_fit(runner(50, ground=0.0), "val", dataset)
