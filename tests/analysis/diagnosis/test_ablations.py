from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.structures import InstanceData

from mapllava.analysis.diagnosis.ablations import Ablations, ablated_outputs
from mapllava.evaluation.functional import get_protocol
from mapllava.models.necks.base import NeckOutput
from mapllava.structures.frames import MapSpec
from mapllava.structures.map_data_sample import MapDataSample

LINE = np.stack([np.full(5, 2.0), np.linspace(-10, 10, 5)], -1)


class TokenReader:
    """Draws the true line in its last layer where scene tokens are not zero, and looks at nothing else."""

    map_spec = MapSpec()

    def extract_features(self, inputs):
        return NeckOutput(torch.ones(len(inputs["img"]), 3, 4))

    def decode(self, out, prompts=None):
        seen = out.scene_tokens.abs().amax((1, 2))
        return torch.stack([torch.zeros_like(seen), seen]), torch.zeros(2, len(seen))

    @property
    def head(self):
        def predict(layers, _):
            seen = layers[-1]
            lines = [torch.tensor(LINE + (0.0 if value > 0 else 8.0)).float()[None] for value in seen]
            return [
                InstanceData(points=line, labels=torch.tensor([0]), scores=torch.tensor([0.5]))
                for line in lines
            ]

        return SimpleNamespace(predict=predict)


def samples(*scenes):
    lines = [{"label": 0, "points": LINE.tolist(), "closed": False}]
    return [
        MapDataSample(metainfo={"sample_token": f"t{i}", "scene_name": scene, "polylines": lines})
        for i, scene in enumerate(scenes)
    ]


def costs(scenes, foreign=None):
    model = TokenReader()
    inputs = {
        "img": torch.zeros(len(scenes), 6, 3, 4, 4),
        "lidar2img": torch.eye(4).expand(len(scenes), 6, 4, 4),
    }
    ablations = Ablations(model, get_protocol("strict"))
    ablations.update(inputs, model.extract_features(inputs), samples(*scenes), foreign)
    return ablations.result("city val")


def test_the_cost_is_what_the_score_loses_and_names_its_split_and_protocol():
    found = costs(["a", "b", "b"])
    rows = {row["name"]: row for row in found["ablations"]}
    assert found["mAP"] == pytest.approx(1 / 3)  # two of three classes have no ground truth and count 0
    assert rows["zero-scene-tokens"]["mAP"] == 0.0
    assert rows["zero-scene-tokens"]["cost"] == pytest.approx(1 / 3)
    assert rows["zero-scene-tokens"]["interval"] == pytest.approx([1 / 3, 1 / 3])
    assert rows["blank"]["cost"] == 0.0
    assert (found["split"], found["samples"], found["scenes"]) == ("city val", 3, 2)
    assert found["protocol"] == "strict (0.2/0.5/1 m)"
    assert (rows["no-refinement"]["mAP"], rows["no-refinement"]["cost"]) == (0.0, pytest.approx(1 / 3))
    assert "zero-bev" not in rows
    assert "other-sample" not in rows


def test_one_scene_has_no_interval():
    assert {row["interval"] for row in costs(["a", "a"])["ablations"]} == {None}


def test_images_of_another_sample_are_taken_where_they_are_given():
    names = [row["name"] for row in costs(["a"], torch.zeros(1, 6, 3, 4, 4))["ablations"]]
    assert "other-sample" in names


def test_zero_tokens_reach_the_decoder_and_the_bev_map_stays(opened):
    model = opened(neck="bev").model
    seen = []
    model.decoder.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    img = torch.randn(1, 6, 3, 54, 96)
    from mapllava.models.surround_rig import surround_cameras

    inputs = {"img": img, "lidar2img": surround_cameras((54, 96)).lidar2img}
    with torch.no_grad():
        out = model.extract_features(inputs)
        every = dict(ablated_outputs(model, inputs, out, img.flip(1)))
        predicted = {name: model.decode(handed_on, None)[1] for name, handed_on in every.items()}
    decoder_input = dict(zip(every, seen, strict=True))
    assert bool(out.scene_tokens.any())
    assert not decoder_input["zero-scene-tokens"].any()
    assert torch.equal(every["zero-scene-tokens"].bev, out.bev)
    assert torch.equal(decoder_input["zero-bev"], out.scene_tokens)
    assert not every["zero-bev"].bev.any()
    assert not decoder_input["zero-both"].any()
    for name in ("blank", "shuffle-cameras", "wrong-extrinsics", "other-sample"):
        assert not torch.equal(decoder_input[name], out.scene_tokens), name
    whole = model.decode(out, None)[1]
    assert all((points - whole).abs().max() > 1e-7 for points in predicted.values())
