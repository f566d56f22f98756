"""A decoder-only language model that decodes map queries.

Shapes: B batch, S scene tokens, Q map-query tokens, D hidden channels of the language model.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import torch
from mmengine.logging import print_log
from mmengine.model import BaseModule
from torch import Tensor, nn

from mapllava.checkpoint import WeightSource, decoder_table
from mapllava.errors import MapLLaVAError
from mapllava.models.backbones.hf_backbone import (
    HFBackbone,
    attention_to_train,
    keep_frozen,
    takes_backbone,
)
from mapllava.models.backbones.hf_config import RANDOM_STD, config_of, configure
from mapllava.models.decoders.decoder_only import decoder_only
from mapllava.models.map_queries import BaseMapQueries, QueriesOfScene, beside_padding, with_places
from mapllava.models.prompt import Prompt
from mapllava.registry import MODELS

_ATTENTION = {"sdpa": "sdpa", "flex": "flex_attention"}  # ours to transformers' names
_SCALES = ("embeddings", "initializer_range")
_OLD_ROPE_KEYS = {"rope_theta", "rope_scaling"}  # of config.json before transformers 5


@MODELS.register_module()
class LLMMapDecoder(BaseModule):
    """Reads ``[BOS][prompt][scene tokens][map queries]`` and returns the decoded queries.

    Scene tokens are normalised, projected and, with the map queries, brought to the scale of the token
    embeddings, so that all of them enter the first layer at one scale. The projection itself keeps PyTorch's
    initial scale: at 0.02 / sqrt(D) weights, one step of Adam would change it beyond recognition.

    Args:
        in_channels: channels of the scene tokens (given by the detector).
        prompt: the text before the scene tokens; a sample may bring another.
        tokenizer: ``dict(type=…)``; by default the one in ``pretrained``, whose ids another must give, and
            ``ByteTokenizer`` for a model built from ``architecture``.
        attention: ``sdpa``, or ``flex`` for FlexAttention with the same rules as a block mask, which
            trains on a GPU only.
        scale: ``embeddings``, the root mean square of the language model's token embeddings; one from scratch
            starts with embeddings of scale 1 and weights of standard deviation 1 / sqrt(D) then, so that its
            layers do something from the first step on (at 0.02 and few channels they hardly do). Or
            ``initializer_range``, 0.02 for LLaMA, with map queries as they are: how models of versions up to
            0.1 were trained.
        **backbone: the language model (LLaMA, Vicuna, Qwen, OPT, …), see
            :class:`~mapllava.models.backbones.hf_backbone.HFBackbone`. ``pretrained`` may be a BLIP-2 or
            LLaVA that holds one; ``architecture`` has the config's ``model_type``.

    Raises:
        ValueError: as :class:`HFBackbone`; if there is no such attention.
        MapLLaVAError: as :class:`HFBackbone`; if there is no prompt, or the tokenizer is not the language
            model's, see :class:`~mapllava.models.prompt.Prompt`.
    """

    scale: Any
    """What projected scene tokens are multiplied by."""

    @takes_backbone
    def __init__(
        self,
        in_channels: int,
        prompt: str | None = None,
        tokenizer: dict | None = None,
        attention: str = "sdpa",
        scale: str = "initializer_range",
        **backbone: Any,
    ) -> None:
        super().__init__()
        if scale not in _SCALES:
            raise ValueError(f"scale '{scale}' is not one of {', '.join(_SCALES)}")
        if attention not in _ATTENTION:
            raise ValueError(f"attention '{attention}' is not one of {', '.join(_ATTENTION)}")
        self.attention = attention
        hf = HFBackbone(type(self).__name__, **backbone)
        config = language_config(hf)
        from_scratch = scale == "embeddings" and hf.source is None
        if from_scratch and "initializer_range" not in hf.architecture:
            config.initializer_range = config.hidden_size**-0.5
        self.prompt = Prompt(prompt, tokenizer, config, hf.source)  # checked before gigabytes are read
        self.backbone = build_language_model(hf, config, _ATTENTION[attention])
        self.base_weights = hf.describe()
        self.frozen = hf.frozen
        self.embed_dims: int = config.hidden_size
        self.project = nn.Sequential(nn.LayerNorm(in_channels), nn.Linear(in_channels, self.embed_dims))
        if from_scratch:
            nn.init.normal_(self.backbone.get_input_embeddings().weight)
        self._scales_queries = scale == "embeddings"
        measured = self._scales_queries and hf.source is not None
        own = self._embeddings_scale() if measured else 1.0 if from_scratch else self._initial_scale()
        if measured and not self.frozen:
            # In the file: what lies in the folder when that is read need not be what training began with
            self.register_buffer("scale", torch.tensor(own))
        else:
            self.scale = own
        self._told = False

    @property
    def query_scale(self) -> Any:
        """What map queries are multiplied by."""
        return self.scale if self._scales_queries else 1.0

    def _initial_scale(self) -> float:
        return float(getattr(self.backbone.config, "initializer_range", RANDOM_STD))

    def _embeddings_scale(self) -> float:
        """Root mean square of the token embeddings; the meta device knows no values."""
        weight = self.backbone.get_input_embeddings().weight
        if weight.is_meta:
            return self._initial_scale()
        return float(weight.detach().float().square().mean().sqrt())

    @classmethod
    def open(
        cls, pretrained: str | None = None, architecture: dict | None = None, **_: Any
    ) -> tuple[WeightSource | None, Any]:
        """Files (None for a random start) and config of the language model; no weight is read."""
        return open_language_model(cls.__name__, pretrained, architecture)

    def train(self, mode: bool = True) -> LLMMapDecoder:
        """Set the mode of everything but a frozen language model."""
        super().train(mode)
        if self.frozen:
            keep_frozen(self.backbone, mode)
        return self

    @classmethod
    def open_prompt(
        cls,
        prompt: str | None = None,
        tokenizer: dict | None = None,
        pretrained: str | None = None,
        architecture: dict | None = None,
        **_: Any,
    ) -> Prompt:
        """Prompt and tokenizer of a decoder with these arguments, checked; no weight is read."""
        source, config = cls.open(pretrained, architecture)
        return Prompt(prompt, tokenizer, config, source)

    def describe_prompt(self) -> dict[str, Any]:
        """Prompt and tokenizer in plain values, for a file that describes the model."""
        return self.prompt.describe()

    def forward(
        self,
        scene_tokens: Tensor,
        queries: BaseMapQueries | QueriesOfScene,
        prompts: Sequence[str | None] | None = None,
    ) -> Tensor:
        """Decode the map queries.

        Args:
            scene_tokens: (B, S, in_channels).
            queries: the map queries, for their tokens and their mask.
            prompts: B texts, None among them for the decoder's own; None for its own in all samples.
                A sample's result does not depend on the length of another's prompt.

        Returns:
            (B, Q, D), float32 or the autocast dtype.

        Raises:
            MapLLaVAError: if a text is not one for the tokenizer, the language model has not enough
                positions, or FlexAttention is to train on a CPU.
        """
        ids, padding = self.prompt.batch(prompts, len(scene_tokens), scene_tokens.device)
        prompt = self.backbone.get_input_embeddings()(ids)  # (B, T, D)
        scene = with_places(self.project(scene_tokens), queries)
        tokens = queries(len(scene_tokens)) * self.query_scale
        parts = [prompt, scene * self.scale, tokens]
        embeddings = torch.cat([part.to(prompt.dtype) for part in parts], dim=1)  # (B, T + S + Q, D)
        length = embeddings.shape[1]
        self._check_length(ids.shape[1], scene_tokens.shape[1], length)
        positions = torch.arange(length, device=embeddings.device).unsqueeze(0)
        # Padding stands on the left and takes no position, so that a short prompt is where it would be alone
        if padding is not None:
            positions = (positions - padding[:, None]).clamp_min(0)
        mask = self._mask(queries, embeddings, length - tokens.shape[1], padding)
        with attention_to_train(self.backbone, embeddings):
            decoded = self.backbone(
                inputs_embeds=embeddings, attention_mask=mask, position_ids=positions, use_cache=False
            ).last_hidden_state[:, -tokens.shape[1] :]
        return decoded.to(tokens.dtype)

    def _check_length(self, prompt: int, scene: int, length: int) -> None:
        """Learned positions have an end; rotary ones have none, but loaded weights were trained up to one."""
        config = self.backbone.config
        most = getattr(config, "max_position_embeddings", None)
        if most is None or length <= most or self._told:
            return
        said = (
            f"the language model has {most} positions, and gets {length} tokens ({prompt} of the prompt, "
            f"{scene} of the scene, {length - prompt - scene} map queries): raise model.neck.tokens.stride, "
            "or lower model.map_queries.num_instances"
        )
        if getattr(config, "rope_parameters", None) is None:
            raise MapLLaVAError(said)
        self._told = True
        if self.base_weights is not None:
            print_log(said, logger="current", level=logging.WARNING)

    def _mask(
        self,
        queries: BaseMapQueries | QueriesOfScene,
        embeddings: Tensor,
        prefix_len: int,
        padding: Tensor | None,
    ) -> Any:
        """Which token may attend to which, in the form that the attention takes."""
        device = embeddings.device
        if self.attention == "sdpa":
            mask = queries.attention_mask(prefix_len, device)[None, None]  # (1, 1, L, L), bool, not additive
            if padding is None:
                return mask
            token = torch.arange(embeddings.shape[1], device=device)
            return mask & beside_padding(token[:, None], token, padding[:, None, None, None])
        if device.type == "cpu" and torch.is_grad_enabled():
            raise MapLLaVAError(
                "attention='flex' has no backward pass on a CPU: train with model.decoder.attention='sdpa', "
                "or on a GPU"
            )
        return queries.block_mask(prefix_len, device, padding)


def build_language_model(hf: HFBackbone, config: Any, attention: str = "sdpa") -> Any:
    """A decoder-only backbone without a vocabulary head.

    Args:
        hf: where it comes from.
        config: from :func:`language_config`.
        attention: transformers' name of it.

    Raises:
        MapLLaVAError: as :meth:`HFBackbone.build`.
    """
    from transformers import MODEL_MAPPING

    config.use_cache = config.output_hidden_states = config.output_attentions = False
    return hf.build(MODEL_MAPPING[type(config)], config, decoder_table(config.model_type), attention)


def open_language_model(
    component: str, pretrained: str | None, architecture: dict | None
) -> tuple[WeightSource | None, Any]:
    """Files (None for a random start) and config of a part's language model; no weight is read."""
    hf = HFBackbone(component, pretrained, architecture)
    return hf.source, language_config(hf)


def language_config(hf: HFBackbone) -> Any:
    """Config of a decoder-only language model; BLIP-2 and LLaVA keep theirs inside their own.

    Args:
        hf: where it comes from; a random model's ``architecture`` has its ``model_type``.

    Raises:
        ValueError: for a ``model_type`` or key that transformers does not know.
        MapLLaVAError: for another kind of model.
    """
    from transformers import CONFIG_MAPPING

    source, component = hf.source, hf.component
    if source is None:
        values = dict(hf.architecture)
        model_type = values.pop("model_type", None)
        if model_type not in CONFIG_MAPPING:
            raise ValueError(
                f"{component}: architecture.model_type '{model_type}' is unknown to transformers; try 'llama'"
            )
        config = configure(CONFIG_MAPPING[model_type], values, component)
        return decoder_only(config, config, "architecture", component)
    raw = source.config()
    if str(raw.get("model_type", "")).startswith("llava") and "text_config" not in raw:
        # LLaVA's original checkpoints: a language model's config with keys of the vision side between
        family = raw["model_type"].removeprefix("llava_")  # llava, llava_llama, llava_qwen2, …
        config_class = CONFIG_MAPPING[family if family in CONFIG_MAPPING and family != "llava" else "llama"]
        known = (set(config_class().to_dict()) | _OLD_ROPE_KEYS) - {"model_type"}
        return config_class(**{key: value for key, value in raw.items() if key in known})
    whole = config_of(source)
    return decoder_only(whole.get_text_config(), whole, f"'{source.name}'", component)
