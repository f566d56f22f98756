import numpy as np
import pytest
from mmengine.config import Config
from mmengine.runner import Runner

from mapllava.analysis.shown_data import ShownData
from mapllava.engine.runner.visits import with_visits
from mapllava.errors import MapLLaVAError
from mapllava.visualization import camera_lines, render
from mapllava.visualization.sample_picture import MapSpec
from mapllava.visualization.visits_picture import seen_visit, visits_figure


def config(city, city_cache, flip=0.5, **sampler):
    load = [{"type": "LoadMultiViewImages", "size": (160, 90)}, {"type": "CropMultiView", "top": 30}]
    target = [{"type": "ResamplePolylines", "num_points": 12}, {"type": "RasterizeBEV", "cell": 1.0}]
    pack = [{"type": "PackMapInputs"}]
    flips = [{"type": "RandomLateralFlip", "prob": flip}]

    def loader(split, pipeline, shuffle):
        dataset = {"type": "NuScenesMapDataset", "data_root": str(city), "ann_file": str(city_cache[split])}
        return {
            "batch_size": 2,
            "num_workers": 0,
            "sampler": {"type": "DefaultSampler", "shuffle": shuffle, **sampler},
            "dataset": {**dataset, "pipeline": pipeline},
        }

    return Config(
        {
            "default_scope": "mapllava",
            "map_spec": MapSpec().to_config(),
            "model": {},
            "train_dataloader": loader("train", [*load, *flips, *target, *pack], True),
            "val_dataloader": loader("val", [*load, *pack], False),
        }
    )


def test_visits_are_those_that_training_pays(city, city_cache):
    data = ShownData(config(city, city_cache), "train")
    places = data.choose(num=12)
    assert places == list(range(12))
    planned = data.visits(places, 2)
    cfg = config(city, city_cache)
    ShownData(cfg, "train")  # fills in what the config leaves out
    loader = Runner.build_dataloader(with_visits(cfg.train_dataloader, 0), seed=0)
    for epoch in range(2):
        loader.sampler.set_epoch(epoch)
        for batch in loader:
            for image, sample in zip(batch["inputs"]["img"], batch["data_samples"], strict=True):
                title, visit = planned[int(sample.sample_idx)][epoch]
                ours = data.dataset[visit]
                assert title == f"epoch {epoch + 1}"
                assert ours["data_samples"].flip == sample.flip
                assert (ours["inputs"]["img"] == image).all()


def test_visits_differ_under_augmentation_and_agree_without(city, city_cache):
    def flips(prob):
        data = ShownData(config(city, city_cache, prob), "train")
        return [
            [bool(data.dataset[visit]["data_samples"].flip) for _, visit in visits]
            for visits in data.visits([0, 5], 6).values()
        ]

    for row in flips(0.5):
        assert set(row) == {True, False}
    assert flips(0.0) == [[False] * 6] * 2
    data = ShownData(config(city, city_cache), "val")
    one, two = (data.dataset[visit]["inputs"]["img"] for _, visit in data.visits([3], 2)[3])
    assert (one == two).all()


def test_truth_lands_on_the_mirrored_pixels_after_a_flip(city, city_cache):
    """Every projected target of the mirrored sample is its twin, in the other camera's mirror image."""
    plain, mirrored = (
        seen_visit(ShownData(config(city, city_cache, prob), "train").dataset[4], "") for prob in (0.0, 1.0)
    )
    assert (plain.meta["flip"], mirrored.meta["flip"]) == (False, True)
    partner = {
        "CAM_FRONT": "CAM_FRONT",
        "CAM_FRONT_LEFT": "CAM_FRONT_RIGHT",
        "CAM_BACK_RIGHT": "CAM_BACK_LEFT",
    }
    views = {view.name: view for view in plain.views}
    seen = 0
    for view in mirrored.views:
        if view.name not in partner:
            continue
        twin = views[partner[view.name]]
        assert (view.image == twin.image[:, ::-1]).all()
        size = (view.image.shape[1], view.image.shape[0])
        ours, theirs = (
            camera_lines(v.lines.points, w.lidar2img, v.meta["lidar2ego"], MapSpec(), size)
            for v, w in ((mirrored, view), (plain, twin))
        )
        for mine, other in zip(ours, theirs, strict=True):
            assert len(mine) == len(other)
            for run, twin_run in zip(mine, other, strict=True):
                # the network gets its matrices in float32
                np.testing.assert_allclose(run, [size[0] - 1, 0] + twin_run * [-1, 1], atol=0.05)
                seen += len(run)
    assert seen > 20


def test_the_picture_shows_every_visit(city, city_cache):
    data = ShownData(config(city, city_cache), "train")
    visits = [seen_visit(data.dataset[visit], title) for title, visit in data.visits([2], 2)[2]]
    assert visits[0].resampled
    assert visits[0].raster.shape == (3, 60, 30)
    assert {len(line) for line in visits[0].lines.points} <= {12, 13}  # a ring ends where it begins
    one, two = (render(visits_figure(visits[:count])) for count in (1, 2))
    assert two.shape[1] > one.shape[1]
    val = ShownData(config(city, city_cache), "val").dataset[0]
    stored = seen_visit(val, "visit 1")
    assert stored.raster is None
    assert not stored.resampled
    assert len(stored.lines.points) == len(val["data_samples"].polylines)
    with pytest.raises(MapLLaVAError, match="end it in PackMapInputs"):
        seen_visit({"img": 1}, "visit 1")


def test_samples_are_chosen_by_token_class_or_chance(city, city_cache):
    data = ShownData(config(city, city_cache), "train")
    tokens = [data.dataset.get_data_info(k)["sample_token"] for k in (7, 2)]
    assert data.choose(tokens) == [7, 2]
    assert data.choose(num=3, seed=1) == data.choose(num=3, seed=1)
    with_crossings = data.choose(num=12, classes=["ped_crossing"])
    for k in range(12):
        labels = {line.label for line in data.dataset.get_data_info(k)["polylines"]}
        assert (1 in labels) == (k in with_crossings)
    for wrong, message in (
        ({"tokens": ["none"]}, "no sample none among its 12"),
        ({"num": 0}, "num is 0"),
        ({"classes": ["lane"]}, "no class lane"),
    ):
        with pytest.raises(MapLLaVAError, match=message):
            data.choose(**wrong)
    with pytest.raises(MapLLaVAError, match="visits is 0"):
        data.visits([0], 0)
    with pytest.raises(MapLLaVAError, match="no test_dataloader"):
        ShownData(config(city, city_cache), "test")
