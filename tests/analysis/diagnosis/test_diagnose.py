"""The whole diagnosis on tiny models: what it says, and that it leaves nothing behind."""

import json

import pytest
import torch
from tiny import tiny_config, write_run

from mapllava.analysis.diagnosis import SECTIONS, Diagnosis, diagnosis_text, findings, open_checkpoint
from mapllava.errors import MapLLaVAError
from mapllava.models.map_queries import QueriesOfScene


@pytest.mark.parametrize(
    "parts",
    [
        {"neck": "bev", "decoder": "llm"},
        {"neck": "qformer", "decoder": "plain", "points": True},
    ],
)
def test_every_section_is_there_and_the_model_is_as_it_was(opened, parts):
    looked = opened(**parts)
    model = looked.model.train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    training = {name: module.training for name, module in model.named_modules()}
    seen = []
    found = Diagnosis(looked, "val").run(seen.append)

    assert set(SECTIONS) <= set(found)
    assert sum(seen) == found["samples"] == found["ablations"]["samples"] == 8
    assert found["split"] == found["ablations"]["split"] == "v1.0-mini val"
    assert found["ablations"]["protocol"].startswith("strict")
    assert sum(found["attention"]["share"]) == pytest.approx(1.0)
    assert found["attention"]["cameras"][0] == "CAM_FRONT"
    assert [row["class"] for row in found["probes"]] == ["divider", "ped_crossing", "boundary"]
    assert len(found["gradient"]["loss"]) == 3
    assert found["gradient"]["on_references"][1:] == [0, 0]
    assert json.loads(json.dumps(found, allow_nan=False)) == found

    after = model.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert {name: module.training for name, module in model.named_modules()} == training
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
    assert all(parameter.grad is None for parameter in model.parameters())


def test_the_model_is_looked_at_with_what_its_queries_know_of_the_scene(opened):
    looked = opened(seeds=True)
    given = []
    looked.model.decoder.register_forward_pre_hook(lambda _, arguments: given.append(type(arguments[1])))
    Diagnosis(looked, "val", max_samples=2).run()
    assert set(given) == {QueriesOfScene}


def test_the_text_names_what_the_numbers_are_of(opened):
    found = Diagnosis(opened(neck="qformer", decoder="plain", layers=0), max_samples=5).run()
    text = diagnosis_text(found)
    assert "split v1.0-mini val, protocol strict (0.2/0.5/1 m), 5 samples" in text
    assert "ConvVisionEncoder -> QFormerNeck -> InstanceMapQueries -> TransformerMapDecoder" in text
    assert "epoch 7" in text
    for note in ("no language model", "no BEV map", "one layer", "queries of its own"):
        assert note in text
    assert found["gradient"]["growth"] is None


def test_the_same_seed_gives_the_same_diagnosis(opened):
    looked = opened()
    first, second, other = (
        Diagnosis(looked, "train", max_samples=6, seed=seed, skip=["ablations"]) for seed in (3, 3, 4)
    )
    assert first.samples.indices == second.samples.indices != other.samples.indices
    assert first.run() == second.run()
    assert first.samples.name == "v1.0-mini train"


def test_skipped_sections_are_neither_computed_nor_shown(opened):
    diagnosis = Diagnosis(opened(), max_samples=2, skip=["ablations", "attention", "rank", "gradient"])
    found = diagnosis.run()
    assert set(SECTIONS) & set(found) == {"probes"}
    assert diagnosis.samples.donors is None
    assert "Ablations" not in diagnosis_text(found)


def test_one_scene_is_said(opened):
    looked = opened()
    looked.cfg.val_dataloader.dataset.indices = 4
    found = Diagnosis(looked).run()
    assert found["scenes"] == 1
    assert any("'other-sample'" in note for note in found["notes"])
    assert "other-sample" not in [row["name"] for row in found["ablations"]["ablations"]]
    assert {row["r2"] for row in found["probes"]} == {None}


def test_what_stands_out_is_said_in_words():
    row = {"name": "blank", "cost": 0.001, "interval": [-0.01, 0.01]}
    tokens = {"name": "scene tokens", "tokens": 9, "mean_cosine": 0.999, "varies_with_input": 1e-6}
    found = {
        "ablations": {"mAP": 0.5, "samples": 40, "ablations": [row]},
        "attention": {"patches_in_reach": 10.0, "patches_read": 9.9},
        "rank": [tokens],
        "gradient": {"grows": True, "growth": 4.0, "on_references": [1.0, 2.0]},
    }
    said = "\n".join(finding.reason for finding in findings(found))
    for text in ("blank costs +0.1 mAP", "averages", "hardly change", "one and the same", "x 4.00", "[1]"):
        assert text in said
    assert "nothing shows on 40 samples" in said
    row["interval"] = [-0.02, -0.01]
    assert "better without" in findings(found)[0].reason
    found["ablations"]["mAP"] = 0.0
    assert "nothing to lose" in findings(found)[0].reason
    row["interval"] = [0.1, 0.2]
    found["ablations"]["mAP"] = 0.5
    tokens.update(mean_cosine=0.2, varies_with_input=0.5)
    found["attention"]["patches_read"] = 3.0
    found["gradient"] = {"grows": False, "growth": 0.5, "on_references": None}
    assert findings(found) == []


def test_mistakes_are_named(opened, tmp_path, city, city_cache):
    looked = opened()
    with pytest.raises(MapLLaVAError, match="skip some of ablations"):
        Diagnosis(looked, skip=list(SECTIONS))
    with pytest.raises(MapLLaVAError, match="skip some of"):
        Diagnosis(looked, skip=["colour"])
    looked.cfg.test_dataloader = None
    with pytest.raises(MapLLaVAError, match=r"test_dataloader has 0 data sets.*train, val"):
        Diagnosis(looked, "test")
    with pytest.raises(MapLLaVAError, match="try --device cpu"):
        open_checkpoint(looked.checkpoint, device="cuda:99")
    with pytest.raises(MapLLaVAError, match="try --device cpu"):
        open_checkpoint(looked.checkpoint, device="abacus")
    other = write_run(tmp_path / "other", tiny_config(city, city_cache, neck="qformer"))
    with pytest.raises(MapLLaVAError, match="does not fit the model"):
        open_checkpoint(other, config=looked.checkpoint.parent / "config.json")
