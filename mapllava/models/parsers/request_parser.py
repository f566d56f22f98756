"""Words to requests about the map, by a language model held to what is a request."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from mmengine.logging import print_log
from mmengine.model import BaseModel
from torch import Tensor

from mapllava.checkpoint import WeightSource, initialise, keep_built, weight_summary
from mapllava.language.constraint import RequestConstraint
from mapllava.language.parsed import Parsed
from mapllava.language.request import NO_REQUEST, WITHOUT_CLASSES, Request, read_requests
from mapllava.models.parsers.allowed_tokens import AllowedTokens
from mapllava.models.parsers.language_model import PLACE, LanguageModel
from mapllava.models.prompt import Prompt
from mapllava.registry import MODELS
from mapllava.structures.frames import MapSpec

TEXT = "{text}"  # where the sentence stands in a prompt


@MODELS.register_module()
class RequestParser(BaseModel):
    """Writes the canonical text of what a sentence asks, greedily, and how sure it is of that.

    Only texts that :func:`~mapllava.language.request.read_requests` reads can come out, or ``none`` for a
    sentence that asks nothing about the map. The confidence is the probability of the text under the
    language model when nothing holds it to requests.

    Args:
        language_model: the language model, see :class:`LanguageModel`.
        prompt: what is read before writing, with ``{text}`` where the sentence stands and perhaps
            ``{classes}``; BOS, which comes before it, is not written in it.
        map_spec: ``dict(frame=…, roi=…, classes=…)``; written here from the config's top level.
        min_confidence: below it a sentence counts as not understood; a model file brings the calibrated one.
        max_tokens: that are written for a sentence.
        batch_size: sentences that :meth:`parse` reads at once.

    Raises:
        ValueError: if ``map_spec`` is missing, the prompt has no place for the sentence, or a number is out
            of range.
    """

    def __init__(
        self,
        language_model: dict,
        prompt: str,
        map_spec: dict | None = None,
        min_confidence: float = 0.5,
        max_tokens: int = 160,
        batch_size: int = 32,
        data_preprocessor: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(data_preprocessor, init_cfg)
        if map_spec is None:
            raise ValueError("model.map_spec is missing: build from mapllava.config.resolve.resolve(cfg)")
        if TEXT not in prompt or not prompt.replace(TEXT, "").strip():
            raise ValueError(
                f"model.prompt is {prompt!r}: it needs {TEXT} where the sentence stands, and words around it"
            )
        if not 0 <= min_confidence <= 1 or max_tokens < 1 or batch_size < 1:
            raise ValueError(
                f"RequestParser(min_confidence={min_confidence}, max_tokens={max_tokens}, batch_size="
                f"{batch_size}): the first is in [0, 1], the others at least 1"
            )
        self.classes = MapSpec.from_config(map_spec).classes
        self.min_confidence, self.max_tokens, self.batch_size = min_confidence, max_tokens, batch_size
        self.template = _template(prompt, self.classes)
        self.language_model: LanguageModel = MODELS.build(dict(language_model, prompt=self.asked("")))
        self._allowed: AllowedTokens | None = None
        summary = weight_summary(self)
        if summary:
            print_log(f"\n{summary}", logger="current")

    def init_weights(self) -> None:
        """Apply the parts' ``init_cfg``, once; everything else starts as it was built or loaded."""
        keep_built(self)
        initialise(self)

    @classmethod
    def open(cls, language_model: dict, **_: Any) -> tuple[WeightSource | None, Any]:
        """As :meth:`LanguageModel.open`."""
        return LanguageModel.open(**language_model)

    @classmethod
    def open_prompt(cls, language_model: dict, prompt: str, map_spec: dict, **_: Any) -> Prompt:
        """Prompt and tokenizer of a parser with these arguments, checked; no weight is read."""
        source, config = cls.open(language_model)
        text = _template(prompt, MapSpec.from_config(map_spec).classes).replace(TEXT, "")
        return Prompt(text, language_model.get("tokenizer"), config, source, PLACE)

    def asked(self, text: str) -> str:
        """The whole prompt of a sentence; white space is made one."""
        return self.template.replace(TEXT, " ".join(text.split()))

    def forward(
        self, inputs: Sequence[str], data_samples: Sequence[Any] | None = None, mode: str = "loss"
    ) -> dict[str, Tensor] | list[Any]:
        """Loss or predictions, as MMEngine's ``mode`` says.

        Args:
            inputs: B sentences.
            data_samples: B samples; in mode ``loss`` with the meta information ``canonical``.
            mode: ``loss`` (a scalar), or ``predict``: the samples with ``predicted`` and ``confidence``.

        Raises:
            ValueError: for another mode, or samples missing.
        """
        if mode not in ("loss", "predict") or data_samples is None:
            raise ValueError(f"mode '{mode}': it is loss or predict, and needs data_samples")
        if mode == "loss":
            wanted = [sample.canonical for sample in data_samples]
            asked = [self.asked(text) for text in inputs]
            return {"loss_request": self.language_model.target_loss(asked, wanted)}
        for sample, (canonical, confidence) in zip(data_samples, self.write(inputs), strict=True):
            sample.set_metainfo({"predicted": canonical, "confidence": confidence})
        return list(data_samples)

    def parse(self, texts: Sequence[str], classes: Sequence[str] | None = None) -> list[Parsed]:
        """Understand sentences.

        Args:
            texts: in the languages that it was trained on.
            classes: names of the map's classes in its order; None for those of the training.

        Returns:
            for every sentence the requests, none where it was not understood: what it asks is nothing about
            the map, or of a class that this map lacks, or the confidence is below ``min_confidence``. Of a
            map with other classes ``all`` is not understood either: whether somebody said "everything", or
            named all classes of the training one by one, nobody can tell from it.
        """
        self.eval()
        known = self.classes if classes is None else tuple(classes)
        found: list[Parsed] = []
        for begin in range(0, len(texts), self.batch_size):
            batch = list(texts[begin : begin + self.batch_size])
            for text, (canonical, confidence) in zip(batch, self.write(batch), strict=True):
                sure = confidence >= self.min_confidence and canonical != NO_REQUEST
                requests = read_requests(canonical, self.classes) if sure else ()
                if not all(_means_the_same(request, self.classes, known) for request in requests):
                    requests = ()
                requests = tuple(_in_order(request, known) for request in requests)
                found.append(Parsed(text, requests, confidence, canonical))
        return found

    def write(self, texts: Sequence[str]) -> list[tuple[str, float]]:
        """The canonical text and confidence of every sentence; ``none`` and 0 where it found no end."""
        if self._allowed is None:
            model = self.language_model
            constraint = RequestConstraint(self.classes)
            self._allowed = AllowedTokens(model.prompt.tokenizer, constraint, model.eos_token_id)
        asked = [self.asked(text) for text in texts]
        found = []
        for ids, chances in self.language_model.write(asked, self._allowed, self.max_tokens):
            ended = ids[-1:] == [self.language_model.eos_token_id]
            canonical = self._allowed.text(ids) if ended else NO_REQUEST
            found.append((canonical, confidence_of(chances) if ended else 0.0))
        return found


def _template(prompt: str, classes: Sequence[str]) -> str:
    return prompt.replace("{classes}", ", ".join(classes))


def confidence_of(chances: Tensor) -> float:
    """How sure a text is: the probability of all of it.

    Args:
        chances: (n,) probability of each token.

    Returns:
        in [0, 1].
    """
    return float(torch.prod(chances.double()).clamp(0, 1))


def _means_the_same(request: Request, classes: Sequence[str], others: Sequence[str]) -> bool:
    """Whether a request that was understood of a map with some classes is clear of one with others."""
    if not request.classes and request.kind not in WITHOUT_CLASSES:
        return set(classes) == set(others)
    return set(request.classes) <= set(others)


def _in_order(request: Request, classes: Sequence[str]) -> Request:
    """The request with its classes in the order of another map; all of that map's are none named."""
    named = tuple(name for name in classes if name in request.classes)
    return Request(request.kind, () if len(named) == len(classes) else named, request.region)
