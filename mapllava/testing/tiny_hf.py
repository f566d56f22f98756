"""Tiny models with random weights, written in the layout of the real ones.

They load through the same code as BLIP-2, CLIP and Vicuna do, in milliseconds and with no network.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mapllava.models.hf_backbone import RANDOM_STD

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


def _prefixed(prefix: str, module: nn.Module) -> dict[str, Tensor]:
    """State of a module under a prefix, every tensor with memory of its own."""
    return {prefix + key: value.detach().clone().contiguous() for key, value in module.state_dict().items()}


def _write(folder: Path, config: object, state: dict[str, Tensor], num_shards: int = 1) -> Path:
    """Config and safetensors, with an index where there is more than one shard."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    config.save_pretrained(folder)  # type: ignore[attr-defined]
    if num_shards == 1:
        save_file(state, str(folder / "model.safetensors"), metadata={"format": "pt"})
        return folder
    weight_map = {}
    keys = list(state)
    for shard in range(num_shards):
        name = f"model-{shard + 1:05d}-of-{num_shards:05d}.safetensors"
        part = {key: state[key] for key in keys[shard::num_shards]}
        save_file(part, str(folder / name), metadata={"format": "pt"})
        weight_map.update(dict.fromkeys(part, name))
    index = {"metadata": {"total_size": sum(t.nbytes for t in state.values())}, "weight_map": weight_map}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index, indent=2), encoding="utf-8")
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
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=2), encoding="utf-8")
