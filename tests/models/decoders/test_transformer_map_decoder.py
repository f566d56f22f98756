"""The plain decoder behind the same interface."""

import pytest
import torch

from mapllava.errors import MapLLaVAError
from mapllava.models.decoders import TransformerMapDecoder
from mapllava.models.map_queries import InstanceMapQueries
from mapllava.testing import check_decoder

C, D = 10, 24


def make(**changes) -> TransformerMapDecoder:
    torch.manual_seed(0)
    return TransformerMapDecoder(
        **{"in_channels": C, "embed_dims": D, "num_layers": 2, "num_heads": 4, **changes}
    )


def test_contract():
    check_decoder(make(), C)


def test_the_prompt_is_ignored_and_the_scene_is_read():
    decoder, queries, scene = make().eval(), InstanceMapQueries(D, 5), torch.randn(1, 6, C)
    with torch.no_grad():
        before = decoder(scene, queries)
        assert torch.equal(before, decoder(scene, queries, ["Draw the map."]))
        assert (decoder(scene.flip(-1), queries) != before).any(-1).all()


def test_where_a_scene_token_stands_counts_if_the_queries_say_so():
    decoder, queries, scene = make().eval(), InstanceMapQueries(D, 5), torch.randn(1, 6, C)
    with torch.no_grad():
        torch.testing.assert_close(decoder(scene, queries), decoder(scene.flip(1), queries))
        queries.scene_places = torch.randn(6, D)
        assert not torch.allclose(decoder(scene, queries), decoder(scene.flip(1), queries), atol=1e-3)


def test_dropout_only_in_training():
    decoder, queries, scene = make(dropout=0.5), InstanceMapQueries(D, 5), torch.randn(1, 6, C)
    assert not torch.equal(decoder(scene, queries), decoder(scene, queries))
    decoder.eval()
    assert torch.equal(decoder(scene, queries), decoder(scene, queries))


def test_heads_must_divide_the_width():
    with pytest.raises(MapLLaVAError, match="num_heads=5"):
        make(num_heads=5)
