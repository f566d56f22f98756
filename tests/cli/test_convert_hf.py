"""Model file to Hugging Face folder and back."""

import json

import pytest
import torch
from safetensors.torch import load_file
from trained import train_tiny, write_parser

import mapllava
from mapllava.__main__ import main
from mapllava.models.decoders import LLMMapDecoder
from mapllava.registry import MODELS
from mapllava.testing import write_tiny_llama


@pytest.fixture(scope="module")
def trained(tmp_path_factory, city, city_cache):
    return train_tiny(tmp_path_factory.mktemp("convert"), city, city_cache)


@pytest.fixture
def convert(capsys):
    """Runs the command; returns its status and what it wrote to stderr."""

    def run(*arguments):
        status = main(["convert", *map(str, arguments)])
        return status, capsys.readouterr().err

    return run


def read(path):
    return torch.load(path, weights_only=True)


def assert_same_file(path, original):
    mine, theirs = read(path), read(original)
    assert list(mine["state_dict"]) == list(theirs["state_dict"])
    for key, value in theirs["state_dict"].items():
        assert mine["state_dict"][key].dtype == value.dtype
        assert torch.equal(mine["state_dict"][key], value), key
    assert mine["meta"] == {key: theirs["meta"][key] for key in mine["meta"]}


@pytest.mark.parametrize("options", [[], ["--full"]])
def test_the_round_trip_is_bit_equal(trained, convert, tmp_path, options):
    folder, back = tmp_path / "hf", tmp_path / "back.pth"
    assert convert("to-hf", trained.best, folder, *options) == (0, "")
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "model.safetensors"]
    assert convert("from-hf", folder, back) == (0, "")
    assert_same_file(back, trained.best)
    assert len(mapllava.load_model(back, device="cpu").cameras) == 6


def test_what_trained_has_hugging_faces_names(trained, convert, tmp_path):
    from transformers import Blip2QFormerConfig, Blip2QFormerModel

    convert("to-hf", trained.best, tmp_path / "hf")
    tensors = load_file(tmp_path / "hf" / "model.safetensors")
    config = json.loads((tmp_path / "hf" / "config.json").read_text())
    model = Blip2QFormerModel(Blip2QFormerConfig(**config["qformer_config"]))
    part = {
        key.removeprefix("qformer."): value for key, value in tensors.items() if key.startswith("qformer.")
    }
    model.load_state_dict(part)
    ours = trained.runner.model.neck
    assert torch.equal(
        model.encoder.layer[0].attention.attention.query.weight,
        part["encoder.layer.0.attention.attention.query.weight"],
    )
    assert torch.equal(model.layernorm.weight, ours.qformer.backbone.layernorm.weight)
    assert tensors["query_tokens"].shape == (1, 8, 24)
    assert torch.equal(tensors["query_tokens"][0], ours.query_tokens)
    assert not any(key.startswith(("model.", "vision_model.", "neck.qformer.")) for key in tensors)


def test_a_full_folder_holds_models_that_transformers_loads(trained, convert, tmp_path):
    from transformers import Blip2VisionConfig, Blip2VisionModel, LlamaConfig, LlamaForCausalLM

    assert convert("to-hf", trained.best, tmp_path / "hf", "--full") == (0, "")
    tensors = load_file(tmp_path / "hf" / "model.safetensors")
    config = json.loads((tmp_path / "hf" / "config.json").read_text())
    language = {key: value for key, value in tensors.items() if key.startswith("model.")}
    model, report = LlamaForCausalLM.from_pretrained(
        None,
        config=LlamaConfig(**config["text_config"]),
        state_dict=dict(language),
        output_loading_info=True,
    )
    assert set(report["missing_keys"]) == {"lm_head.weight"}
    assert not report["unexpected_keys"]
    base = load_file(trained.vicuna / "model.safetensors")
    key = "model.layers.1.mlp.up_proj.weight"
    assert torch.equal(model.state_dict()[key].float(), base[key].bfloat16().float())
    tower = Blip2VisionModel(Blip2VisionConfig(**config["vision_config"]))
    prefix = "vision_model."
    tower.load_state_dict({k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)})


class LoRAMapDecoder(LLMMapDecoder):
    """Adapters of peft on the frozen language model, none of them zero."""

    def __init__(self, **kwargs):
        from peft import LoraConfig, inject_adapter_in_model

        super().__init__(**kwargs)
        config = LoraConfig(r=2, lora_alpha=4, target_modules=["q_proj", "up_proj"], init_lora_weights=False)
        inject_adapter_in_model(config, self.backbone)


@pytest.mark.slow
def test_lora_trains_saves_loads_and_merges(convert, city, city_cache, tmp_path):
    pytest.importorskip("peft")
    MODELS.register_module(module=LoRAMapDecoder, force=True)
    options = {"model.decoder.type": "LoRAMapDecoder", "model.decoder.dtype": "float32"}
    trained = train_tiny(tmp_path, city, city_cache, **options)
    ours = [key for key in read(trained.best)["state_dict"] if key.startswith("decoder.backbone.")]
    assert len(ours) == 8  # two layers, two targets, A and B
    assert all(".lora_" in key for key in ours)

    sample = trained.runner.val_dataloader.dataset.get_data_info(0)
    arguments = (sample["img_paths"], sample["cam2img"], sample["lidar2cam"])
    predictor = mapllava.load_model(trained.best, device="cpu")
    ids = torch.tensor([[1, 5, 9]])
    with torch.no_grad():
        expected = predictor.model.decoder.backbone(input_ids=ids).last_hidden_state
    assert len(predictor.predict(*arguments).points) == 50
    assert convert("to-hf", trained.best, tmp_path / "plain") == (0, "")
    assert convert("from-hf", tmp_path / "plain", tmp_path / "back.pth") == (0, "")
    assert_same_file(tmp_path / "back.pth", trained.best)

    from transformers import LlamaConfig, LlamaModel

    assert convert("to-hf", trained.best, tmp_path / "hf", "--full", "--merge-lora") == (0, "")
    tensors = load_file(tmp_path / "hf" / "model.safetensors")
    config = json.loads((tmp_path / "hf" / "config.json").read_text())
    model = LlamaModel(LlamaConfig(**config["text_config"])).eval()
    model.load_state_dict({k.removeprefix("model."): v for k, v in tensors.items() if k.startswith("model.")})
    with torch.no_grad():
        assert torch.allclose(model(input_ids=ids).last_hidden_state, expected, atol=1e-5)
    status, text = convert("from-hf", tmp_path / "hf", tmp_path / "no.pth")
    assert status == 2
    assert "LoRA merged" in text
    assert not (tmp_path / "no.pth").exists()


def test_a_parsers_adapter_is_one_that_peft_loads(convert, tmp_path):
    peft = pytest.importorskip("peft")
    from transformers import AutoModelForCausalLM

    llama = write_tiny_llama(tmp_path / "llama")
    path = write_parser(tmp_path / "parser.pth", llama, dtype="float32")
    assert convert("to-hf", path, tmp_path / "hf") == (0, "")
    model = peft.PeftModel.from_pretrained(
        AutoModelForCausalLM.from_pretrained(llama, dtype=torch.float32), tmp_path / "hf" / "adapters" / "ask"
    )
    ids = torch.tensor([[1, 5, 9]])
    backbone = mapllava.load_parser(path, "cpu").language_model.backbone
    with torch.no_grad():
        theirs, ours = (each.eval()(input_ids=ids).logits for each in (model, backbone))
        with model.disable_adapter():
            assert (model(input_ids=ids).logits - ours).abs().max() > 0.1
    assert torch.allclose(theirs, ours, atol=1e-5)
    assert convert("from-hf", tmp_path / "hf", tmp_path / "back.pth")[0] == 0
    assert_same_file(tmp_path / "back.pth", path)


def test_what_does_not_fit_is_refused(trained, convert, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    assert "not empty" in convert("to-hf", trained.best, tmp_path / "full")[1]
    assert "no LoRA" in convert("to-hf", trained.best, tmp_path / "x", "--full", "--merge-lora")[1]
    status, text = convert("from-hf", trained.vicuna, tmp_path / "x.pth")
    assert status == 2
    assert "is not of a folder that mapllava convert to-hf has written" in text
    assert (
        "COMPONENT=FOLDER" in convert("to-hf", trained.best, tmp_path / "x", "--full", "--pretrained", "a")[1]
    )
    assert "add --full" in convert("to-hf", "a", "b", "--merge-lora")[1]

    content = read(trained.best)
    content["meta"]["base_weights"]["decoder"]["quantization"] = {"bits": 4}
    torch.save(content, tmp_path / "four.pth")
    assert (
        "decoder was trained on quantised"
        in convert("to-hf", tmp_path / "four.pth", tmp_path / "x", "--full")[1]
    )

    convert("to-hf", trained.best, tmp_path / "hf")
    (tmp_path / "hf" / "model.safetensors").write_bytes(b"short")
    assert "cannot be read" in convert("from-hf", tmp_path / "hf", tmp_path / "x.pth")[1]
    assert not list(tmp_path.glob("x*")) + list(tmp_path.glob(".x*"))
