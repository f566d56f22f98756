"""The head: shapes, spread references, gradients by depth, losses, predictions in metres."""

import pytest
import torch
from mmengine.structures import InstanceData

from mapllava.geometry.permutations import equivalent_orders
from mapllava.models.heads import VectorMapHead
from mapllava.models.heads.vector_map_head import inverse_sigmoid
from mapllava.models.task_modules import MapTargets
from mapllava.structures.frames import MapSpec
from mapllava.structures.map_data_sample import MapDataSample

P, INSTANCES, CLASSES = 6, 12, 3


def make(
    bev_dims: int = 8, num_layers: int = 3, spec: MapSpec | None = None, direct: bool = False, **more: dict
) -> VectorMapHead:
    torch.manual_seed(0)
    layer = dict(
        type="RefinementLayer",
        embed_dims=16,
        point_dims=8,
        num_heads=2,
        ffn_dims=32,
        num_samples=2,
        num_frequencies=3,
    )
    costs = [dict(type="FocalClassCost"), dict(type="OrderedPointsL1Cost")]
    losses = dict(
        cls=dict(type="FocalClassLoss"), pts=dict(type="PointsL1Loss"), dir=dict(type="DirectionCosineLoss")
    )
    assigner = dict(type="HungarianMapAssigner", costs=costs)
    return VectorMapHead(
        in_channels=20,
        bev_dims=bev_dims,
        num_instances=INSTANCES,
        map_spec=spec or MapSpec(),
        num_points=P,
        num_layers=num_layers,
        layer=layer,
        criterion=dict(type="MapCriterion", assigner=assigner, losses=losses | more),
        max_predictions=10,
        direct=direct,
    )


def sample_with(*lines: tuple[int, torch.Tensor]) -> MapDataSample:
    orders = torch.from_numpy(equivalent_orders(P, closed=False))
    points = torch.stack([p for _, p in lines]) if lines else torch.zeros(0, P, 2)
    sample = MapDataSample(metainfo={"sample_token": "s"})
    labels = torch.tensor([label for label, _ in lines], dtype=torch.long)
    sample.gt_instances = InstanceData(labels=labels, points=points, orders=points[:, orders])
    return sample


def straight(x: float) -> torch.Tensor:
    return torch.stack([torch.full((P,), x), torch.linspace(-20, 20, P)], -1)


@pytest.fixture
def predicted():
    head = make()
    return head, *head(torch.randn(2, INSTANCES, 20), None, torch.randn(2, 8, 10, 5))


def test_shapes_of_the_placement_and_every_layer(predicted):
    _, logits, points = predicted
    assert logits.shape == (4, 2, INSTANCES, CLASSES)
    assert points.shape == (4, 2, INSTANCES, P, 2)
    assert points.min() >= 0
    assert points.max() <= 1


def test_queries_start_spread_over_the_roi():
    centres = make().references.sigmoid().mean(1)
    distance = torch.cdist(centres, centres) + torch.eye(INSTANCES)
    assert distance.min() > 0.1
    assert (centres.amax(0) - centres.amin(0)).min() > 0.5


@pytest.mark.parametrize(("frame", "roi"), [("lidar", [-15, -30, 15, 30]), ("ego", [-30, -15, 30, 15])])
def test_queries_start_as_lines_along_the_car(frame, roi):
    spec = MapSpec(frame, roi)
    lines = spec.roi.denormalize(make(spec=spec).references.sigmoid().detach())
    extent = (lines.amax(1) - lines.amin(1)).amax(0)
    assert extent[spec.forward_axis] > 4
    assert extent[1 - spec.forward_axis] < 1e-3


def test_point_queries_of_the_decoder_are_used():
    head = make()
    instances, points = torch.randn(1, INSTANCES, 20), torch.randn(1, INSTANCES, P, 20)
    bev = torch.randn(1, 8, 10, 5)
    _, predicted = head(instances, points, bev)
    for layer in head.layers:
        torch.nn.init.normal_(layer.point_branch[-1].weight)
    _, moved = head(instances, points, bev)
    _, other = head(instances, points + torch.randn_like(points), bev)
    assert torch.allclose(predicted[0], head.references.sigmoid()[None], atol=1e-3)
    assert not torch.allclose(moved, other)


def test_without_a_bev_map_the_head_still_predicts():
    logits, points = make(bev_dims=0)(torch.randn(1, INSTANCES, 20), None, None)
    assert torch.isfinite(logits).all()
    assert torch.isfinite(points).all()


def test_the_bev_map_is_read_at_the_references():
    head = make(num_layers=1).eval()
    with torch.no_grad():
        head.references.copy_(inverse_sigmoid(torch.full_like(head.references, 0.1)))
    instances = torch.randn(1, INSTANCES, 20)
    bev = torch.randn(1, 8, 10, 10)
    far, near = bev.clone(), bev.clone()
    far[..., 5:, 5:] += 1.0
    near[..., :2, :2] += 1.0
    logits = head(instances, None, bev)[0]
    assert torch.equal(logits, head(instances, None, far)[0])
    assert not torch.allclose(logits[1:], head(instances, None, near)[0][1:])
    assert torch.equal(logits[:1], head(instances, None, near)[0][:1])  # the decoder's own prediction


def test_layers_look_where_the_decoder_placed_the_queries():
    head = make(num_layers=1).eval()
    with torch.no_grad():
        head.references.copy_(inverse_sigmoid(torch.full_like(head.references, 0.1)))
        head.point_branch[-1].bias.fill_(10.0)  # everything to the far corner
    instances, bev = torch.randn(1, INSTANCES, 20), torch.randn(1, 8, 10, 10)
    at_reference, at_place = bev.clone(), bev.clone()
    at_reference[..., :2, :2] += 1.0
    at_place[..., 8:, 8:] += 1.0
    logits, points = head(instances, None, bev)
    assert points[0].min() > 0.99
    assert torch.equal(logits, head(instances, None, at_reference)[0])
    assert not torch.allclose(logits, head(instances, None, at_place)[0])


def test_the_placement_follows_the_decoded_queries():
    head = make()
    torch.nn.init.normal_(head.point_branch[-1].weight)
    bev = torch.randn(1, 8, 10, 10)
    first, other = (head(torch.randn(1, INSTANCES, 20), None, bev)[1][0] for _ in range(2))
    assert not torch.allclose(first, other)


def test_refinement_gradient_does_not_grow_with_depth():
    """References are detached between layers: a layer's points do not pull on earlier moves."""
    head = make(num_layers=4)
    for layer in head.layers:
        torch.nn.init.normal_(layer.point_branch[-1].weight, std=0.1)
    _, points = head(torch.randn(1, INSTANCES, 20), None, torch.randn(1, 8, 10, 5))
    grads = torch.autograd.grad(
        points[-1].sum(), [layer.point_branch[-1].bias for layer in head.layers], allow_unused=True
    )
    assert all(g is None or g.abs().max() == 0 for g in grads[:-1])
    assert grads[-1].abs().max() > 0


def test_losses_name_every_layer_and_train_every_parameter(predicted):
    head, logits, points = predicted
    losses = head.loss(logits, points, [sample_with((0, straight(2.0)), (2, straight(-3.0))), sample_with()])
    assert set(losses) == {f"{p}loss_{k}" for p in ("d0.", "d1.", "d2.", "") for k in ("cls", "pts", "dir")}
    sum(losses.values()).backward()
    # the two parts that wait for the decoder's point queries or a moving reference aside
    untouched = [n for n, p in head.named_parameters() if p.grad is None]
    assert untouched == []


def test_a_perfect_prediction_has_no_point_loss():
    head = make()
    target = straight(4.0)
    logits = torch.full((1, 1, INSTANCES, CLASSES), -9.0)
    points = torch.rand(1, 1, INSTANCES, P, 2)
    points[0, 0, 7] = (target.flip(0) + torch.tensor([15.0, 30.0])) / torch.tensor([30.0, 60.0])
    logits[0, 0, 7, 1] = 9.0
    losses = head.loss(logits, points, [sample_with((1, target))])
    assert losses["loss_pts"].item() == pytest.approx(0.0, abs=1e-4)
    assert losses["loss_dir"].item() == pytest.approx(0.0, abs=1e-4)
    assert losses["loss_cls"].item() < 1e-3


def test_elements_without_a_query_do_not_dilute_the_loss(predicted):
    """More elements than queries: the losses are those of the elements that were matched alone."""
    head, logits, points = predicted
    logits, points = logits[-1:], points[-1:]
    lines = [(k % CLASSES, straight(-14.0 + k)) for k in range(2 * INSTANCES)]
    crowded = [sample_with(*lines), sample_with(lines[0])]
    targets = MapTargets.from_samples(crowded, head.map_spec, P, logits.device)
    pairs = head.criterion.assigner(logits, points, targets)
    matched = sorted(pairs.element[pairs.sample == 0].tolist())
    assert len(matched) == INSTANCES
    fitting = [sample_with(*(lines[k] for k in matched)), crowded[1]]
    alone = head.loss(logits, points, fitting)
    for name, value in head.loss(logits, points, crowded).items():
        torch.testing.assert_close(value, alone[name])


def test_a_batch_without_elements_has_finite_losses(predicted):
    head, logits, points = predicted
    losses = head.loss(logits, points, [sample_with(), sample_with()])
    assert all(torch.isfinite(value) for value in losses.values())
    assert losses["loss_pts"].item() == 0


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("lines", [[], [(1, straight(4.0))]], ids=["empty", "one element"])
def test_what_is_not_finite_shows_in_the_terms_of_its_layer(predicted, value, lines):
    """Also where nothing is matched to it, and in elements."""
    head, logits, points = predicted
    samples = [sample_with(), sample_with(*lines)]
    for place, broken in ((logits, {"d1.loss_cls"}), (points, {"d1.loss_pts", "d1.loss_dir"})):
        spoilt = place.detach().clone()
        spoilt[1, 1, 3] = value
        losses = head.loss(
            spoilt if place is logits else logits, spoilt if place is points else points, samples
        )
        assert {name for name, loss in losses.items() if not loss.isfinite()} == broken


def test_an_element_that_is_not_finite_shows_in_the_losses_of_points(predicted):
    head, logits, points = predicted
    losses = head.loss(logits, points, [sample_with((1, straight(float("nan")))), sample_with()])
    assert losses["loss_pts"].isnan()


def test_predictions_are_metres_best_first():
    head = make()
    logits = torch.full((1, 1, INSTANCES, CLASSES), -5.0)
    logits[0, 0, 3, 2] = 3.0
    points = torch.full((1, 1, INSTANCES, P, 2), 0.5)
    points[0, 0, 3, :, 0], points[0, 0, 3, :, 1] = 1.0, 0.0
    result = head.predict(logits, points)[0]
    assert len(result.scores) == 10
    assert result.labels[0] == 2
    assert result.points[0, 0].tolist() == [15.0, -30.0]
    assert result.bboxes[0].tolist() == [15.0, -30.0, 15.0, -30.0]
    assert (result.scores[:-1] >= result.scores[1:]).all()


class TestDirect:
    """The first prediction, moved by a network on the instance."""

    def test_at_first_no_reference_moves_and_every_point_can(self):
        head = make(direct=True)
        instances = torch.randn(1, INSTANCES, 20)
        still = head(instances, None, torch.randn(1, 8, 10, 5))[1][0, 0]
        assert torch.allclose(still, head.references.sigmoid())
        torch.nn.init.normal_(head.direct[-1].weight)
        moved = head(instances, None, torch.randn(1, 8, 10, 5))[1][0, 0] - head.references.sigmoid()
        assert (moved.abs().amax(-1) > 0).all()

    def test_an_instance_moves_its_own_points_only(self):
        head = make(direct=True)
        torch.nn.init.normal_(head.direct[-1].weight)
        instances, bev = torch.randn(1, INSTANCES, 20), torch.randn(1, 8, 10, 5)
        before = head(instances, None, bev)[1][0, 0]
        instances[:, 1] = torch.randn(20)
        changed = (before != head(instances, None, bev)[1][0, 0]).flatten(1).any(1)
        assert changed.nonzero().tolist() == [[1]]

    @pytest.mark.parametrize("num_layers", [0, 2])
    def test_every_parameter_learns(self, num_layers):
        head = make(direct=True, num_layers=num_layers)
        bev = torch.randn(1, 8, 10, 5) if num_layers else None
        logits, points = head(torch.randn(1, INSTANCES, 20), None, bev)
        (logits.sum() + (points * torch.randn_like(points)).sum()).backward()
        assert not [name for name, p in head.named_parameters() if p.grad is None]
