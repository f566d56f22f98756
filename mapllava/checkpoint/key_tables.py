"""What the tensors of the base models are called in their files, and what they are called here.

A table is an ordered list of rules; the first whose pattern matches the beginning of a key
decides. Either the matched part is replaced (``""`` strips it) or the tensor is dropped (None).
A key that no rule knows is an error, so nothing is ever skipped without a line here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

Rule = tuple[str, str | None]


UNKNOWN = "?"  # in front of a key that no rule knows: no module has such a name, so it is reported


@dataclass(frozen=True)
class KeyTable:
    """Names of one component's tensors in files of one family.

    Attributes:
        component: what a message calls the component, e.g. ``Q-Former``.
        rules: (regular expression matched at the start of the key, replacement or None to drop).
        translate: what a library makes of a key, before the rules; None for nothing.
        new: pattern of names in the component that files need not have, and that then start as built.
    """

    component: str
    rules: tuple[Rule, ...]
    translate: Callable[[str], str] | None = field(default=None, compare=False)
    new: str | None = None
    _compiled: tuple[tuple[re.Pattern[str], str | None], ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        compiled = tuple((re.compile(pattern), target) for pattern, target in self.rules)
        object.__setattr__(self, "_compiled", compiled)

    def rename(self, key: str) -> str | None:
        """Name of a file's tensor in the component, or None if the component has no use for it.

        A key that no rule knows comes back behind :data:`UNKNOWN`.
        """
        own = self._own(key)
        match, target = self._first(own)
        if match is None:
            return UNKNOWN + key
        return None if target is None else target + own[match.end() :]

    def starts_new(self, name: str) -> bool:
        """Whether a tensor of the component need not be in the files."""
        return self.new is not None and re.match(self.new, name) is not None

    def _own(self, key: str) -> str:
        return key if self.translate is None else self.translate(key)

    def left_out(self, key: str) -> str:
        """The part that a tensor without use belongs to: what its rule matched, numbers as ``*``."""
        match, _ = self._first(self._own(key))
        return re.sub(r"\.\d+(?=\.)", ".*", match.group() if match else key).rstrip(".")

    def _first(self, key: str) -> tuple[re.Match[str] | None, str | None]:
        """How the first rule that knows a key matches it, and what the rule makes of it."""
        matches = ((pattern.match(key), target) for pattern, target in self._compiled)
        return next(((match, target) for match, target in matches if match), (None, None))

    def without(self, pattern: str) -> KeyTable:
        """This table, with keys that begin with ``pattern`` (a regular expression) dropped first."""
        return replace(self, rules=((pattern, None), *self.rules))


def _dropped(prefixes: Iterable[str]) -> tuple[Rule, ...]:
    return tuple((re.escape(prefix), None) for prefix in prefixes)


_BLIP2_PARTS = (
    "query_tokens",
    "vision_model.",
    "qformer.",
    "language_projection.",
    "language_model.",
    # heads of the image-text matching models
    "embeddings.",
    "itm_head.",
    "vision_projection.",
    "text_projection.",
)


def _blip2_without(part: str) -> tuple[Rule, ...]:
    return _dropped(name for name in _BLIP2_PARTS if name != part)


BLIP2_VISION = KeyTable("vision encoder", ((r"vision_model\.", ""), *_blip2_without("vision_model.")))

BLIP2_QFORMER = KeyTable(
    "Q-Former",
    (
        # the norm of the queries, which InstructBLIP keeps among its text embeddings
        (r"qformer\.embeddings\.layernorm\.", "layernorm."),
        # the text branch of InstructBLIP and of the image-text matching models: only text goes through it
        (r"qformer\.embeddings\.", None),
        (r"qformer\.encoder\.layer\.\d+\.(intermediate|output)\.", None),
        (r"qformer\.", ""),
        *_blip2_without("qformer."),
    ),
)

BLIP2_QUERY_TOKENS = KeyTable(
    "query tokens", ((r"query_tokens$", "query_tokens"), *_blip2_without("query_tokens"))
)

LLAVA_TOWER = r"(model\.)?vision_tower\.(vision_tower\.)?"  # the vision encoder inside a LLaVA

# CLIP with both towers, its vision tower alone, and the tower of every LLaVA layout
CLIP_VISION = KeyTable(
    "vision encoder",
    (
        (r"(.*\.)?embeddings\.position_ids$", None),  # a buffer that older versions saved
        (rf"({LLAVA_TOWER})?(vision_model\.)?(?=(embeddings|pre_layrnorm|encoder|post_layernorm)\.)", ""),
        *_dropped(("text_model.", "text_projection.", "visual_projection.", "logit_scale")),
        # the rest of a LLaVA
        (r"(model\.)?(language_model|multi_modal_projector|mm_projector|image_newline|lm_head)(\.|$)", None),
        (r"model\.(embed_tokens|layers|norm)\.", None),
    ),
)


def causal_prefix(model_type: str) -> str:
    """Attribute under which a family's causal LM keeps its backbone; ``model`` for one that is unknown."""
    from transformers import CONFIG_MAPPING, MODEL_MAPPING

    if model_type not in CONFIG_MAPPING:
        return "model"
    model_class: Any = MODEL_MAPPING[CONFIG_MAPPING[model_type]]
    return model_class.base_model_prefix or "model"


VOCABULARY_HEAD = "lm_head."


def causal_table(model_type: str = "llama") -> KeyTable:
    """Table of a decoder-only language model with its vocabulary head; layouts as :func:`decoder_table`.

    Args:
        model_type: the family, as transformers calls it.
    """
    prefix = f"{causal_prefix(model_type)}."
    head = rf"(model\.)?(language_model\.)?{re.escape(VOCABULARY_HEAD)}"
    rules = decoder_table(model_type).rules
    kept = [(pattern, None if target is None else prefix) for pattern, target in rules if pattern != head]
    return KeyTable("language model with its vocabulary head", ((head, VOCABULARY_HEAD), *kept))


def decoder_table(model_type: str = "llama") -> KeyTable:
    """Table of a decoder-only language model, alone or inside BLIP-2 or LLaVA.

    The vocabulary head is dropped by name: the map decoder reads hidden states. Known layouts:
    a causal LM (Vicuna, LLaMA, and LLaVA's original checkpoints), a bare backbone, the
    ``language_model`` of BLIP-2, and LLaVA as transformers saved it before and after version 5.

    Args:
        model_type: the family, as transformers calls it.
    """
    prefix = re.escape(causal_prefix(model_type))
    return KeyTable(
        "language model",
        (
            # buffers that older versions saved
            (r"(.*\.)?rotary_emb\.inv_freq$", None),
            (r"(.*\.)?(attn|attention)\.masked_bias$", None),
            (rf"(model\.)?(language_model\.)?{re.escape(VOCABULARY_HEAD)}", None),
            (r"(model\.)?(vision_tower|multi_modal_projector|mm_projector|image_newline)(\.|$)", None),
            *_dropped(name for name in _BLIP2_PARTS[:-4] if name != "language_model."),
            (rf"language_model\.{prefix}\.", ""),
            (r"(model\.)?language_model\.", ""),
            (rf"{prefix}\.", ""),
            (r"", ""),
        ),
    )
