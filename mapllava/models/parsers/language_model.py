"""A decoder-only language model that writes: with its vocabulary head, tied where its config ties it.

Shapes: B texts, L tokens of the longest prompt and target together, T of the longest target, V vocabulary.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from mmengine.dist import all_reduce
from mmengine.model import BaseModule
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from mapllava.checkpoint import WeightSource, causal_table
from mapllava.errors import MapLLaVAError
from mapllava.models.backbones.hf_backbone import (
    HFBackbone,
    attention_to_train,
    keep_frozen,
    takes_backbone,
)
from mapllava.models.decoders.llm_map_decoder import language_config, open_language_model
from mapllava.models.prompt import Prompt
from mapllava.registry import MODELS

PLACE = "model.language_model"
"""Where it stands in a parser's config, for messages."""

ADAPTER = "ask"
"""What its LoRA weights are called, so that another's may lie beside them on one base."""


@MODELS.register_module()
class LanguageModel(BaseModule):
    """Writes a text after a prompt.

    Prompts are padded on the left, so that all targets end in one column; padding takes no position.

    Args:
        prompt: a prompt as it will be asked, checked against the tokenizer (given by the parser).
        tokenizer: see :class:`~mapllava.models.decoders.LLMMapDecoder`.
        rows_at_once: texts of like length that a loss reads together. The lengths of a batch differ, and
            padding costs as much as text does.
        noise: alpha of NEFTune (Jain et al. 2023): a loss reads embeddings with uniform noise of ±alpha / √(L
            D), D their width, so that words near to those of the training mean what these do.
        held: the same language model without its head, in memory already, such as a map decoder's frozen one;
            only the head is read then, and the weights are held once.
        **backbone: the language model, see :class:`~mapllava.models.backbones.hf_backbone.HFBackbone`; the
            weights of its ``lora`` are called ``ask``.

    Raises:
        MapLLaVAError: as :class:`HFBackbone`, also where the files lack the vocabulary head of a model that
            does not tie it; as :class:`~mapllava.models.prompt.Prompt`; if nothing says how a text ends.
    """

    @takes_backbone
    def __init__(
        self,
        prompt: str,
        tokenizer: dict | None = None,
        rows_at_once: int = 8,
        noise: float = 0.0,
        held: nn.Module | None = None,
        **backbone: Any,
    ) -> None:
        from transformers import MODEL_FOR_CAUSAL_LM_MAPPING

        super().__init__()
        if rows_at_once < 1 or noise < 0:
            raise ValueError(
                f"LanguageModel(rows_at_once={rows_at_once}, noise={noise}): the first is at least 1, the "
                "other not negative"
            )
        self.rows_at_once, self.noise = rows_at_once, noise
        hf = HFBackbone(type(self).__name__, **backbone)
        config = language_config(hf)
        self.prompt = Prompt(prompt, tokenizer, config, hf.source, PLACE)
        self.eos_token_id = _eos(self.prompt, config)
        if type(config) not in MODEL_FOR_CAUSAL_LM_MAPPING:
            raise MapLLaVAError(
                f"LanguageModel: transformers has no {config.model_type} with vocabulary head"
            )
        model_class = MODEL_FOR_CAUSAL_LM_MAPPING[type(config)]
        table = causal_table(config.model_type)
        self.backbone = hf.build(model_class, config, table, adapter=ADAPTER, held=held)
        self.base_weights = hf.describe()
        self.frozen = hf.frozen

    def train(self, mode: bool = True) -> LanguageModel:
        """Set the mode of everything but a frozen language model."""
        super().train(mode)
        if self.frozen:
            keep_frozen(self.backbone, mode)
        return self

    @classmethod
    def open(
        cls, pretrained: str | None = None, architecture: dict | None = None, **_: Any
    ) -> tuple[WeightSource | None, Any]:
        """Files (None for a random start) and config of the language model; no weight is read."""
        return open_language_model(cls.__name__, pretrained, architecture)

    def describe_prompt(self) -> dict[str, Any]:
        """Prompt and tokenizer in plain values, for a file that describes the model."""
        return self.prompt.describe()

    def target_loss(self, prompts: Sequence[str], targets: Sequence[str]) -> Tensor:
        """Cross entropy of the targets and the end after them, nothing of the prompts.

        Every token counts alike, in whatever process it is, so that a text of many is learnt as well as a
        short one: a text is right if all of it is.

        Args:
            prompts: (B,) texts.
            targets: (B,) texts.

        Returns:
            () float32, nats per token; the mean over processes, whose gradients are averaged, is that of all
            tokens.

        Raises:
            MapLLaVAError: if the language model has not the positions for a prompt and its target.
        """
        wanted = [[*self.prompt.tokenizer(text), self.eos_token_id] for text in targets]
        asked = [self._ids(text, len(target)) for text, target in zip(prompts, wanted, strict=True)]
        order = sorted(range(len(asked)), key=lambda row: len(asked[row]) + len(wanted[row]))
        losses: list[Tensor] = []
        for begin in range(0, len(order), self.rows_at_once):
            rows = order[begin : begin + self.rows_at_once]
            losses.append(self._target_loss([asked[row] for row in rows], [wanted[row] for row in rows]))
        total = torch.stack(losses).sum()
        tokens = torch.tensor(float(sum(map(len, wanted))), device=total.device)
        all_reduce(tokens, "mean")
        return total / tokens

    def _target_loss(self, asked: Sequence[list[int]], wanted: Sequence[list[int]]) -> Tensor:
        """Nats of ids that are read together."""
        ids, mask = self._padded([one + two for one, two in zip(asked, wanted, strict=True)])
        longest = max(map(len, wanted))
        logits = self._logits(ids, mask, longest + 1)[:, :-1]  # (B, T, V), the one before predicts the next
        place = torch.arange(longest, device=ids.device)
        lengths = torch.tensor([len(each) for each in wanted], device=ids.device)
        counted = place >= longest - lengths[:, None]  # (B, T)
        return torch.nn.functional.cross_entropy(
            logits[counted].float(), ids[:, -longest:][counted], reduction="sum"
        )

    @torch.no_grad()  # in inference mode FSDP2 cannot gather weights
    def write(
        self, prompts: Sequence[str], allowed: Callable[[list[int]], list[int]], limit: int
    ) -> list[tuple[list[int], Tensor]]:
        """Write greedily after every prompt, by transformers' own ``generate`` with its key-value cache.

        Args:
            prompts: B texts.
            allowed: from the ids written so far to those that may follow.
            limit: tokens at most.

        Returns:
            for every prompt the ids written, the end's last (it lacks where the limit came first), and (n,)
            the probability that the model, not held to ``allowed``, gave each.

        Raises:
            MapLLaVAError: if the language model has not the positions for a prompt and ``limit`` tokens.
        """
        from transformers import GenerationConfig

        ids, mask = self._padded([self._ids(text, limit) for text in prompts])
        begin, end = ids.shape[1], self.eos_token_id

        def follow(_: int, row: Tensor) -> list[int]:
            written = row[begin:].tolist()
            return [end] if end in written else allowed(written)

        config = GenerationConfig(
            do_sample=False,
            max_new_tokens=limit,
            eos_token_id=end,
            pad_token_id=end,
            use_cache=True,
            output_logits=True,
            return_dict_in_generate=True,
        )
        sharded = any(isinstance(weight, DTensor) for weight in self.backbone.parameters())
        made = self.backbone.generate(
            input_ids=ids,
            attention_mask=mask,
            generation_config=config,
            prefix_allowed_tokens_fn=follow,
            synced_gpus=sharded,  # every process gathers weights until the last one has written its texts
        )
        new = made.sequences[:, begin:]  # (B, n)
        # (B, n), step by step: probabilities of a whole vocabulary are large
        chances = torch.stack(
            [
                step.float().softmax(-1).gather(1, new[:, place, None]).squeeze(1)
                for place, step in enumerate(made.logits)
            ],
            dim=1,
        )
        found = []
        for row, chance in zip(new.tolist(), chances, strict=True):
            length = row.index(end) + 1 if end in row else len(row)
            found.append((row[:length], chance[:length]))
        return found

    def _ids(self, prompt: str, more: int) -> list[int]:
        """Ids of a prompt after which so many ``more`` are read or written."""
        ids = self.prompt.ids(prompt)
        most = getattr(self.backbone.config, "max_position_embeddings", None)
        if most is not None and len(ids) + more > most:
            raise MapLLaVAError(
                f"the language model has {most} positions, and a prompt of {len(ids)} tokens with {more} "
                f"after it needs {len(ids) + more}: say it in fewer words ('{prompt[:60]} …')"
            )
        return ids

    def _padded(self, rows: Sequence[list[int]]) -> tuple[Tensor, Tensor]:
        """Ids and mask (B, L), padding on the left; which id it is does not matter."""
        device = self.backbone.get_input_embeddings().weight.device
        longest = max(map(len, rows))
        ids = torch.tensor([[self.eos_token_id] * (longest - len(row)) + row for row in rows], device=device)
        mask = torch.tensor([[0] * (longest - len(row)) + [1] * len(row) for row in rows], device=device)
        return ids, mask

    def _logits(self, ids: Tensor, mask: Tensor, keep: int) -> Tensor:
        """Logits (B, keep, V) of the last places; those of the prompt are never made."""
        positions = (mask.cumsum(1) - 1).clamp_min(0)
        # As indices, not as a number: a slice is not contiguous, and the product with the vocabulary's weight
        # would copy that weight for every text
        kept = torch.arange(max(ids.shape[1] - keep, 0), ids.shape[1], device=ids.device)
        embeddings = self.backbone.get_input_embeddings()(ids)  # (B, L, D)
        if self.training and self.noise:
            reach = self.noise / math.sqrt(embeddings[0].numel())
            embeddings = embeddings + torch.empty_like(embeddings).uniform_(-reach, reach)
        with attention_to_train(self.backbone, embeddings):
            return self.backbone(
                inputs_embeds=embeddings,
                attention_mask=mask,
                position_ids=positions,
                use_cache=False,
                logits_to_keep=kept,
            ).logits


def _eos(prompt: Prompt, config: Any) -> int:
    """What a text ends with: by the tokenizer's files, or else the model's config."""
    found = getattr(prompt.tokenizer, "eos_token_id", None)
    if found is None:
        found = config.eos_token_id[0] if isinstance(config.eos_token_id, list) else config.eos_token_id
    if found is None or not 0 <= found < prompt.vocab_size:
        raise MapLLaVAError(
            f"LanguageModel: neither tokenizer nor config.json names an end of text (found {found}): the "
            "folder of a language model has eos_token in tokenizer_config.json"
        )
    return int(found)
