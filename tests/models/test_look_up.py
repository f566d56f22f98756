"""Look-ups as a sparse product: parity with grid_sample, values and gradients, also over the edge."""

import pytest
import torch
from torch.nn import functional as F

from mapllava.models.look_up import bilinear_corners, gather_rows

ROWS, COLS = 6, 9


def read_both(places: torch.Tensor, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """What ours and grid_sample read at places (B, K, 2) in [0, 1] of an image (B, C, Y, X)."""
    x, y = (places * torch.tensor([COLS, ROWS]) - 0.5).unbind(-1)
    ours = gather_rows(image.flatten(2).transpose(1, 2), *bilinear_corners(x, y, (ROWS, COLS)))
    theirs = F.grid_sample(image, 2 * places.unsqueeze(1) - 1, align_corners=False)[:, :, 0]
    return ours, theirs.transpose(1, 2)


@pytest.mark.parametrize(("low", "high"), [(0.1, 0.9), (-0.3, 1.3)], ids=["inside", "over the edge"])
def test_equals_grid_sample_in_values_and_gradients(low, high):
    torch.manual_seed(0)
    places = (torch.rand(2, 200, 2) * (high - low) + low).requires_grad_()
    image = torch.randn(2, 5, ROWS, COLS, requires_grad=True)
    weight = torch.randn(2, 200, 5)
    results = []
    for read in read_both(places, image):
        gradients = torch.autograd.grad((read * weight).sum(), (places, image), retain_graph=True)
        results.append((read, *gradients))
    for ours, theirs in zip(*results, strict=True):
        assert torch.allclose(ours, theirs, atol=1e-4)


def test_the_centre_of_a_cell_reads_that_cell_alone():
    cells, weights = bilinear_corners(torch.tensor(3.0), torch.tensor(2.0), (ROWS, COLS))
    assert cells[weights > 0].tolist() == [2 * COLS + 3]
    assert weights.sum() == 1


def test_samples_of_a_batch_read_their_own_rows():
    table = torch.stack([torch.zeros(4, 1), torch.ones(4, 1)])
    read = gather_rows(table, torch.zeros(2, 3, 1, dtype=torch.long), torch.ones(2, 3, 1))
    assert read.flatten().tolist() == [0, 0, 0, 1, 1, 1]


@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), -float("inf"), 1e30])
def test_a_place_that_is_no_number_reads_no_number_and_breaks_nothing(wrong):
    places = torch.tensor([[[0.5, 0.5], [wrong, 0.5], [0.5, wrong]]], requires_grad=True)
    ours, _ = read_both(places, torch.randn(1, 5, ROWS, COLS))
    assert ours[0, 0].isfinite().all()
    if wrong == 1e30:
        assert (ours[0, 1:] == 0).all(), "far out there is nothing"
    else:
        assert ours[0, 1:].isnan().all()
    ours.sum().backward()
