"""Tiny models with random weights, written in the layout of the real ones.

They load through the same code as BLIP-2, CLIP and Vicuna do, in milliseconds and with no network.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mapllava.files import write_json
from mapllava.models.backbones.hf_config import RANDOM_STD

TINY_VISION: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "image_size": 56,
    "patch_size": 14,
    "initializer_range": RANDOM_STD,
}
TINY_QFORMER: dict[str, Any] = {
    "hidden_size": 24,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "cross_attention_frequency": 2,
    "encoder_hidden_size": 32,
    "vocab_size": 64,
}
TINY_LLAMA: dict[str, Any] = {
    "vocab_size": 320,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 1024,
}
TINY_FAMILIES: dict[str, dict[str, Any]] = {
    "llama": {"model_type": "llama", "num_key_value_heads": 4},  # LLaMA 2 and Vicuna: no grouped heads
    "llama3": {
        "model_type": "llama",
        "num_key_value_heads": 2,
        "rope_parameters": {
            "rope_type": "llama3",
            "rope_theta": 500000.0,
            "factor": 8.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 16,
        },
    },
    "qwen2": {"model_type": "qwen2", "tie_word_embeddings": True},  # biases on query, key and value
    "qwen3": {"model_type": "qwen3", "tie_word_embeddings": True, "head_dim": 16},  # norms on query and key
}
_TINY_VIT: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "image_size": 64,
    "patch_size": 16,
}
_TINY_CONVNEXT: dict[str, Any] = {"hidden_sizes": [8, 16, 24, 32], "depths": [1, 1, 2, 1]}
TINY_BACKBONES: dict[str, dict[str, Any]] = {
    "dinov2": _TINY_VIT,
    "dinov2_with_registers": _TINY_VIT,
    "dinov3_vit": _TINY_VIT,
    "dinov3_convnext": _TINY_CONVNEXT,
    "convnextv2": _TINY_CONVNEXT,
    "swin": {
        "embed_dim": 8,
        "depths": [1, 2, 1, 1],
        "num_heads": [1, 2, 2, 4],
        "window_size": 2,
        "image_size": 64,
    },
    "resnet": {"embedding_size": 8, "hidden_sizes": [16, 24, 32, 40], "depths": [1, 1, 2, 1]},
}
_CORPUS = (
    "Draw the vector map around the car: lane dividers, pedestrian crossings and road boundaries.",
    "Six cameras look around the car. Where are the dividers, the crossings, the boundaries?",
    "A divider separates lanes. A boundary ends the road. A crossing is where people cross.",
)


def write_tiny_blip2(folder: str | Path, num_query_tokens: int = 32, seed: int = 0) -> Path:
    """A tiny BLIP-2 as Salesforce publishes it: all five prefixes, sharded, OPT for the language.

    Args:
        folder: where to write; made if missing.
        num_query_tokens: BLIP-2 has 32.
        seed: of the random weights.

    Returns:
        the folder.
    """
    from transformers import (
        Blip2Config,
        Blip2QFormerConfig,
        Blip2QFormerModel,
        Blip2VisionConfig,
        Blip2VisionModel,
        OPTConfig,
        OPTForCausalLM,
    )

    vision, qformer = Blip2VisionConfig(**TINY_VISION), Blip2QFormerConfig(**TINY_QFORMER)
    text = OPTConfig(
        vocab_size=64,
        hidden_size=16,
        ffn_dim=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        word_embed_proj_dim=16,
    )
    config = Blip2Config(
        vision_config=vision.to_dict(),
        qformer_config=qformer.to_dict(),
        text_config=text.to_dict(),
        num_query_tokens=num_query_tokens,
    )
    config.architectures = ["Blip2ForConditionalGeneration"]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        state = {
            "query_tokens": torch.randn(1, num_query_tokens, qformer.hidden_size),
            **_prefixed("vision_model.", Blip2VisionModel(vision)),
            **_prefixed("qformer.", Blip2QFormerModel(qformer)),
            **_prefixed("language_projection.", nn.Linear(qformer.hidden_size, text.hidden_size)),
            **_prefixed("language_model.", OPTForCausalLM(text)),
        }
    return _write(Path(folder), config, state, num_shards=2)


def write_tiny_clip(folder: str | Path, seed: int = 0) -> Path:
    """A tiny CLIP, both towers, as OpenAI's is on the hub; returns the folder."""
    from transformers import CLIPConfig, CLIPModel

    text: dict[str, Any] = {
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
    }
    config = CLIPConfig(
        vision_config=TINY_VISION,
        text_config={**text, "vocab_size": 64, "bos_token_id": 1, "eos_token_id": 2},
        projection_dim=8,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        state = _prefixed("", CLIPModel(config))
    return _write(Path(folder), config, state)


def write_tiny_backbone(folder: str | Path, family: str, classifier: bool = False, seed: int = 0) -> Path:
    """A tiny image backbone, in the layout that ``save_pretrained`` gives the whole model.

    Args:
        folder: where to write; made if missing.
        family: one of ``TINY_BACKBONES``.
        classifier: whether the model lies below a classifier, as most on the hub do.
        seed: of the random weights.

    Returns:
        the folder.
    """
    from transformers import CONFIG_MAPPING, AutoModel, AutoModelForImageClassification

    config = CONFIG_MAPPING[family](**TINY_BACKBONES[family])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = (AutoModelForImageClassification if classifier else AutoModel).from_config(config)
        model.load_state_dict(_prefixed("", model))
    model.save_pretrained(folder)  # which gives tensors the names that they have on the hub
    statistics = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}
    write_json(Path(folder) / "preprocessor_config.json", statistics)
    return Path(folder)


def write_tiny_llama(folder: str | Path, seed: int = 0) -> Path:
    """A tiny LLaMA with its vocabulary head and a tokenizer; returns the folder."""
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(**TINY_LLAMA, bos_token_id=1, eos_token_id=2, tie_word_embeddings=False)
    config.architectures = ["LlamaForCausalLM"]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        state = _prefixed("", LlamaForCausalLM(config))
    path = _write(Path(folder), config, state)
    _write_tokenizer(path)
    return path


def write_tiny_decoder(
    folder: str | Path, family: str = "llama", seed: int = 0, suffix: str = "safetensors", num_shards: int = 1
) -> Path:
    """A tiny language model of a family, in one of the forms that weight files come in.

    Args:
        folder: where to write; made if missing.
        family: one of ``TINY_FAMILIES``.
        seed: of the random weights.
        suffix: ``safetensors``, or ``bin`` for PyTorch's older files.
        num_shards: files that the weights are spread over.

    Returns:
        the folder.
    """
    from transformers import CONFIG_MAPPING, AutoModelForCausalLM

    values = {**TINY_LLAMA, **TINY_FAMILIES[family]}
    config = CONFIG_MAPPING[values.pop("model_type")](**values)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        state = _prefixed("", AutoModelForCausalLM.from_config(config))
    if config.tie_word_embeddings:
        del state["lm_head.weight"]  # one tensor, saved under one name
    return _write(Path(folder), config, state, num_shards, suffix)


def write_tiny_llava(
    folder: str | Path, layout: str = "transformers", with_tower: bool = True, seed: int = 0
) -> Path:
    """A tiny LLaVA-1.5: CLIP, projector and LLaMA.

    Args:
        folder: where to write; made if missing.
        layout: ``transformers`` (llava-hf on the hub) or ``original`` (LLaVA's own: a LLaMA with the
            vision side's keys between, and the name of a CLIP, written to ``folder/clip``).
        with_tower: whether an original folder holds the vision tower's weights itself.
        seed: of the random weights.

    Returns:
        the folder.
    """
    from transformers import CLIPVisionConfig, CLIPVisionModel, LlamaConfig, LlamaForCausalLM, LlavaConfig

    folder = Path(folder)
    vision, text = CLIPVisionConfig(**TINY_VISION), LlamaConfig(**TINY_LLAMA, bos_token_id=1, eos_token_id=2)
    text.architectures = ["LlamaForCausalLM"]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        language, tower = LlamaForCausalLM(text), CLIPVisionModel(vision)
        projector = nn.Sequential(
            nn.Linear(vision.hidden_size, text.hidden_size), nn.GELU(), nn.Linear(32, 32)
        )
        if layout == "transformers":
            state = {
                **_prefixed("language_model.", language),
                **_prefixed("vision_tower.vision_model.", tower),
                **_prefixed("multi_modal_projector.linear_1.", projector[0]),
                **_prefixed("multi_modal_projector.linear_2.", projector[2]),
            }
            return _write(folder, LlavaConfig(vision_config=vision, text_config=text), state)
        state = {**_prefixed("", language), **_prefixed("model.mm_projector.", projector)}
        if with_tower:
            state.update(_prefixed("model.vision_tower.vision_tower.vision_model.", tower))
    write_tiny_clip(folder / "clip", seed)
    _write(folder, text, state, num_shards=2, suffix="bin")
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    config.update(model_type="llava", mm_vision_tower="clip", mm_hidden_size=vision.hidden_size)
    write_json(folder / "config.json", config)
    return folder


def _prefixed(prefix: str, module: nn.Module) -> dict[str, Tensor]:
    """State of a module under a prefix, every tensor with memory of its own.

    Biases and norms get noise: at zero and one, a bias that is never loaded would go unnoticed.
    """
    state = {prefix + key: value.detach().clone().contiguous() for key, value in module.state_dict().items()}
    for value in state.values():
        if value.dim() == 1 and value.is_floating_point():
            value += 0.1 * torch.randn(value.shape)
    return state


def _save(tensors: dict[str, Tensor], path: Path) -> None:
    from safetensors.torch import save_file

    if path.suffix == ".bin":
        torch.save(tensors, path)
    else:
        save_file(tensors, str(path), metadata={"format": "pt"})


def _write(
    folder: Path, config: object, state: dict[str, Tensor], num_shards: int = 1, suffix: str = "safetensors"
) -> Path:
    """Config and weight files, with an index where there is more than one shard."""
    folder.mkdir(parents=True, exist_ok=True)
    config.save_pretrained(folder)  # type: ignore[attr-defined]
    stem = "pytorch_model" if suffix == "bin" else "model"
    if num_shards == 1:
        _save(state, folder / f"{stem}.{suffix}")
        return folder
    weight_map = {}
    keys = list(state)
    for shard in range(num_shards):
        name = f"{stem}-{shard + 1:05d}-of-{num_shards:05d}.{suffix}"
        part = {key: state[key] for key in keys[shard::num_shards]}
        _save(part, folder / name)
        weight_map.update(dict.fromkeys(part, name))
    index = {"metadata": {"total_size": sum(t.nbytes for t in state.values())}, "weight_map": weight_map}
    write_json(folder / f"{stem}.{suffix}.index.json", index)
    return folder


def _write_tokenizer(folder: Path) -> None:
    """A byte-level BPE trained on a few sentences, which puts BOS first as LLaMA's does."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=TINY_LLAMA["vocab_size"],
        special_tokens=["<unk>", "<s>", "</s>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_CORPUS, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": "<s>",
        "eos_token": "</s>",
        "unk_token": "<unk>",
    }
    write_json(folder / "tokenizer_config.json", settings)
