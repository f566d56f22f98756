"""The prompt as token ids."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from mmcv.transforms import BaseTransform

from mapllava.registry import TOKENIZERS, TRANSFORMS


@TRANSFORMS.register_module()
class TokenizePrompt(BaseTransform):
    """Add the ids of a prompt that all samples share; tokenised once per process.

    Added Keys:

    - prompt_ids: (L,) int64, BOS first
    - prompt: str

    Args:
        prompt: The text.
        tokenizer: ``dict(type=…)`` of the registry ``TOKENIZERS``.
        ids: The prompt's ids where they are known, as from a model file; no tokenizer is loaded then.

    Raises:
        MapLLaVAError: If the tokenizer does not load (on the first sample).
    """

    def __init__(self, prompt: str, tokenizer: dict | None = None, ids: Sequence[int] | None = None) -> None:
        self.prompt = prompt
        self.tokenizer = dict(tokenizer or {"type": "ByteTokenizer"})
        self._ids = None if ids is None else np.array(ids, dtype=np.int64)

    def transform(self, results: dict) -> dict:
        """Add the ids."""
        if self._ids is None:
            tokenizer: Any = TOKENIZERS.build(self.tokenizer)
            self._ids = np.array(tokenizer(self.prompt), dtype=np.int64)
        results["prompt_ids"], results["prompt"] = self._ids.copy(), self.prompt
        return results

    def __repr__(self) -> str:
        return f"TokenizePrompt(prompt={self.prompt!r}, tokenizer={self.tokenizer})"
