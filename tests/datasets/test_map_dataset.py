from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
from mmengine.dataset import pseudo_collate
from torch.utils.data import DataLoader

from mapllava import gt_cache
from mapllava.datasets import MapDataset, NuScenesMapDataset
from mapllava.errors import MapLLaVAError
from mapllava.gt_cache.schema import fingerprint
from mapllava.registry import DATASETS
from mapllava.structures.frames import MapSpec

SPEC = MapSpec().to_config()
PIPELINE = [
    {"type": "LoadMultiViewImages", "size": (80, 45)},
    {"type": "PhotoMetricDistortionMultiView"},
    {"type": "RandomLateralFlip", "prob": 0.5},
    {"type": "ResamplePolylines"},
    {"type": "RasterizeBEV"},
    {"type": "PackMapInputs"},
]
ANN = "gt_cache/gt_cache_v1.0-mini_train.pkl"


def entry(rig, index):
    results = rig.results()
    cams = {
        name: {
            "img_path": f"samples/{name}/0.jpg",
            "cam2img": rig.cam2img[i],
            "lidar2cam": rig.lidar2cam[i],
            "timestamp": 1000 + i,
        }
        for i, name in enumerate(results["cam_names"])
    }
    return {
        "sample_token": f"token-{index}",
        "scene_token": "scene",
        "scene_name": "scene-0001",
        "location": "boston-seaport",
        "timestamp": 1000 + index,
        "lidar2ego": results["lidar2ego"],
        "ego2global": results["ego2global"],
        "cams": cams,
        "polylines": [line.to_dict() for line in results["polylines"]],
    }


def cache(rig, spec=SPEC, count=4):
    data_list = [entry(rig, i) for i in range(count)]
    spec = MapSpec.from_config(spec).to_config()
    metainfo = {
        "format_version": 1,
        **spec,
        "split": "train",
        "version": "v1.0-mini",
        "map_version": "1.3",
        "num_samples": count,
        "split_source": "train",
        "scenes": ["scene-0001"],
        "dataroot": "/elsewhere",
        "tables": {},
    }
    metainfo["fingerprint"] = fingerprint(metainfo)
    return {"metainfo": metainfo, "data_list": data_list}


@pytest.fixture(scope="module")
def root(rig, tmp_path_factory) -> Path:
    """A data root: the rig's images, linked, and a cache of four samples."""
    folder = tmp_path_factory.mktemp("root")
    (folder / "samples").symlink_to(Path(rig.paths[0]).parents[1])
    (folder / "gt_cache").mkdir()
    gt_cache.save(folder / ANN, cache(rig))
    return folder


def make(root, **arguments):
    arguments = {"ann_file": ANN, "data_root": str(root), "map_spec": SPEC, "pipeline": PIPELINE, **arguments}
    return DATASETS.build({"type": "NuScenesMapDataset", **arguments})


def test_a_sample_from_files_to_packed(root):
    dataset = make(root, pipeline=[step for step in PIPELINE if step["type"] != "RandomLateralFlip"])
    assert len(dataset) == 4
    packed = dataset[2]
    sample = packed["data_samples"]
    assert packed["inputs"]["img"].shape == (6, 3, 45, 80)
    assert (sample.sample_token, sample.sample_idx, sample.split) == ("token-2", 2, "train")
    assert (sample.location, sample.timestamp, sample.flip) == ("boston-seaport", 1002, False)
    assert sample.gt_instances.orders.shape == (3, 38, 20, 2)
    assert sample.gt_bev.data.shape == (3, 60, 30)
    assert sample.img_paths[0] == str(root / "samples/CAM_FRONT/0.jpg")


def test_meta_information_comes_from_the_cache(root):
    meta = make(root).metainfo
    assert meta["classes"] == ("divider", "ped_crossing", "boundary")
    assert (meta["split"], meta["version"], meta["frame"]) == ("train", "v1.0-mini", "lidar")
    assert meta["dataset_type"] == "nuscenes"
    assert "tables" not in meta


def test_ground_truth_is_handed_out_raw_and_unshared(root, rig):
    for serialize in (True, False):
        dataset = make(root, pipeline=[], serialize_data=serialize)
        first = dataset[0]
        assert first["polylines"] == rig.results()["polylines"]
        first["polylines"][0].points[:] = 0
        first["lidar2cam"][:] = 0
        again = dataset[0]
        assert again["polylines"] == rig.results()["polylines"]
        np.testing.assert_array_equal(again["lidar2cam"], rig.lidar2cam)


def test_in_the_ego_frame_projection_starts_at_the_ego_frame(root, rig):
    spec = MapSpec("ego", [-30, -15, 30, 15]).to_config()
    path = root / "gt_cache" / "ego.pkl"
    gt_cache.save(path, cache(rig, spec))
    sample = make(root, ann_file=str(path), map_spec=spec, pipeline=[])[0]
    in_lidar = np.array([1.0, 12.0, -1.0, 1.0])
    in_ego = sample["lidar2ego"] @ in_lidar
    np.testing.assert_allclose(sample["lidar2cam"][0] @ in_ego, rig.lidar2cam[0] @ in_lidar, atol=1e-9)


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_through_a_loader(root, workers):
    loader = DataLoader(make(root), batch_size=2, num_workers=workers, collate_fn=pseudo_collate)
    tokens = []
    for batch in loader:
        assert len(batch["inputs"]["img"]) == 2
        tokens += [sample.sample_token for sample in batch["data_samples"]]
    assert tokens == [f"token-{i}" for i in range(4)]


def test_a_subset(root):
    dataset = make(root, indices=[3, 1])
    assert [dataset[i]["data_samples"].sample_token for i in range(2)] == ["token-3", "token-1"]


@pytest.mark.parametrize("asked", [5, -5, 0, [4], [], "2", True, [True], 1.5])
def test_more_samples_than_there_are_is_refused(root, asked):
    with pytest.raises(MapLLaVAError, match=r"indices is .* holds 4 samples"):
        make(root, indices=asked)


@pytest.mark.parametrize(("asked", "found"), [(4, 4), (-1, 1), ([-1, 0], 2), (range(1, 4), 3)])
def test_a_number_of_samples_and_places(root, asked, found):
    assert len(make(root, indices=asked)) == found


def test_a_missing_cache_comes_with_its_command(root):
    command = f"mapllava cache create --dataroot {root} --version v1.0-mini --split val"
    with pytest.raises(MapLLaVAError) as caught:
        make(root, ann_file="gt_cache/gt_cache_v1.0-mini_val.pkl")
    assert command in str(caught.value)
    assert str(root / "gt_cache" / "gt_cache_v1.0-mini_val.pkl") in str(caught.value)


def test_a_command_for_another_region_names_it(root):
    spec = MapSpec("lidar", [-25, -50, 25, 50]).to_config()
    with pytest.raises(MapLLaVAError, match=r"--split val .*--roi=100x50"):
        make(root, ann_file="gt_cache/gt_cache_v1.0-mini_val.pkl", map_spec=spec)


def test_a_missing_data_root_is_named(tmp_path):
    with pytest.raises(MapLLaVAError, match="nowhere' is not a folder"):
        make(tmp_path / "nowhere")


def test_a_cache_of_another_region_is_refused(root):
    with pytest.raises(MapLLaVAError, match="roi"):
        make(root, map_spec=MapSpec("lidar", [-25, -50, 25, 50]).to_config())
    with pytest.raises(MapLLaVAError, match="map_spec is missing"):
        make(root, map_spec=None)


@pytest.mark.parametrize("test_mode", [False, True])
def test_a_missing_image_raises_and_no_other_sample_takes_its_place(root, rig, tmp_path, test_mode):
    content = cache(rig)
    content["data_list"][1]["cams"]["CAM_BACK"]["img_path"] = "samples/CAM_BACK/gone.jpg"
    path = tmp_path / "gt_cache_v1.0-mini_train.pkl"
    gt_cache.save(path, content)
    dataset = make(root, ann_file=str(path), test_mode=test_mode)
    assert dataset[0]["data_samples"].sample_token == "token-0"
    with pytest.raises(MapLLaVAError, match=r"CAM_BACK/gone\.jpg"):
        dataset[1]


@pytest.mark.parametrize("test_mode", [False, True])
def test_a_transform_that_returns_none_raises(root, test_mode):
    dataset = make(root, pipeline=[lambda results: None], test_mode=test_mode)
    with pytest.raises(MapLLaVAError, match="None for sample token-3"):
        dataset[3]


def test_a_broken_entry_is_named(root):
    dataset = make(root, serialize_data=False, pipeline=[])
    broken = copy.deepcopy(dataset.data_list[0])
    broken["cams"]["CAM_FRONT"]["cam2img"] = np.eye(2)
    dataset.data_list[0] = broken
    with pytest.raises(
        MapLLaVAError, match=r"sample token-0 is broken .*\(2, 2\)(.|\n)*mapllava cache create"
    ):
        dataset[0]
    broken["cams"] = {}
    with pytest.raises(MapLLaVAError, match="it has no cameras"):
        dataset[0]
    del dataset.data_list[1]["lidar2ego"]
    with pytest.raises(MapLLaVAError, match=r"token-1 is broken .*lidar2ego"):
        dataset[1]


def test_the_base_class_serves_other_data_sets(root):
    dataset = DATASETS.build({"type": "MapDataset", "ann_file": str(root / ANN), "map_spec": SPEC})
    assert type(dataset) is MapDataset
    assert not isinstance(dataset, NuScenesMapDataset)
    with pytest.raises(MapLLaVAError, match=r"missing\.pkl(.|\n)*mapllava cache create"):
        MapDataset(ann_file="missing.pkl", map_spec=SPEC)


def test_training_on_it_sees_both_directions(root):
    np.random.seed(0)  # noqa: NPY002
    dataset = make(root)
    flips = {dataset[i % 4]["data_samples"].flip for i in range(16)}
    assert flips == {True, False}


def test_a_transform_that_breaks_the_pipeline_is_named(root):
    class Forgets:
        def __call__(self, results):
            return {"sample_token": results["sample_token"]}

    class Needs:
        def __call__(self, results):
            return results["img"]

    class GivesAList:
        def __call__(self, results):
            return [results]

    broken = {"Needs needs the key 'img'": [Forgets(), Needs()], "GivesAList returned a list": [GivesAList()]}
    for message, steps in broken.items():
        with pytest.raises(MapLLaVAError, match=message):
            make(root, pipeline=steps)[0]


def test_the_home_folder_may_be_written_as_a_tilde(city, city_cache, monkeypatch):
    monkeypatch.setenv("HOME", str(city.parent))
    cache = f"~/{city_cache['val'].relative_to(city.parent)}"
    dataset = NuScenesMapDataset(ann_file=cache, map_spec=MapSpec().to_config(), data_root=f"~/{city.name}")
    assert dataset.get_data_info(0)["img_paths"][0].startswith(f"{city}/samples")
