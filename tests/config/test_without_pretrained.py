"""without_pretrained: everywhere, and the original stays."""

from mmengine.config import Config, ConfigDict

from mapllava.config.without_pretrained import without_pretrained
from mapllava.models.decoders import LLMMapDecoder


def test_every_depth_is_reached_and_the_original_stays():
    cfg = {
        "pretrained": "a/b",
        "neck": {"qformer": {"pretrained": "c/d", "architecture": {"hidden_size": 8}}},
        "heads": [{"pretrained": "e/f"}, ({"pretrained": "g"},), 3],
    }
    bare = without_pretrained(cfg)
    assert bare == {
        "pretrained": None,
        "neck": {"qformer": {"pretrained": None, "architecture": {"hidden_size": 8}}},
        "heads": [{"pretrained": None}, ({"pretrained": None},), 3],
    }
    assert cfg["neck"]["qformer"]["pretrained"] == "c/d"


def test_a_prompt_has_about_as_many_ids_as_of_its_tokenizer():
    words = "Draw the map around the car: dividers, pedestrian crossings and road boundaries."
    decoder = {"prompt": words, "pretrained": "vicuna", "architecture": {"model_type": "llama"}}
    bare = without_pretrained(decoder)
    assert len(LLMMapDecoder.open_prompt(**bare).ids(words)) == 21  # 20 with LLaMA's own
    assert "tokenizer" not in without_pretrained({**decoder, "pretrained": None})


def test_config_dicts_stay_config_dicts():
    cfg = Config({"model": {"decoder": {"pretrained": "x", "frozen": True}}})
    bare = without_pretrained(cfg.model)
    assert isinstance(bare, ConfigDict)
    assert bare.decoder.pretrained is None
    assert bare.decoder.frozen is True
