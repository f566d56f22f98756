"""What is filled in, in whom, from where; twice is as good as once."""

import copy
import os
from pathlib import Path

import pytest
from mmengine.config import Config

from mapllava.config.read import read_config
from mapllava.config.resolve import leaf_datasets, move_data_root, resolve
from mapllava.errors import MapLLaVAError
from mapllava.registry import DATASETS, METRICS, MODELS, TRANSFORMS
from mapllava.structures.frames import MapSpec

CONFIGS = Path(__file__).parents[2] / "configs"
SPEC = dict(frame="lidar", roi=[-15.0, -30.0, 15.0, 30.0], classes=["divider", "ped_crossing", "boundary"])


@TRANSFORMS.register_module(force=True)
class PlugInTargets:
    """Asks for everything that a transform of ours may ask for."""

    def __init__(self, map_spec, num_points, cell, name="mine"):
        self.map_spec, self.num_points, self.cell = MapSpec.from_config(map_spec), num_points, cell


@DATASETS.register_module(force=True)
class PlugInData:
    def __init__(self, num_points=3, **kwargs):
        pass


@MODELS.register_module(force=True)
class PlugInEncoder:
    def __init__(self, map_spec, cell=2.0):
        pass


@METRICS.register_module(force=True)
class PlugInMetric:
    def __init__(self, num_points):
        pass


@TRANSFORMS.register_module(force=True)
class AsksForNothing:
    pass


def made(**more):
    cfg = dict(
        map_spec=SPEC,
        model=dict(
            type="MapLLaVA",
            vision_encoder=dict(type="PlugInEncoder"),
            neck=dict(type="BEVQFormerNeck", cell=0.5),
            head=dict(type="VectorMapHead", num_points=30, layer=dict(type="RefinementLayer")),
        ),
        train_dataloader=dict(
            dataset=dict(
                type="RepeatDataset",
                dataset=dict(
                    type="PlugInData", pipeline=[dict(type="PlugInTargets"), dict(type="AsksForNothing")]
                ),
            )
        ),
    )
    return Config({**cfg, **more})


def test_a_plug_ins_parts_get_what_their_constructors_ask_for():
    cfg, filled = made(val_evaluator=[dict(type="PlugInMetric")]), {}
    resolve(cfg, filled)
    ((_, data),) = leaf_datasets(cfg, "train_dataloader")
    targets = TRANSFORMS.build(data.pipeline[0])
    assert (targets.map_spec, targets.num_points, targets.cell) == (MapSpec.from_config(SPEC), 30, 0.5)
    assert data.num_points == 30, "though it has a default"
    assert cfg.model.vision_encoder.map_spec == SPEC
    assert cfg.model.vision_encoder.cell == 0.5
    assert cfg.val_evaluator[0].num_points == 30
    assert data.pipeline[1] == dict(type="AsksForNothing")
    assert "num_points" not in cfg.model.head.layer, "the head's own to build"
    assert filled["train_dataloader.dataset.dataset.pipeline.0.cell"] == "model.neck.cell"
    assert filled["val_evaluator.0.num_points"] == "model.head.num_points"
    assert filled["model.map_spec"] == "map_spec"


def test_what_a_component_states_itself_stays():
    cfg = made()
    cfg.train_dataloader.dataset.dataset.pipeline[0].update(num_points=7, cell=1.5)
    targets = resolve(cfg).train_dataloader.dataset.dataset.pipeline[0]
    assert (targets.num_points, targets.cell) == (7, 1.5)


def test_twice_is_as_good_as_once():
    cfg = read_config(CONFIGS / "stage2" / "synthetic.py")
    once = copy.deepcopy(resolve(cfg).to_dict())
    filled = {}
    assert resolve(cfg, filled).to_dict() == once
    assert filled == {}


def test_ours_get_theirs():
    cfg = resolve(read_config(CONFIGS / "stage2" / "synthetic.py"))
    steps = {step.type: step for step in cfg.train_dataloader.dataset.pipeline}
    assert steps["ResamplePolylines"].num_points == cfg.model.head.num_points
    assert steps["RasterizeBEV"].cell == cfg.model.neck.cell
    for node in (cfg.model, cfg.train_dataloader.dataset, cfg.val_dataloader.dataset, cfg.test_evaluator):
        assert node.map_spec == cfg.map_spec


@pytest.mark.parametrize("where", ["model", "model.neck", "train_dataloader.dataset.dataset.pipeline.0"])
def test_two_map_specs_are_refused(where):
    cfg = made()
    other = dict(frame="ego", roi=[-30.0, -15.0, 30.0, 15.0], classes=["divider"])
    cfg.merge_from_dict({f"{where}.map_spec": other})
    with pytest.raises(MapLLaVAError, match=rf"^{where}\.map_spec is .*ego.*lidar"):
        resolve(cfg)


def test_a_config_without_map_spec_is_told_what_to_inherit():
    with pytest.raises(MapLLaVAError, match=r"map_spec.*configs/_base_/map_spec\.py"):
        resolve(made(map_spec=None))


def test_the_usual_roi_of_another_frame_is_refused():
    """``map_spec.frame=ego`` alone would look 15 m ahead and 30 m to the sides."""
    cfg = made(map_spec=dict(SPEC, frame="ego"))
    with pytest.raises(MapLLaVAError, match=r"30 m along the car.*roi=\[-30.0, -15.0, 30.*--frame ego"):
        resolve(cfg)
    cfg.map_spec.roi = [-30.0, -15.0, 30.0, 15.0]
    resolve(cfg)


def test_an_open_end_becomes_the_number_of_epochs_and_others_stay():
    schedules = [
        dict(type="LinearLR", start_factor=0.1, end=500, by_epoch=False),
        dict(type="CosineAnnealingLR", by_epoch=True),
        dict(type="MultiStepLR", milestones=[1], by_epoch=True, end=3),
        dict(type="ConstantLR", by_epoch=False),
    ]
    filled = {}
    cfg = resolve(made(train_cfg=dict(max_epochs=7), param_scheduler=schedules), filled)
    assert [s.get("end") for s in cfg.param_scheduler] == [500, 7, 3, None]
    assert filled["param_scheduler.1.end"] == "train_cfg.max_epochs"
    alone = resolve(made(train_cfg=dict(max_epochs=7), param_scheduler=dict(type="ConstantLR")))
    assert alone.param_scheduler.end == 7
    with pytest.raises(MapLLaVAError, match=r"param_scheduler has 'ConstantLR'"):
        resolve(made(param_scheduler=["ConstantLR"]))


@pytest.mark.parametrize(
    ("given", "seed"), [({}, 0), ({"randomness": None}, 0), ({"randomness": dict(seed=5)}, 5)]
)
def test_a_run_has_a_seed(given, seed):
    assert resolve(made(**given)).randomness.seed == seed


def test_paths_of_the_home_folder_are_written_out_wherever_they_stand():
    cfg = made(work_dir="~/runs", custom_hooks=[dict(type="MyHook", file="~/f", paths=["~/a", "b~/c"])])
    resolve(cfg)
    home = os.path.expanduser("~")
    assert cfg.work_dir == f"{home}/runs"
    assert cfg.custom_hooks[0].file == f"{home}/f"
    assert cfg.custom_hooks[0].paths == [f"{home}/a", "b~/c"]


def test_data_sets_of_another_root_stay_where_they_are():
    cfg = made(data_root="data/a")
    cfg.train_dataloader.dataset = dict(
        type="ConcatDataset", datasets=[dict(type="X", data_root=root) for root in ("data/a", "data/b")]
    )
    move_data_root(cfg, "/new")
    assert [node.data_root for _, node in leaf_datasets(cfg, "train_dataloader")] == ["/new", "data/b"]
