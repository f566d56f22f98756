"""What map queries know of the scene: what lies along their references, and where scene tokens stand."""

import pytest
import torch

from mapllava.errors import MapLLaVAError
from mapllava.models.map_queries import InstanceMapQueries, PointMapQueries
from mapllava.models.scene_seeds import SceneSeeds

ROWS, COLS, C, D = 4, 2, 3, 8
AHEAD = torch.tensor([[0.25, 0.875], [0.25, 0.625]])  # centres of the left cells of the last two rows


def make(**changes):
    torch.manual_seed(0)
    settings = dict(in_channels=C, embed_dims=D, grid=(ROWS, COLS), seed_points=2, octaves=3)
    return SceneSeeds(**{**settings, **changes})


def references(*lines):
    return torch.stack([torch.lerp(line[0], line[1], torch.linspace(0, 1, 5)[:, None]) for line in lines])


def test_a_seed_is_what_the_tokens_say_at_its_reference():
    seeds, tokens = make(), torch.randn(2, ROWS * COLS, C)
    read = seeds._read(tokens, references(AHEAD))
    here = torch.cat([tokens[:, 3 * COLS], tokens[:, 2 * COLS]], dim=-1)  # row 3 lies at y_max
    assert torch.allclose(read[:, 0], here, atol=1e-6)


@pytest.mark.parametrize("corner", [(0.0, 0.0), (1.0, 1.0)])
def test_at_the_edge_the_outermost_token_counts_whole(corner):
    tokens = torch.ones(1, ROWS * COLS, C)
    assert torch.allclose(make()._read(tokens, torch.tensor(corner).expand(1, 5, 2)), torch.ones(1, 1, 2 * C))


def test_only_tokens_along_the_reference_change_a_seed():
    seeds, tokens = make(), torch.randn(1, ROWS * COLS, C)
    line = references(AHEAD, torch.tensor([[0.75, 0.125], [0.75, 0.125]]))
    before = seeds(tokens, line)
    tokens[:, 3 * COLS] += 1
    after = seeds(tokens, line)
    assert not torch.equal(before[0, 0], after[0, 0])
    assert torch.equal(before[0, 1], after[0, 1])


def test_queries_and_scene_tokens_of_one_place_have_one_embedding():
    seeds = make(seed_points=0)
    row, col = 2, 1
    place = torch.tensor([(col + 0.5) / COLS, (row + 0.5) / ROWS])
    query = seeds(torch.zeros(1, ROWS * COLS, C), place.expand(1, 5, 2))
    assert torch.allclose(query[0, 0], seeds.scene_places()[row * COLS + col], atol=1e-6)


def test_reading_moves_no_reference():
    line = references(AHEAD).requires_grad_()
    tokens = torch.randn(1, ROWS * COLS, C, requires_grad=True)
    make()(tokens, line).square().sum().backward()
    assert line.grad is None
    assert tokens.grad.abs().sum() > 0


@pytest.mark.parametrize("layout", [InstanceMapQueries, PointMapQueries])
def test_seeds_reach_an_instance_and_its_points(layout):
    torch.manual_seed(1)
    scene = dict(seed_points=2, octaves=3, in_channels=C, grid=(ROWS, COLS))
    queries = layout(D, 2, scene=scene)
    tokens, line = torch.randn(3, ROWS * COLS, C), references(AHEAD, AHEAD.flip(0))
    of_scene = queries.of_scene(tokens, line)
    added = (of_scene(3) - queries(3)).unflatten(1, (2, -1))
    assert torch.allclose(added, queries.scene(tokens, line).unsqueeze(2).expand_as(added), atol=1e-6)
    assert of_scene.num_tokens == queries.num_tokens
    assert torch.equal(of_scene.attention_mask(4), queries.attention_mask(4))


def test_without_a_scene_the_layout_stays_as_it_is():
    queries = InstanceMapQueries(D, 2)
    assert queries.of_scene(torch.randn(1, 8, C), references(AHEAD, AHEAD)) is queries


def test_another_number_of_tokens_than_the_grids_is_refused():
    with pytest.raises(MapLLaVAError, match="7 scene tokens for a grid of 4 x 2"):
        make()(torch.randn(1, 7, C), references(AHEAD))


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (dict(seed_points=-1), "seed_points is -1"),
        (dict(octaves=2.5), "octaves is 2.5"),
        (dict(seed_points=0, octaves=0), "set it to None"),
    ],
)
def test_sizes_that_are_none_are_refused(wrong, told):
    with pytest.raises(MapLLaVAError, match=told):
        make(**wrong)
