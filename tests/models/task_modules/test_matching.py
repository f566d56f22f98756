"""Matching: costs against a loop over pairs and orders, assignments, empty samples."""

import pytest
import torch
from mmengine.structures import InstanceData

from mapllava.errors import MapLLaVAError
from mapllava.geometry.permutations import equivalent_orders
from mapllava.models.task_modules import FocalClassCost, HungarianMapAssigner, MapTargets, OrderedPointsL1Cost
from mapllava.registry import TASK_UTILS
from mapllava.structures.frames import MapSpec
from mapllava.structures.map_data_sample import MapDataSample

P = 5
COSTS = [dict(type="FocalClassCost", weight=2.0), dict(type="OrderedPointsL1Cost", weight=5.0)]


def sample_of(elements) -> MapDataSample:
    """A sample from (label, (P, 2) metres) pairs, all open lines."""
    orders = torch.from_numpy(equivalent_orders(P, closed=False))
    points = torch.stack([p for _, p in elements]) if elements else torch.zeros(0, P, 2)
    sample = MapDataSample(metainfo={"sample_token": "t"})
    labels = torch.tensor([label for label, _ in elements], dtype=torch.long)
    sample.gt_instances = InstanceData(labels=labels, points=points, orders=points[:, orders])
    return sample


def line(x: float) -> torch.Tensor:
    """A straight line along y at x metres."""
    return torch.stack([torch.full((P,), x), torch.linspace(-20, 20, P)], -1)


@pytest.fixture
def targets() -> MapTargets:
    samples = [sample_of([(0, line(-5.0)), (2, line(6.0))]), sample_of([]), sample_of([(1, line(0.0))])]
    return MapTargets.from_samples(samples, MapSpec(), P, torch.device("cpu"))


def test_point_cost_is_the_best_order_of_a_loop(targets):
    torch.manual_seed(0)
    points = torch.rand(2, 3, 4, P, 2)
    cost = OrderedPointsL1Cost(weight=5.0)(None, points, targets)
    for layer in range(2):
        for batch, count in enumerate(targets.counts):
            for i in range(4):
                for g in range(count):
                    loop = min((points[layer, batch, i] - o).abs().sum() for o in targets.orders[batch, g])
                    assert cost[layer, batch, i, g].item() == pytest.approx(5 * loop.item(), rel=1e-5)


def test_class_cost_prefers_the_confident_right_class(targets):
    logits = torch.tensor([4.0, -4.0, -4.0]).expand(1, 3, 2, 3).clone()
    logits[:, :, 1] = -4.0
    cost = FocalClassCost()(logits, None, targets)
    assert cost[0, 0, 0, 0] < cost[0, 0, 1, 0]
    assert cost[0, 0, 0, 1] >= cost[0, 0, 1, 1]


def test_a_reversed_line_costs_nothing_and_is_assigned(targets):
    points = torch.rand(1, 3, 4, P, 2)
    points[0, 0, 3] = targets.orders[0, 1, 0].flip(0)
    points[0, 2, 1] = targets.orders[2, 0, 0]
    logits = torch.zeros(1, 3, 4, 3)
    pairs = HungarianMapAssigner(COSTS)(logits, points, targets)
    found = set(zip(pairs.sample.tolist(), pairs.prediction.tolist(), pairs.element.tolist(), strict=True))
    assert (0, 3, 1) in found
    assert (2, 1, 0) in found
    assert len(found) == 3


def test_more_elements_than_predictions_leave_the_worst_without_a_pair(targets):
    points = torch.zeros(1, 3, 1, P, 2)
    points[0, 0, 0] = targets.orders[0, 1, 0]
    pairs = HungarianMapAssigner(COSTS)(torch.zeros(1, 3, 1, 3), points, targets)
    assert pairs.sample.tolist() == [0, 2]
    assert pairs.element.tolist() == [1, 0]


def test_samples_do_not_mix(targets):
    points = torch.rand(1, 3, 4, P, 2)
    points[0, 1, 0] = targets.orders[0, 0, 0]  # the empty sample draws what another one holds
    pairs = HungarianMapAssigner(COSTS)(torch.zeros(1, 3, 4, 3), points, targets)
    assert 1 not in pairs.sample.tolist()


def test_diverged_predictions_are_matched_to_nothing(targets):
    points = torch.rand(2, 3, 4, P, 2)
    points[1, 2, 0, 0, 0] = float("nan")
    pairs = HungarianMapAssigner(COSTS)(torch.zeros(2, 3, 4, 3), points, targets)
    assert [(pairs.layer == layer).sum() for layer in (0, 1)] == [3, 2]


def test_a_cost_that_is_not_finite_by_itself_is_refused(targets):
    TASK_UTILS.register_module(name="Endless", module=type("Endless", (FocalClassCost,), {
        "__call__": lambda self, *args: FocalClassCost.__call__(self, *args) / 0,
    }), force=True)  # fmt: skip
    with pytest.raises(MapLLaVAError, match=r"Endless.* not finite.*model\.head\.criterion\.assigner\.costs"):
        HungarianMapAssigner([{"type": "Endless"}])(
            torch.ones(1, 3, 4, 3), torch.rand(1, 3, 4, P, 2), targets
        )


def test_another_number_of_points_is_refused():
    with pytest.raises(MapLLaVAError, match="num_points"):
        MapTargets.from_samples([sample_of([(0, line(0.0))])], MapSpec(), P + 1, torch.device("cpu"))


def test_no_cost_is_refused():
    with pytest.raises(MapLLaVAError, match=r"assigner\.costs is empty"):
        HungarianMapAssigner([])
