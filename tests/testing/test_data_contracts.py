"""Our own parts keep the contracts, and the checks catch what they are for."""

import copy

import numpy as np
import pytest
import torch
from mmengine.evaluator import BaseMetric
from mmengine.hooks import Hook

from mapllava.datasets.transforms import (
    CropMultiView,
    PhotoMetricDistortionMultiView,
    RandomLateralFlip,
    ResizeMultiView,
)
from mapllava.evaluation.metrics import VectorMapMetric
from mapllava.testing import check_hook, check_metric, check_transform


@pytest.mark.parametrize(
    "transform",
    [
        RandomLateralFlip(prob=1.0),
        RandomLateralFlip(prob=0.0),
        CropMultiView(top=30),
        ResizeMultiView(size=(240, 160)),
        PhotoMetricDistortionMultiView(prob=1.0),
    ],
    ids=lambda transform: type(transform).__name__,
)
def test_our_transforms_keep_the_contract(transform):
    check_transform(transform)


class Forgetful:
    """A part of a transform's work, without the rest."""

    def __init__(self, work):
        self.work = work

    def __call__(self, results):
        results = copy.deepcopy(results)
        getattr(self, self.work)(results)
        return None if self.work == "nothing" else results

    def flip_images(self, results):
        results["img"] = [img[:, ::-1] for img in results["img"]]

    def flip_lines(self, results):
        for line in results["polylines"]:
            line.points = line.points * [1.0, -0.9]

    def crop_images(self, results):
        results["img"] = [img[30:] for img in results["img"]]

    def drop(self, results):
        del results["polylines"]

    def noise(self, results):
        noise = np.random.default_rng().integers(0, 3, results["img"][0].shape, dtype=np.uint8)
        results["img"] = [img + noise for img in results["img"]]

    def nothing(self, results):
        pass


@pytest.mark.parametrize(
    ("work", "words"),
    [
        ("flip_images", "no paint"),
        ("flip_lines", "no paint"),
        ("crop_images", "no paint"),
        ("drop", "'polylines'"),
        ("noise", "one seed gives two results"),
        ("nothing", "NoneType"),
    ],
)
def test_a_transform_that_forgets_something(work, words):
    with pytest.raises(AssertionError, match=f"Forgetful: .*{words}"):
        check_transform(Forgetful(work))


class Count(BaseMetric):
    """Counts what it is given, in one of several wrong ways."""

    def __init__(self, how):
        super().__init__()
        self.how = how

    def process(self, data_batch, data_samples):
        self.results += [sample["sample_token"] for sample in data_samples]

    def compute_metrics(self, results):
        if self.how == "twice":
            return {"n": float(len(results))}
        return {"n": float("nan") if self.how == "nan" else float(results[0][-1]) + 1.0}


def test_our_metric_keeps_the_contract():
    check_metric(VectorMapMetric())


@pytest.mark.parametrize(
    ("how", "words"), [("twice", "seen twice changes n"), ("nan", "n is nan"), ("first", "order changes n")]
)
def test_a_metric_that_miscounts(how, words):
    with pytest.raises(AssertionError, match=f"Count: .*{words}"):
        check_metric(Count(how))


def train(hooks):
    """Two steps of one weight."""
    weight = torch.nn.Linear(1, 1)
    torch.nn.init.ones_(weight.weight)
    runner = type("Runner", (), {"model": weight, "iter": 0})
    for _ in range(2):
        for hook in hooks:
            hook.after_train_iter(runner, 0, None, {"loss": torch.ones(())})
        with torch.no_grad():
            weight.weight -= 0.1
    return {"weight": weight.weight.detach().clone()}


class Meddling(Hook):
    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        runner.model.weight.data += 1.0


def test_a_hook_that_changes_the_weights():
    check_hook(Hook(), train)
    with pytest.raises(AssertionError, match="Meddling: changes the weights weight"):
        check_hook(Meddling(), train)
