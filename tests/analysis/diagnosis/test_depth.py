import pytest
import torch
from torch import nn

from mapllava.analysis.diagnosis.depth import GradientByDepth, losses_by_layer


class HandMadeHead(nn.Module):
    """Points of layer l are the queries times ``factor ** l``; its loss is their sum times 3."""

    def __init__(self, factor, layers, detached=True):
        super().__init__()
        self.factor, self.layers, self.detached = factor, layers, detached
        self.references = nn.Parameter(torch.zeros(1))

    def forward(self, instances, points, bev):
        state, predicted = instances, []
        for index in range(self.layers):
            known = self.references if index == 0 or not self.detached else self.references.detach()
            predicted.append(state + known)
            state = state * self.factor
        return torch.zeros(self.layers), torch.stack(predicted)

    def loss(self, logits, points, samples, bev):
        names = [f"d{index}." for index in range(len(points) - 1)] + [""]
        out = {}
        for name, predicted in zip(names, points, strict=True):
            out[f"{name}loss_cls"] = predicted.sum()
            out[f"{name}loss_pts"] = 2 * predicted.sum()
        return out


def look(head, batches=2):
    depth = GradientByDepth(head)
    for _ in range(batches):
        depth.update(torch.ones(1, 4, 1), None, None, [])
    return depth.result()


def test_norms_are_those_computed_by_hand():
    found = look(HandMadeHead(5.0, 3))
    assert found["loss"] == pytest.approx([12, 60, 300])
    assert found["on_queries"] == pytest.approx([6, 30, 150])  # 3 * 5 ** l on each of four queries
    assert found["on_points"] == pytest.approx([6, 6, 6])
    assert found["on_references"] == pytest.approx([12, 0, 0])
    assert found["growth"] == pytest.approx(5.0)
    assert found["grows"]


def test_a_shrinking_gradient_does_not_grow_and_leaks_show():
    assert not look(HandMadeHead(0.5, 3))["grows"]
    assert look(HandMadeHead(1.0, 3, detached=False))["on_references"] == pytest.approx([12, 12, 12])


def test_one_layer_has_nothing_to_compare():
    found = look(HandMadeHead(5.0, 1))
    assert (found["growth"], found["grows"]) == (None, False)


def test_parameters_keep_the_gradient_they_had():
    head = HandMadeHead(2.0, 2)
    head.references.grad = torch.tensor([7.0])
    with torch.no_grad():
        look(head)
    assert head.references.grad.tolist() == [7.0]


def test_a_layer_without_a_loss_is_named():
    with pytest.raises(ValueError, match=r"none of layer 'd1\.'"):
        losses_by_layer({"d0.loss_cls": torch.ones(()), "loss_cls": torch.ones(())}, 3)
