"""Two splits as one data set are named together; what does not belong together is refused."""

import pytest

from mapllava.datasets import NuScenesMapDataset
from mapllava.errors import MapLLaVAError
from mapllava.registry import DATASETS
from mapllava.structures import MapSpec


def dataset(city, city_cache, split, **changes):
    spec = MapSpec().to_config()
    return NuScenesMapDataset(ann_file=city_cache[split], map_spec=spec, data_root=city, **changes)


def test_the_splits_are_named_together(city, city_cache):
    parts = [dataset(city, city_cache, split) for split in ("train", "val")]
    both = DATASETS.build({"type": "ConcatDataset", "datasets": parts})
    assert len(both) == len(parts[0]) + len(parts[1]) == 20
    assert both.metainfo["split"] == "train+val"
    assert both.metainfo["version"] == "v1.0-mini"
    assert both.metainfo["classes"] == parts[0].metainfo["classes"]
    assert [both.get_data_info(index)["split"] for index in (0, 19)] == ["train", "val"]


def test_what_does_not_belong_together_is_refused(city, city_cache):
    part = dataset(city, city_cache, "val")
    with pytest.raises(MapLLaVAError, match="two of its data sets are of one GT cache"):
        DATASETS.build({"type": "ConcatDataset", "datasets": [part, dataset(city, city_cache, "val")]})
    other = dataset(city, city_cache, "train", metainfo={"frame": "ego"})
    other._metainfo["frame"] = "ego"
    with pytest.raises(MapLLaVAError, match="of one frame, ROI and list of classes"):
        DATASETS.build({"type": "ConcatDataset", "datasets": [part, other]})
    for nothing in ([], ["a"], None):
        with pytest.raises(MapLLaVAError, match="has no datasets"):
            DATASETS.build({"type": "ConcatDataset", "datasets": nothing})


def test_parts_of_one_cache_go_together_unless_they_share_samples(city, city_cache):
    def both(first, second):
        parts = [dataset(city, city_cache, "val", indices=part) for part in (first, second)]
        return DATASETS.build({"type": "ConcatDataset", "datasets": parts})

    assert len(both([0, 2], [1, 3])) == 4
    with pytest.raises(MapLLaVAError, match="share samples"):
        both([0, 2], [2, 3])
    whole = dataset(city, city_cache, "val")
    with pytest.raises(MapLLaVAError, match="share samples"):
        DATASETS.build(
            {
                "type": "ConcatDataset",
                "datasets": [whole, {"type": "RepeatDataset", "times": 2, "dataset": whole}],
            }
        )
