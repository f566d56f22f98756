"""Attention per camera: the weights are the model's, and what is masked gets nothing."""

import pytest
import torch
from tiny import tiny_config

from mapllava.analysis.diagnosis.attention import CrossAttentionRecorder, attention_weights
from mapllava.models.necks.base import MapNeck, NeckOutput
from mapllava.models.surround_rig import surround_cameras
from mapllava.registry import MODELS
from mapllava.structures.frames import MapSpec

CAMERAS = [f"c{index}" for index in range(6)]
GRID = (4, 6)


def make(kind, city, city_cache):
    torch.manual_seed(0)
    cfg = tiny_config(city, city_cache, neck=kind).model.neck
    return MODELS.build(dict(cfg, in_channels=8, map_spec=MapSpec())).eval()


def run(neck, recorder=None, batch=2):
    torch.manual_seed(1)
    feats = torch.randn(batch, 6, GRID[0] * GRID[1], 8)
    cameras = surround_cameras((54, 96), batch)
    with torch.no_grad():
        if recorder is None:
            return neck(feats, GRID, cameras)
        with recorder:
            return neck(feats, GRID, cameras)


@pytest.mark.parametrize("kind", ["bev", "qformer"])
def test_the_weights_give_what_the_fused_kernel_gives(kind, city, city_cache):
    neck = make(kind, city, city_cache)
    (layer,) = CrossAttentionRecorder(neck).layers
    seen = []

    def check(module, _, given, output):
        mask = given.get("encoder_attention_mask")
        query, key, value = (
            project(given[name]).unflatten(-1, (2, -1)).transpose(1, 2)
            for project, name in (
                (module.query, "hidden_states"),
                (module.key, "encoder_hidden_states"),
                (module.value, "encoder_hidden_states"),
            )
        )
        read = attention_weights(query, key, module.scaling, mask) @ value
        torch.testing.assert_close(read.transpose(1, 2).flatten(2), output[0], atol=1e-5, rtol=1e-4)
        seen.append(mask)

    handle = layer.register_forward_hook(check, with_kwargs=True)
    run(neck)
    handle.remove()
    assert len(seen) == 1
    assert (seen[0] is None) == (kind == "qformer")


@pytest.mark.parametrize("kind", ["bev", "qformer"])
def test_shares_sum_to_one_and_watching_changes_nothing(kind, city, city_cache):
    neck = make(kind, city, city_cache)
    recorder = CrossAttentionRecorder(neck)
    before, watched = run(neck), run(neck, recorder)
    assert torch.equal(before.scene_tokens, watched.scene_tokens)
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in neck.modules())
    found = recorder.result(CAMERAS)
    assert sum(found["share"]) == pytest.approx(1.0)
    assert sum(found["even"]) == pytest.approx(1.0)
    assert found["one_by_one"] == (kind == "qformer")
    assert 1 <= found["patches_read"] <= found["patches_in_reach"] + 1e-4
    if kind == "qformer":
        assert found["share"] == pytest.approx([1 / 6] * 6)
        assert found["patches_in_reach"] == 24


class MaskedNeck(MapNeck):
    """Two queries over all cameras; what they may read is given."""

    def __init__(self, core, mask):
        super().__init__()
        self.qformer, self.mask = core, mask

    def forward(self, feats, grid, cameras):
        queries = torch.ones(len(feats), 2, self.qformer.embed_dims)
        return NeckOutput(self.qformer(queries, feats.flatten(1, 2), self.mask.expand(len(feats), -1, -1)))


def test_a_masked_camera_gets_nothing_and_the_only_one_in_reach_everything(city, city_cache):
    core = make("bev", city, city_cache).qformer
    mask = torch.ones(1, 2, 6 * 24, dtype=torch.bool)
    mask[:, :, 24:48] = False  # camera 1 for both queries
    mask[:, 1] = False
    mask[:, 1, 72:74] = True  # the second query reads two patches of camera 3
    recorder = CrossAttentionRecorder(MaskedNeck(core, mask))
    run(recorder.neck, recorder)
    found = recorder.result(CAMERAS)
    assert found["share"][1] == 0.0
    assert found["share"][3] > 0.5
    assert found["even"][1] == 0.0
    assert found["even"][3] == pytest.approx((1 + 1 / 5) / 2)
    assert found["patches_in_reach"] == pytest.approx((120 + 2) / 2)


def test_attention_goes_to_the_camera_that_the_queries_ask_for(city, city_cache):
    core = make("bev", city, city_cache).qformer
    neck = MaskedNeck(core, torch.ones(1, 2, 6 * 24, dtype=torch.bool))
    recorder = CrossAttentionRecorder(neck)
    (layer,) = recorder.layers
    torch.nn.init.zeros_(layer.query.weight)
    torch.nn.init.ones_(layer.query.bias)
    torch.nn.init.ones_(layer.key.weight)
    feats = torch.zeros(1, 6, 24, 8)
    feats[:, 4] = 5.0  # every score of camera 4 is far above the others'
    with torch.no_grad(), recorder:
        neck(feats, GRID, None)
    assert recorder.result(CAMERAS)["share"][4] == pytest.approx(1.0)
