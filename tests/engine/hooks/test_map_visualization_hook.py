import logging
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop, ValLoop
from mmengine.structures import InstanceData

from mapllava.engine.hooks.map_visualization_hook import MapVisualizationHook
from mapllava.registry import HOOKS
from mapllava.structures import MapDataSample, MapSpec
from mapllava.visualization import map_visualizer

COUNT, BATCH = 10, 4


def sample(index):
    out = MapDataSample(
        metainfo={
            "sample_idx": index,
            "sample_token": f"{index}abcdefghij",
            "scene_name": "scene-0103",
            "split": "mini_val",
            "map_spec": MapSpec().to_config(),
            "lidar2ego": np.eye(4),
            "cam_names": ["CAM_FRONT"],
            "lidar2img": np.eye(4)[None],
            "polylines": [],
        }
    )
    out.pred_instances = InstanceData(
        points=torch.zeros(0, 20, 2), scores=torch.zeros(0), labels=torch.zeros(0, dtype=torch.int64)
    )
    return out


@pytest.fixture
def runner(tmp_path, monkeypatch):
    """What the hook reads of a runner; headers are recorded instead of looked at."""
    loader = SimpleNamespace(dataset=range(COUNT), batch_size=BATCH)
    runner = SimpleNamespace(
        work_dir=str(tmp_path / "run"),
        epoch=1,
        iter=500,
        _train_loop=object.__new__(EpochBasedTrainLoop),
        _val_loop=None,
        _test_loop=None,
        val_dataloader=loader,
        test_dataloader=loader,
        logger=logging.getLogger("test"),
        scores=[],
    )
    draw = map_visualizer.draw_sample

    def spy(meta, views, truth, prediction, score_thr, score):
        runner.scores.append(score)
        runner.views, runner.least = views, score_thr
        return draw(meta, views, truth, prediction, score_thr, score, width=700)

    monkeypatch.setattr(map_visualizer, "draw_sample", spy)
    return runner


def go_through(hook, runner, stage="val", metrics=None):
    getattr(hook, f"before_{stage}_epoch")(runner)
    for batch, start in enumerate(range(0, COUNT, BATCH)):
        members = range(start, min(start + BATCH, COUNT))
        images = [torch.full((1, 3, 8, 16), 10 * k, dtype=torch.uint8) for k in members]
        outputs = [sample(k) for k in members]
        getattr(hook, f"after_{stage}_iter")(runner, batch, {"inputs": {"img": images}}, outputs)
    getattr(hook, f"after_{stage}_epoch")(runner, {"mAP": 0.1234} if metrics is None else metrics)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_spread_over_the_validation_set_with_the_score(runner, tmp_path):
    go_through(MapVisualizationHook(num_samples=2), runner)
    folder = tmp_path / "run" / "pictures" / "epoch_1"
    assert names(folder) == ["00002_scene-0103_2abcdefg.png", "00007_scene-0103_7abcdefg.png"]
    assert cv2.imread(str(folder / names(folder)[0])).shape[1] == 700
    assert runner.scores == ["mAP 12.3 (mini_val, epoch 1)"] * 2
    assert runner.views[0].image.max() == 70


def test_what_is_drawn_is_what_the_metric_found_best_unless_a_number_is_asked_for(runner):
    display = {"thresholds": {"divider": 0.4}, "source": "best F1 at 1.0 m on split mini_val"}
    runner._val_loop = object.__new__(ValLoop)
    runner._val_loop.evaluator = SimpleNamespace(metrics=[object(), SimpleNamespace(display=display)])
    go_through(MapVisualizationHook(num_samples=1), runner)
    assert runner.least == display
    go_through(MapVisualizationHook(num_samples=1, score_thr=0.7), runner)
    assert runner.least == 0.7


def test_every_interval_th_epoch(runner, tmp_path):
    hook = MapVisualizationHook(num_samples=1, interval=2)
    for runner.epoch in (1, 2, 3, 4):
        go_through(hook, runner)
    assert names(tmp_path / "run" / "pictures") == ["epoch_2", "epoch_4"]


def test_iteration_based_training_counts_validations(runner, tmp_path):
    runner._train_loop, runner.epoch = object.__new__(IterBasedTrainLoop), 0
    hook = MapVisualizationHook(num_samples=1, interval=2)
    for runner.iter in (100, 200, 300, 400):
        go_through(hook, runner)
    assert names(tmp_path / "run" / "pictures") == ["iter_200", "iter_400"]


def test_testing_draws_into_out_dir_and_only_with_one(runner, tmp_path):
    go_through(MapVisualizationHook(num_samples=3), runner, "test")
    assert not (tmp_path / "run").exists()
    go_through(
        MapVisualizationHook(num_samples=3, out_dir=str(tmp_path / "show")), runner, "test", {"x/mAP": 0.5}
    )
    assert len(names(tmp_path / "show")) == 3
    assert runner.scores[-1] == "mAP 50.0 (mini_val)"


@pytest.mark.slow
def test_all_samples_or_more_than_there_are(runner, tmp_path):
    go_through(MapVisualizationHook(num_samples=None, out_dir=str(tmp_path / "a")), runner, "test")
    assert runner.scores == [""] * COUNT
    go_through(MapVisualizationHook(num_samples=99, out_dir=str(tmp_path / "b")), runner, "test")
    assert names(tmp_path / "a") == names(tmp_path / "b")
    assert len(names(tmp_path / "b")) == COUNT


def test_nothing_is_carried_into_the_next_validation(runner, tmp_path):
    hook = MapVisualizationHook(num_samples=2)
    go_through(hook, runner)
    runner.epoch, runner.val_dataloader.dataset = 2, range(0)
    hook.before_val_epoch(runner)
    hook.after_val_epoch(runner, {})
    assert names(tmp_path / "run" / "pictures") == ["epoch_1"]


def test_builds_from_a_config_and_refuses_nonsense():
    hook = HOOKS.build(Config({"type": "MapVisualizationHook", "num_samples": 4}))
    assert (hook.num_samples, hook.interval) == (4, 1)
    with pytest.raises(ValueError, match="interval 0"):
        MapVisualizationHook(interval=0)
    with pytest.raises(ValueError, match="num_samples is 0"):
        MapVisualizationHook(num_samples=0)
