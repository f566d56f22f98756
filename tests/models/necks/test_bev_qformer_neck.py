"""The BEV Q-Former neck: places, geometry it must depend on, its own loss."""

import pytest
import torch
from mmengine.structures import PixelData
from safetensors.torch import load_file
from transformers import Blip2QFormerConfig, Blip2QFormerModel

from mapllava.errors import MapLLaVAError
from mapllava.geometry.raster import centres as centres_of_targets
from mapllava.models.camera import Cameras
from mapllava.models.necks.bev_grid import cell_centres
from mapllava.models.necks.bev_qformer_neck import BEVQFormerNeck
from mapllava.models.necks.ground_sampling import bilinear_footprint
from mapllava.structures.frames import ROI, MapSpec
from mapllava.structures.map_data_sample import MapDataSample
from mapllava.testing import check_neck, write_tiny_blip2
from mapllava.testing.tiny_hf import TINY_QFORMER

SPEC = MapSpec("lidar", ROI(-8, -16, 8, 16), ("divider", "ped_crossing", "boundary"))
GRID, CHANNELS = (6, 12), 10


def make(**changes) -> BEVQFormerNeck:
    torch.manual_seed(0)
    architecture = dict(
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        cross_attention_frequency=1,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    settings = dict(
        in_channels=CHANNELS,
        map_spec=SPEC,
        qformer=dict(type="QFormerCore", architecture=architecture),
        bev_dims=12,
        cell=2.0,
        heights=dict(above_ground=[0.0, 0.8], ground=dict(lidar=-1.8, ego=0.0)),
        tokens=dict(stride=4),
        dilations=[1],
        attention=dict(radius=6.0, pool=1),
        loss_bev=dict(bce=1.0, dice=1.0),
    )
    return BEVQFormerNeck(**{**settings, **changes}).eval()


def run(neck, feats, views):
    with torch.no_grad():
        return neck(feats, GRID, views)


@pytest.fixture
def feats():
    torch.manual_seed(1)
    return torch.randn(1, 2, GRID[0] * GRID[1], CHANNELS)


def test_grid_follows_the_roi_row_zero_at_y_min():
    shape = SPEC.roi.grid_shape(2.0)
    centres = cell_centres(SPEC, shape)
    assert shape == (16, 8)
    assert centres[0].tolist() == [-7.0, -15.0]
    assert centres[1].tolist() == [-5.0, -15.0]
    assert centres[-1].tolist() == [7.0, 15.0]
    x, y = centres_of_targets(SPEC.roi, 2.0)
    assert centres.view(16, 8, 2).tolist() == [[[a, b] for a in x] for b in y]


def test_shapes(feats, cameras):
    neck = make()
    out = run(neck, feats, cameras())
    assert out.bev.shape == (1, 12, 16, 8)
    assert out.scene_tokens.shape == (1, 4 * 2, 16) == (1, len(neck.token_places), neck.embed_dims)


def test_shuffled_patches_cameras_and_wrong_extrinsics_change_the_tokens(feats, cameras):
    neck = make()
    right = run(neck, feats, cameras()).scene_tokens
    for wrong in (
        run(neck, feats[:, :, torch.randperm(feats.shape[2])], cameras()),
        run(neck, feats.flip(1), cameras()),
        run(neck, feats, cameras(yaw=0.5)),
    ):
        assert (right - wrong.scene_tokens).abs().max() > 1e-3


def test_a_query_attends_only_to_patches_near_its_place(feats, cameras):
    neck = make()
    mask = neck.visible_patches(GRID, cameras())[0]
    ahead = int((neck.token_places - torch.tensor([0.0, 4.0])).norm(dim=-1).argmin())
    patches = GRID[0] * GRID[1]
    assert mask[ahead, :patches].any()
    assert not mask[ahead, patches:].any()  # nothing of the camera that looks the other way
    above_horizon = mask[ahead, :patches].view(GRID)[: GRID[0] // 2]
    assert not above_horizon.any()


def test_segmentation_loss_falls_when_the_map_is_right(feats, cameras):
    neck = make()
    out = run(neck, feats, cameras())
    sample = MapDataSample(metainfo={"sample_token": "s"})
    sample.gt_bev = PixelData(data=(torch.rand(3, 16, 8) > 0.7).to(torch.uint8))
    before = neck.loss(out, [sample])
    out.extras["segmentation"] = (sample.gt_bev.data.float() * 20 - 10)[None]
    after = neck.loss(out, [sample])
    assert set(before) == {"loss_bev_bce", "loss_bev_dice"}
    assert all(after[k] < 0.01 < before[k] for k in before)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("value", [0.0, 1e4, -1e4])
def test_segmentation_loss_has_a_finite_gradient_for_sure_answers_right_or_wrong(
    feats, cameras, value, dtype
):
    neck = make()
    out = run(neck, feats, cameras())
    for target in (torch.zeros, torch.ones):
        sample = MapDataSample(metainfo={"sample_token": "s"})
        sample.gt_bev = PixelData(data=target(3, 16, 8, dtype=torch.uint8))
        logits = torch.full((1, 3, 16, 8), value, dtype=dtype, requires_grad=True)
        out.extras["segmentation"] = logits
        total = sum(neck.loss(out, [sample]).values())
        assert total.isfinite()
        assert torch.autograd.grad(total, logits)[0].isfinite().all()


def test_a_weight_that_turns_the_loss_round_is_refused():
    with pytest.raises(MapLLaVAError, match=r"BEVQFormerNeck\.dice is -1\.0"):
        make(loss_bev=dict(bce=1.0, dice=-1.0))


def test_another_grid_is_refused(feats, cameras):
    neck = make()
    sample = MapDataSample(metainfo={"sample_token": "s"})
    sample.gt_bev = PixelData(data=torch.zeros(3, 32, 16, dtype=torch.uint8))
    with pytest.raises(MapLLaVAError, match="RasterizeBEV"):
        neck.loss(run(neck, feats, cameras()), [sample])


def test_a_stride_per_axis(feats, cameras):
    neck = make(tokens=dict(stride=(4, 2)))
    assert neck.token_shape == (4, 4)
    assert run(neck, feats, cameras()).scene_tokens.shape == (1, 16, 16)


EGO = MapSpec("ego", ROI(-16, -8, 16, 8), SPEC.classes)
MOUNT = torch.tensor([[0.0, 1, 0, 0.94], [-1, 0, 0, 0], [0, 0, 1, 1.8], [0, 0, 0, 1]])  # LiDAR to ego


def test_in_either_frame_the_cells_look_at_the_same_heights_of_the_world():
    lidar, ego = make(), make(map_spec=EGO)
    assert (lidar.ground, ego.ground) == (-1.8, 0.0)
    in_ego = torch.cat([lidar.points, torch.ones(len(lidar.points), 1)], 1) @ MOUNT.T
    assert sorted(set(ego.points[:, 2].tolist())) == pytest.approx([0.0, 0.8])
    assert torch.allclose(in_ego[:, 2].unique(), ego.points[:, 2].unique())


def test_a_rig_moved_into_the_ego_frame_reads_the_same_features(cameras):
    """One spot of the ground, seen from both frames, reads the same patches with the same weights."""
    views = cameras()
    moved = Cameras(views.lidar2img @ torch.linalg.inv(MOUNT), views.img_hw)
    spot = torch.tensor([[0.5, 6.0, make().ground, 1.0]])
    here = bilinear_footprint(spot[:, :3], views, GRID)
    there = bilinear_footprint((spot @ MOUNT.T)[:, :3], moved, GRID)
    assert (spot @ MOUNT.T)[0, 2].item() == pytest.approx(make(map_spec=EGO).ground, abs=1e-6)
    assert torch.equal(here[0], there[0])
    assert torch.allclose(here[1], there[1], atol=1e-4)


def test_a_stride_is_along_the_car_and_across_it_in_either_frame():
    lidar, ego = make(tokens=dict(stride=(4, 2))), make(map_spec=EGO, tokens=dict(stride=(4, 2)))
    assert lidar.token_shape == (4, 4)  # y is forward: 16 cells in fours, x across: 8 cells in twos
    assert ego.token_shape == (4, 4)
    assert make(tokens=dict(stride=(8, 1))).token_shape == (2, 8)
    assert make(map_spec=EGO, tokens=dict(stride=(8, 1))).token_shape == (8, 2)


@pytest.mark.parametrize(
    ("frame", "heights"),
    [
        ("ego", [-1.8, -1.0]),
        ("ego", dict(above_ground=[0.0], ground=dict(lidar=-1.8))),
        ("lidar", dict(above_ground=[], ground=dict(lidar=-1.8))),
        ("lidar", []),
    ],
)
def test_heights_without_a_frame_are_refused(frame, heights):
    with pytest.raises(MapLLaVAError, match=f"no heights in the {frame} frame: write heights=dict"):
        make(map_spec=EGO if frame == "ego" else SPEC, heights=heights)


def test_a_plain_list_is_of_the_lidar_frame():
    assert torch.equal(make(heights=[-1.8, -1.0]).points, make().points)


@pytest.mark.parametrize("stride", [0, -2, (3, 0), (1, 2, 3), 2.5])
def test_strides_that_are_none_are_refused(stride):
    with pytest.raises(MapLLaVAError, match=r"tokens\.stride"):
        make(tokens=dict(stride=stride))


def test_a_stride_that_does_not_divide_the_grid_leaves_no_cell_out(feats, cameras):
    neck = make(tokens=dict(stride=(5, 3)))
    assert neck.token_shape == (4, 3)
    assert run(neck, feats, cameras()).scene_tokens.shape == (1, 12, 16)
    assert make(tokens=dict(stride=99)).token_shape == (1, 1)


class TestWithBlip2sWeights:
    """Tiny folder: features of 32 channels, 8 query tokens of 24."""

    @pytest.fixture
    def folder(self, tmp_path):
        return write_tiny_blip2(tmp_path, num_query_tokens=3)

    @pytest.fixture
    def neck(self, folder):
        return make(in_channels=32, qformer=dict(type="QFormerCore", pretrained=str(folder)))

    @pytest.fixture
    def tensors(self, folder):
        return {key: t for file in folder.glob("*.safetensors") for key, t in load_file(file).items()}

    def test_contract(self, neck):
        check_neck(neck, 32)

    def test_queries_on_the_ground_start_from_blip2s(self, neck, tensors):
        tokens = tensors["query_tokens"][0]
        for i, query in enumerate(neck.query_tokens.detach()):  # 8 places, 3 tokens in turn
            assert torch.nn.functional.cosine_similarity(query, tokens[i % 3], dim=0) > 0.95
        assert len(torch.unique(neck.query_tokens, dim=0)) == 8

    def test_the_core_is_blip2s_under_the_geometrys_mask(self, neck, tensors, cameras):
        reference = Blip2QFormerModel(Blip2QFormerConfig(**TINY_QFORMER))
        state = {k.removeprefix("qformer."): t for k, t in tensors.items() if k.startswith("qformer.")}
        reference.load_state_dict(state)
        reference.set_attn_implementation("eager")
        feats = torch.randn(1, 2, GRID[0] * GRID[1], 32)
        inputs = []
        neck.qformer.register_forward_hook(lambda _, args, __: inputs.append(args))
        ours = run(neck, feats, cameras()).scene_tokens
        queries, states, mask = inputs[0]
        additive = torch.zeros(mask.shape).masked_fill(~mask, float("-inf"))[:, None]
        with torch.no_grad():
            theirs = reference.eval()(
                query_embeds=queries, encoder_hidden_states=states, encoder_attention_mask=additive
            ).last_hidden_state
        assert 0 < int(mask.sum()) < mask.numel()
        assert (ours - theirs).abs().max() <= 1e-5


class TestTokensOfTheirOwnCells:
    """Skip and probe: a scene token and the cells of the BEV map that are its own."""

    def test_the_skip_hands_a_token_its_own_cells_and_no_others(self, feats, cameras, monkeypatch):
        neck = make(tokens=dict(stride=(4, 2), skip=True))
        bev = torch.randn(1, 12, *neck.shape)
        monkeypatch.setattr(neck, "encode_bev", lambda *_: bev)
        monkeypatch.setattr(neck.qformer, "forward", lambda queries, *_: torch.zeros_like(queries))
        before = run(neck, feats, cameras()).scene_tokens
        bev[:, :, 9, 5] += 1  # of the token in row 9 // 4 and column 5 // 2
        moved = (before != run(neck, feats, cameras()).scene_tokens).any(-1)[0].unflatten(0, neck.token_shape)
        assert moved.nonzero().tolist() == [[2, 2]]

    def test_the_probe_paints_a_tokens_own_cells(self):
        neck = make(tokens=dict(stride=(4, 2), probe=0.5))
        tokens = torch.zeros(1, neck.token_shape[0] * neck.token_shape[1], 16)
        before = neck._probed(tokens)
        tokens[:, 2 * neck.token_shape[1] + 1] += 1
        painted = (before != neck._probed(tokens)).any(1)[0]
        assert before.shape == (1, len(SPEC.classes), *neck.shape)
        assert painted[8:12, 2:4].all()
        assert painted.sum() == 8

    def test_the_probes_weight_is_over_that_of_the_bev_loss(self, feats, cameras):
        neck = make(tokens=dict(stride=(4, 2), probe=0.5))
        sample = MapDataSample(gt_bev=PixelData(data=torch.zeros(len(SPEC.classes), *neck.shape)))
        with torch.no_grad():
            neck.probe.weight.zero_(), neck.probe.bias.zero_()
            neck.segment.weight.zero_(), neck.segment.bias.zero_()
        losses = neck.loss(run(neck, feats, cameras()), [sample])
        for kind in ("bce", "dice"):
            assert float(losses[f"loss_probe_{kind}"].detach()) == pytest.approx(
                0.5 * float(losses[f"loss_bev_{kind}"].detach())
            )

    def test_without_them_there_is_no_such_loss(self, feats, cameras):
        sample = MapDataSample(gt_bev=PixelData(data=torch.zeros(len(SPEC.classes), *make().shape)))
        assert set(make().loss(run(make(), feats, cameras()), [sample])) == {"loss_bev_bce", "loss_bev_dice"}

    @pytest.mark.parametrize("what", [dict(skip=True), dict(probe=0.3)])
    def test_tokens_that_do_not_divide_the_map_are_refused(self, what):
        with pytest.raises(MapLLaVAError, match="5 x 3 cells do not divide the BEV map's 16 x 8"):
            make(tokens=dict(stride=(5, 3), **what))
