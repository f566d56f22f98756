"""What it costs a model when something it should use is taken away.

Shapes: B batch, N cameras.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from mapllava.engine.hooks.ablation_hook import ABLATIONS, spoil
from mapllava.evaluation import Evaluation, compare, evaluate_maps
from mapllava.evaluation.functional import Protocol
from mapllava.evaluation.scoring import PairedMaps, prepare_ground_truth
from mapllava.models.map_llava import MapLLaVA
from mapllava.models.necks.base import NeckOutput
from mapllava.structures.map_data_sample import MapDataSample, prompts_of, to_numpy

PARTS: dict[str, str] = {
    "zero-scene-tokens": "the decoder reads zeros instead of scene tokens",
    "zero-bev": "the head reads zeros instead of the BEV map",
    "zero-both": "zeros for both: queries and prompt alone",
    "no-refinement": "the decoder's own prediction, before the head's layers refine it",
}
"""Ablations of what the neck hands on; those of the BEV map only where it gives one. The last takes away what
comes behind the decoder."""

WHOLE, OWN = "none", "no-refinement"


def ablated_outputs(
    model: MapLLaVA, inputs: Mapping[str, Tensor], out: NeckOutput, foreign: Tensor | None
) -> Iterator[tuple[str, NeckOutput]]:
    """What the neck hands on under every ablation.

    Args:
        model: In evaluation mode.
        inputs: Of the model, preprocessed.
        out: What its neck makes of them.
        foreign: (B, N, 3, H, W) preprocessed images of samples from other scenes, or None.

    Yields:
        The ablation's name and what decoder and head get.
    """
    for mode in ABLATIONS:
        if mode != "other-sample":
            yield mode, model.extract_features(spoil(dict(inputs), mode))
        elif foreign is not None:
            yield mode, model.extract_features({**inputs, "img": foreign})
    no_tokens = torch.zeros_like(out.scene_tokens)
    yield "zero-scene-tokens", replace(out, scene_tokens=no_tokens)
    if out.bev is not None:
        no_bev = torch.zeros_like(out.bev)
        yield "zero-bev", replace(out, bev=no_bev)
        yield "zero-both", replace(out, scene_tokens=no_tokens, bev=no_bev)


@dataclass
class Ablations:
    """Gathers the predictions under every ablation, and scores them.

    Args:
        model: In evaluation mode.
        protocol: Of the score.
    """

    model: MapLLaVA
    protocol: Protocol

    def __post_init__(self) -> None:
        self._predictions: dict[str, list[dict[str, Any]]] = defaultdict(list)
        self._truth: list[dict[str, Any]] = []
        self._scenes: list[str] = []

    @torch.no_grad()
    def update(
        self,
        inputs: Mapping[str, Tensor],
        out: NeckOutput,
        samples: Sequence[MapDataSample],
        foreign: Tensor | None = None,
    ) -> None:
        """Take in a batch of B samples, N cameras.

        Args:
            inputs: ``img`` (B, N, 3, H, W) and ``lidar2img`` (B, N, 4, 4).
            out: what the neck gave for them.
            samples: B, with ``polylines``.
            foreign: images of other samples (B, N, 3, H, W), or None to leave that ablation out.
        """
        tokens = [str(sample.sample_token) for sample in samples]
        for token, sample in zip(tokens, samples, strict=True):
            self._truth.append(prepare_ground_truth(sample.metainfo["polylines"], self.protocol, token))
            self._scenes.append(str(sample.metainfo.get("scene_name", "")))
        every = [(WHOLE, out), *ablated_outputs(self.model, inputs, out, foreign)]
        prompts = prompts_of(samples)
        for name, handed_on in every:
            logits, points = self.model.decode(handed_on, prompts)
            self._keep(name, tokens, logits, points)
            if name == WHOLE:
                self._keep(OWN, tokens, logits[:1], points[:1])

    def _keep(self, name: str, tokens: Sequence[str], logits: Tensor, points: Tensor) -> None:
        for token, found in zip(tokens, self.model.head.predict(logits, points), strict=True):
            arrays = {key: to_numpy(found[key]) for key in ("points", "labels", "scores")}
            self._predictions[name].append({"sample_token": token, **arrays})

    def result(self, split: str, seed: int = 0) -> dict[str, Any]:
        """Scores of the model as it is and under every ablation.

        Args:
            split: What the samples are, for the label.
            seed: Of the bootstrap over scenes.

        Returns:
            ``split``, ``protocol``, ``samples``, ``scenes``; ``mAP``, in [0, 1]; ``ablations``, a
            list with ``name``, ``what``, ``mAP``, ``cost`` (positive where the model needs what was
            taken) and ``interval`` (95 %, of the cost; None with one scene).
        """

        def score(mode: str) -> Evaluation:
            maps = PairedMaps(
                self.model.map_spec,
                split,
                self.protocol,
                self._predictions[mode],
                self._truth,
                self._scenes,
            )
            return evaluate_maps(maps, mode, num_draws=None, seed=seed)

        whole = score(WHOLE)
        rows = []
        for name, what in {**ABLATIONS, **PARTS}.items():
            if name in self._predictions:
                difference = compare(score(name), whole)
                ends = difference.interval
                rows.append(
                    {
                        "name": name,
                        "what": what,
                        "mAP": float(difference.first.score["mAP"]),
                        "cost": float(difference.ap.mean()),
                        "interval": None if ends is None else [float(end) for end in ends["mAP"]],
                    }
                )
        return {
            "split": split,
            "protocol": self.protocol.title,
            "samples": len(self._truth),
            "scenes": len(whole.maps.scenes),
            "mAP": float(whole.score["mAP"]),
            "ablations": rows,
        }
