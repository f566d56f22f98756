"""Map queries: content, grouping, and the attention rules checked token by token."""

import pytest
import torch

from mapllava.models.map_queries import InstanceMapQueries, PointMapQueries
from mapllava.testing import check_map_queries

NUM, P, D, PREFIX = 3, 4, 8, 5


@pytest.mark.parametrize(
    "queries", [PointMapQueries(D, NUM, P), InstanceMapQueries(D, NUM)], ids=["points", "instances"]
)
def test_contract(queries):
    check_map_queries(queries, PREFIX)


def allowed(row: int, column: int, points: int) -> bool:
    """The rules of the design, one pair at a time."""
    if row < PREFIX:
        return column <= row
    if column < PREFIX:
        return True
    (i, k), (j, m) = (divmod(token - PREFIX, 1 + points) for token in (row, column))
    if k == 0:  # an instance: the other instances and its own points
        return m == 0 or i == j
    return i == j  # a point: its instance and its siblings


@pytest.mark.parametrize("points", [0, P])
def test_mask_is_the_rules_token_by_token(points):
    queries = PointMapQueries(D, NUM, points) if points else InstanceMapQueries(D, NUM)
    mask = queries.attention_mask(PREFIX)
    length = PREFIX + NUM * (1 + points)
    assert mask.tolist() == [
        [allowed(row, column, points) for column in range(length)] for row in range(length)
    ]


def test_full_size_layouts():
    assert PointMapQueries(D).num_tokens == 1050
    assert InstanceMapQueries(D).num_tokens == 50


def test_mask_is_kept_per_length_and_not_without_end():
    queries = InstanceMapQueries(D, NUM)
    first = queries.attention_mask(PREFIX)
    assert queries.attention_mask(PREFIX) is first
    assert queries.attention_mask(PREFIX + 1).shape[0] == first.shape[0] + 1
    for length in range(50):
        queries.attention_mask(length)
    assert len(queries._masks) <= 8


def test_points_share_their_instances_content():
    queries = PointMapQueries(D, NUM, P)
    instances, points = queries.split(queries(2))
    offsets = points - instances.unsqueeze(2)
    assert torch.allclose(offsets[0, 0], offsets[1, -1], atol=1e-6)
    assert torch.equal(instances[0], queries.instances)
    assert not torch.allclose(instances[0, 0], instances[0, 1])


def test_split_undoes_the_order_of_the_tokens():
    queries = PointMapQueries(D, NUM, P)
    tokens = torch.arange(queries.num_tokens).float().view(1, -1, 1).expand(1, -1, D)
    instances, points = queries.split(tokens)
    assert instances[0, :, 0].tolist() == [0, 5, 10]
    assert points[0, 1, :, 0].tolist() == [6, 7, 8, 9]
    assert InstanceMapQueries(D, NUM).split(torch.zeros(2, NUM, D))[1] is None


def test_wrong_sizes_are_refused():
    with pytest.raises(ValueError, match="7 tokens, the layout 15"):
        PointMapQueries(D, NUM, P).split(torch.zeros(1, 7, D))
    with pytest.raises(ValueError, match="num_instances=0"):
        InstanceMapQueries(D, 0)
    with pytest.raises(ValueError, match="at least two points"):
        PointMapQueries(D, NUM, 1)


@pytest.mark.parametrize("points", [0, P])
@pytest.mark.parametrize("prefix", [0, PREFIX, 150])
def test_the_block_mask_of_flex_attention_has_the_same_rules(points, prefix):
    """Its function element by element, and the blocks that it says are empty or full."""
    flex = pytest.importorskip("torch.nn.attention.flex_attention")
    queries = PointMapQueries(D, NUM, points) if points else InstanceMapQueries(D, NUM)
    mask = queries.attention_mask(prefix)
    block = queries.block_mask(prefix)
    assert queries.block_mask(prefix) is block
    assert block.shape == (1, 1, *mask.shape)
    assert torch.equal(flex.create_mask(block.mask_mod, 1, 1, *mask.shape, device="cpu")[0, 0], mask)
    rows, columns = block.BLOCK_SIZE
    for i, line in enumerate(block.to_dense()[0, 0].bool().tolist()):
        for j, some in enumerate(line):
            assert some == bool(mask[i * rows : (i + 1) * rows, j * columns : (j + 1) * columns].any())


def test_both_masks_are_kept_side_by_side():
    queries = InstanceMapQueries(D, NUM)
    first, block = queries.attention_mask(PREFIX), queries.block_mask(PREFIX)
    assert queries.attention_mask(PREFIX) is first
    assert queries.block_mask(PREFIX) is block
