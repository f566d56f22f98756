"""The detector: widths flow, every trainable part learns, images and cameras matter."""

import pytest
import torch
from mmengine.structures import InstanceData, PixelData

from mapllava.errors import MapLLaVAError
from mapllava.geometry.permutations import equivalent_orders
from mapllava.models.map_llava import MapLLaVA
from mapllava.structures.map_data_sample import MapDataSample

SPEC = dict(frame="lidar", roi=[-8.0, -16.0, 8.0, 16.0], classes=["divider", "ped_crossing", "boundary"])
P = 20
QFORMER = dict(
    type="QFormerCore",
    architecture=dict(
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        cross_attention_frequency=1,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    ),
)
NECKS = {
    "bev": dict(
        type="BEVQFormerNeck",
        bev_dims=12,
        cell=2.0,
        heights=[-1.8],
        tokens=dict(stride=4),
        dilations=[1],
        attention=dict(radius=6.0, pool=1),
        loss_bev=dict(bce=1.0, dice=1.0),
        qformer=QFORMER,
    ),
    "qformer": dict(type="QFormerNeck", num_cameras=2, num_queries=4, qformer=QFORMER),
}
NECKS["own cells"] = {**NECKS["bev"], "tokens": dict(stride=4, skip=True, probe=0.3)}
DECODERS = {
    "plain": dict(type="TransformerMapDecoder", embed_dims=24, num_layers=1, num_heads=2),
    "llm": dict(
        type="LLMMapDecoder",
        prompt="Draw the map.",
        frozen=False,
        architecture=dict(
            model_type="llama",
            vocab_size=259,
            hidden_size=24,
            intermediate_size=32,
            num_hidden_layers=1,
            num_attention_heads=2,
            num_key_value_heads=2,
            max_position_embeddings=256,
        ),
    ),
}
for bits in (4, 8):
    DECODERS[f"packed in {bits}"] = {**DECODERS["llm"], "frozen": True, "quantization": {"bits": bits}}
QUERIES = {
    "instances": dict(type="InstanceMapQueries", num_instances=6),
    "points": dict(type="PointMapQueries", num_instances=6, num_points=P),
}
SCENE = dict(seed_points=3, octaves=2)
QUERIES |= {f"seeded {name}": {**layout, "scene": SCENE} for name, layout in QUERIES.items()}


def make(neck="bev", decoder="plain", queries="instances", direct=False) -> MapLLaVA:
    torch.manual_seed(0)
    costs = [dict(type="FocalClassCost"), dict(type="OrderedPointsL1Cost")]
    layer = dict(
        type="RefinementLayer",
        embed_dims=16,
        point_dims=8,
        num_heads=2,
        ffn_dims=32,
        num_samples=2,
        num_frequencies=3,
    )
    return MapLLaVA(
        vision_encoder=dict(
            type="ConvVisionEncoder", channels=[4, 8, 8], blocks=[0, 1, 1], embed_dims=10, out_stage=1
        ),
        neck=NECKS[neck],
        map_queries=QUERIES[queries],
        decoder=DECODERS[decoder],
        head=dict(
            type="VectorMapHead",
            num_points=P,
            num_layers=2,
            layer=layer,
            criterion=dict(
                type="MapCriterion",
                assigner=dict(type="HungarianMapAssigner", costs=costs),
                losses=dict(
                    cls=dict(type="FocalClassLoss"),
                    pts=dict(type="PointsL1Loss"),
                    dir=dict(type="DirectionCosineLoss"),
                ),
            ),
            max_predictions=9,
            direct=direct,
        ),
        map_spec=SPEC,
    )


@pytest.fixture
def batch(cameras) -> tuple[dict[str, torch.Tensor], list[MapDataSample]]:
    torch.manual_seed(1)
    inputs = {
        "img": torch.randn(2, 2, 3, 48, 96),
        "lidar2img": cameras().lidar2img.expand(2, -1, -1, -1),
    }
    samples = []
    for x in (2.0, -3.0):
        points = torch.stack([torch.full((P,), x), torch.linspace(-12, 12, P)], -1)[None]
        sample = MapDataSample(metainfo={"sample_token": f"at {x}"})
        sample.gt_instances = InstanceData(
            labels=torch.tensor([2]),
            points=points,
            orders=points[:, torch.from_numpy(equivalent_orders(P, False))],
        )
        sample.gt_bev = PixelData(data=torch.zeros(3, 16, 8, dtype=torch.uint8))
        samples.append(sample)
    return inputs, samples


@pytest.mark.parametrize(
    ("neck", "decoder", "queries"),
    [
        ("bev", "plain", "instances"),
        ("bev", "llm", "points"),
        ("qformer", "plain", "points"),
        ("qformer", "llm", "instances"),
        ("own cells", "plain", "seeded points"),
        ("own cells", "llm", "seeded instances"),
    ],
)
def test_every_trainable_parameter_gets_a_gradient(neck, decoder, queries, batch):
    direct = queries.startswith("seeded")
    model = make(neck, decoder, queries, direct)
    # moves start at zero and hide what lies before them
    first = model.head.direct if direct else model.head.point_branch
    for move in (first, *(layer.point_branch for layer in model.head.layers)):
        torch.nn.init.normal_(move[-1].weight, std=0.1)
    inputs, samples = batch
    losses = model(inputs, samples, mode="loss")
    sum(losses.values()).backward()
    without = [
        n for n, p in model.named_parameters() if p.requires_grad and (p.grad is None or not p.grad.any())
    ]
    assert without == []


def test_predictions_come_back_on_the_samples(batch):
    inputs, samples = batch
    out = make().eval()(inputs, samples, mode="predict")
    assert [sample.sample_token for sample in out] == [sample.sample_token for sample in samples]
    assert all(sample.pred_instances.points.shape == (9, P, 2) for sample in out)


@pytest.mark.parametrize("neck", ["bev", "qformer"])
def test_the_prediction_depends_on_images_cameras_and_prompt(neck, batch, cameras):
    model = make(neck, "llm").eval()
    inputs, samples = batch
    asked = [MapDataSample(metainfo={"prompt": "Draw the boundaries."}), samples[1]]
    with torch.no_grad():
        right = model(inputs, samples)[0]
        changes = {
            "grey images": {"img": torch.zeros_like(inputs["img"])},
            "shuffled cameras": {"img": inputs["img"].flip(1)},
            "wrong extrinsics": {"lidar2img": cameras(0.4).lidar2img.expand(2, -1, -1, -1)},
        }
        for name, change in changes.items():
            assert (model({**inputs, **change})[0] - right).abs().max() > 1e-6, name
        changed = (model(inputs, asked)[0] - right).abs().amax((0, 2, 3))
    assert changed[0] > 1e-6  # another prompt
    assert changed[1] < 1e-6


@pytest.mark.parametrize("prompt", ["", " ", 7])
def test_a_samples_prompt_is_a_text(prompt, batch):
    inputs, samples = batch
    samples[1].set_metainfo({"prompt": prompt})
    with pytest.raises(MapLLaVAError, match=rf"sample at -3\.0: its prompt is {prompt!r}"):
        make(decoder="llm")(inputs, samples, mode="predict")


def test_mode_and_spec_are_checked(batch):
    inputs, _ = batch
    model = make()
    with pytest.raises(ValueError, match="track"):
        model(inputs, mode="track")
    with pytest.raises(ValueError, match="needs data_samples"):
        model(inputs, mode="loss")
    with pytest.raises(ValueError, match="map_spec"):
        MapLLaVA({}, {}, {}, {}, {})


@pytest.mark.parametrize("bits", [4, 8])
def test_init_weights_with_packed_parts(bits):
    """MMEngine takes the mean of every parameter, which packed ones do not have."""
    pytest.importorskip("bitsandbytes")
    model = make(decoder=f"packed in {bits}")
    before = {key: value.clone() for key, value in model.state_dict().items()}
    model.init_weights()
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())


def test_predictions_that_are_not_finite_are_no_map(batch):
    model = make().eval()
    inputs, samples = batch
    inputs["img"][1] = float("nan")
    with pytest.raises(MapLLaVAError, match=r"predictions are not finite; samples: at -3\.0\. "):
        model(inputs, samples, mode="predict")


@pytest.mark.parametrize("decoder", ["plain", "llm"])
@pytest.mark.parametrize(("queries", "differ"), [("instances", False), ("seeded instances", True)])
def test_seeded_queries_know_their_scene_before_the_first_layer(decoder, queries, differ, batch, monkeypatch):
    model, given = make("own cells", decoder, queries).eval(), []
    decode = model.decoder.forward

    def look(scene_tokens, layout, prompts):
        given.append(layout(len(scene_tokens)))
        return decode(scene_tokens, layout, prompts)

    monkeypatch.setattr(model.decoder, "forward", look)
    with torch.no_grad():
        model(batch[0], batch[1], mode="tensor")
    first, second = given[0]
    assert (not torch.allclose(first, second)) == differ


def test_seeds_need_scene_tokens_with_a_place():
    with pytest.raises(MapLLaVAError, match="QFormerNeck have no place on the ground"):
        make("qformer", queries="seeded instances")
