"""A decoder-only language model that decodes map queries.

Shapes: B batch, T prompt tokens with the leading BOS, S scene tokens, Q map-query tokens,
L = T + S + Q, D hidden channels of the language model.
"""

from __future__ import annotations

from typing import Any

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn

from mapllava.checkpoint import WeightSource, decoder_table
from mapllava.errors import MapLLaVAError
from mapllava.models.hf_backbone import (
    RANDOM_STD,
    build_backbone,
    config_of,
    configure,
    keep_frozen,
    open_source,
    resolve_dtype,
    settle,
    without_dropout,
)
from mapllava.models.map_queries import BaseMapQueries
from mapllava.models.trainability import check_trainability
from mapllava.registry import MODELS

_ATTENTION = {"sdpa": "sdpa", "flex": "flex_attention"}  # ours to transformers' names
_OLD_ROPE_KEYS = {"rope_theta", "rope_scaling"}  # of config.json before transformers 5


@MODELS.register_module()
class LLMMapDecoder(BaseModule):
    """Reads ``[BOS][prompt][scene tokens][map queries]`` and returns what the queries became.

    Any decoder-only backbone of transformers (LLaMA, Vicuna, Qwen, OPT, …) without a vocabulary
    head. Scene tokens are normalised, projected and brought to the scale of the token embeddings
    (``initializer_range``, 0.02 for LLaMA), so that projected tokens, prompt and map queries
    (which start at 0.02 too) meet the first layer alike. The projection itself keeps PyTorch's
    initial scale: at 0.02 / sqrt(D) weights, one step of Adam would turn it inside out.

    Args:
        in_channels: channels of the scene tokens (given by the detector).
        pretrained: folder or hub id of a language model, or of a BLIP-2 or LLaVA that holds one;
            its ``config.json`` decides the architecture.
        architecture: values of the backbone's config with its ``model_type``, for a random start;
            ignored with ``pretrained``.
        frozen: keep the language model's weights; gradients still reach scene tokens and queries.
        gradient_checkpointing: recompute its activations in the backward pass.
        dtype: the backbone's dtype, ``float32`` if None; ``bfloat16`` for a large frozen one.
        attention: ``sdpa``, or ``flex`` for FlexAttention with the same rules as a block mask, which
            trains on a GPU only.
        lora: adapters that train on the frozen weights, ``dict(rank, alpha, targets, dropout)``.
        quantization: hold the frozen weights of linear layers packed, ``dict(bits=4)`` (NF4, optionally
            ``compute_dtype``) or ``dict(bits=8)``.

    Raises:
        ValueError: if neither ``pretrained`` nor ``architecture`` is given, or one is wrong.
        MapLLaVAError: if the weights do not fit, or ``frozen``, ``lora`` and ``quantization`` contradict
            each other.
    """

    def __init__(
        self,
        in_channels: int,
        pretrained: str | None = None,
        architecture: dict | None = None,
        frozen: bool = True,
        gradient_checkpointing: bool = False,
        dtype: str | None = None,
        attention: str = "sdpa",
        lora: dict | None = None,
        quantization: dict | None = None,
    ) -> None:
        super().__init__()
        check_trainability("LLMMapDecoder", frozen, lora, quantization)
        source = open_source(pretrained, architecture, "LLMMapDecoder")
        config = _config_of(source) if source is not None else _config_from(architecture or {})
        if frozen:
            without_dropout(config)
        config.use_cache = config.output_hidden_states = config.output_attentions = False
        if attention not in _ATTENTION:
            raise ValueError(f"attention '{attention}' is not one of {', '.join(_ATTENTION)}")
        self.attention = attention
        torch_dtype = resolve_dtype(dtype)

        def construct() -> nn.Module:
            from transformers import AutoModel

            chosen = {"dtype": torch_dtype, "attn_implementation": _ATTENTION[attention]}
            return AutoModel.from_config(config, trust_remote_code=False, **chosen)

        self.backbone: Any = build_backbone(
            construct, source, decoder_table(_base_prefix(config)), quantization
        )
        self.base_weights = None if source is None else source.describe()
        self.frozen = frozen
        settle(self.backbone, frozen, gradient_checkpointing, lora)
        self.embed_dims: int = config.hidden_size
        self.vocab_size: int = config.vocab_size
        self.bos_token_id = config.bos_token_id if isinstance(config.bos_token_id, int) else None
        self.project = nn.Sequential(nn.LayerNorm(in_channels), nn.Linear(in_channels, self.embed_dims))
        self.scale = float(getattr(config, "initializer_range", RANDOM_STD))
        self._checked_prompt = False

    def train(self, mode: bool = True) -> LLMMapDecoder:
        """Set the mode of everything but a frozen language model."""
        super().train(mode)
        if self.frozen:
            keep_frozen(self.backbone, mode)
        return self

    def forward(self, prompt_ids: Tensor | None, scene_tokens: Tensor, queries: BaseMapQueries) -> Tensor:
        """Decode the map queries.

        Args:
            prompt_ids: (B, T) token ids with the leading BOS; None for BOS alone.
            scene_tokens: (B, S, in_channels).
            queries: the map queries, for their tokens and their mask.

        Returns:
            (B, Q, D), float32 or the autocast dtype.

        Raises:
            ValueError: if a prompt id is outside the vocabulary, or there is neither a prompt nor a
                BOS token.
            MapLLaVAError: if FlexAttention is to train on a CPU.
        """
        batch = len(scene_tokens)
        prompt = self.backbone.get_input_embeddings()(self._prompt(prompt_ids, scene_tokens))
        tokens = queries(batch)
        parts = [prompt, self.project(scene_tokens) * self.scale, tokens]
        embeddings = torch.cat([part.to(prompt.dtype) for part in parts], dim=1)
        length = embeddings.shape[1]
        decoded = self.backbone(
            inputs_embeds=embeddings,
            attention_mask=self._mask(queries, embeddings, length - tokens.shape[1]),
            position_ids=torch.arange(length, device=embeddings.device).unsqueeze(0),
            use_cache=False,
        ).last_hidden_state[:, -tokens.shape[1] :]
        return decoded.to(tokens.dtype)

    def _mask(self, queries: BaseMapQueries, embeddings: Tensor, prefix_len: int) -> Any:
        """Who may attend to whom, as the attention wants it."""
        if self.attention == "sdpa":
            return queries.attention_mask(prefix_len, embeddings.device)[None, None]
        if embeddings.device.type == "cpu" and torch.is_grad_enabled():
            raise MapLLaVAError(
                "attention='flex' has no backward pass on a CPU: train with model.decoder.attention='sdpa', "
                "or on a GPU"
            )
        return queries.block_mask(prefix_len, embeddings.device)

    def _prompt(self, prompt_ids: Tensor | None, scene_tokens: Tensor) -> Tensor:
        """Token ids (B, T) of the prompt, checked the first time."""
        if prompt_ids is None:
            if self.bos_token_id is None:
                raise ValueError(
                    f"{self.backbone.config.model_type} has no BOS token to start from: add TokenizePrompt "
                    "to the data pipeline"
                )
            return torch.full((len(scene_tokens), 1), self.bos_token_id, device=scene_tokens.device)
        if not self._checked_prompt and not prompt_ids.is_meta:
            largest = int(prompt_ids.max())
            if largest >= self.vocab_size:
                raise ValueError(
                    f"prompt id {largest} is outside the vocabulary of {self.vocab_size}: use the tokenizer "
                    "of the decoder's language model in TokenizePrompt"
                )
            self._checked_prompt = True
        return prompt_ids


def _config_from(architecture: dict[str, Any]) -> Any:
    """Config of a random backbone."""
    from transformers import CONFIG_MAPPING

    values = dict(architecture)
    model_type = values.pop("model_type", None)
    if model_type not in CONFIG_MAPPING:
        raise ValueError(f"architecture.model_type '{model_type}' is unknown to transformers; try 'llama'")
    return configure(CONFIG_MAPPING[model_type], values, "LLMMapDecoder")


def _config_of(source: WeightSource) -> Any:
    """Config of the language model in a folder, which BLIP-2 and LLaVA keep inside their own."""
    from transformers import CONFIG_MAPPING

    raw = source.config()
    if str(raw.get("model_type", "")).startswith("llava") and "text_config" not in raw:
        # LLaVA's original checkpoints: a language model's config with keys of the vision side between
        family = raw["model_type"].removeprefix("llava_")  # llava, llava_llama, llava_qwen2, …
        config_class = CONFIG_MAPPING[family if family in CONFIG_MAPPING and family != "llava" else "llama"]
        known = (set(config_class().to_dict()) | _OLD_ROPE_KEYS) - {"model_type"}
        return config_class(**{key: value for key, value in raw.items() if key in known})
    return config_of(source).get_text_config()


def _base_prefix(config: Any) -> str:
    """Attribute under which the family's causal LM keeps its backbone."""
    from transformers import MODEL_MAPPING

    model_class: Any = MODEL_MAPPING[type(config)]
    return model_class.base_model_prefix or "model"
