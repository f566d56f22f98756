"""Everything that is looked at, in one pass over the samples."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np
import torch

from mapllava.analysis.diagnosis.ablations import Ablations
from mapllava.analysis.diagnosis.attention import CrossAttentionRecorder
from mapllava.analysis.diagnosis.depth import GradientByDepth
from mapllava.analysis.diagnosis.opening import OpenedModel
from mapllava.analysis.diagnosis.probes import probe_count, probe_presence, span
from mapllava.analysis.diagnosis.samples import ChosenSamples
from mapllava.analysis.diagnosis.spectrum import TokenSpectrum
from mapllava.config.walk import dicts
from mapllava.errors import MapLLaVAError
from mapllava.evaluation.functional import Protocol, get_protocol
from mapllava.models.decoders import LLMMapDecoder
from mapllava.models.map_llava import MapLLaVA
from mapllava.structures.map_data_sample import MapDataSample, prompts_of

SECTIONS: dict[str, str] = {
    "ablations": "mAP that each missing input costs",
    "attention": "cross-attention of the neck per camera",
    "rank": "effective rank and diversity of scene tokens and map queries",
    "probes": "what linear probes read off the scene tokens",
    "gradient": "gradient norm by depth of refinement",
}
"""What is looked at, each of which can be skipped."""


class Diagnosis:
    """Looks at a model batch by batch and says what it found.

    Nothing is left behind: hooks are removed, and weights, buffers, gradients and mode stay as they are.

    Args:
        opened: The model.
        split: Which of the config's data: ``train``, ``val`` or ``test``.
        max_samples: Most samples, drawn at random; 0 for all.
        seed: Of the draw, the bootstrap and the probes' splits.
        skip: Of :data:`SECTIONS`.

    Raises:
        MapLLaVAError: If a section is unknown or all are skipped, or something of the data is missing.
    """

    def __init__(
        self,
        opened: OpenedModel,
        split: str = "val",
        max_samples: int = 200,
        seed: int = 0,
        skip: Collection[str] = (),
    ) -> None:
        unknown = sorted(set(skip) - set(SECTIONS))
        if unknown or set(skip) == set(SECTIONS):
            raise MapLLaVAError(
                f"--skip {' '.join(skip)}: skip some of {', '.join(SECTIONS)}, and not all of them"
            )
        self.opened, self.model, self.seed = opened, opened.model, seed
        self.sections = [name for name in SECTIONS if name not in skip]
        self.samples = ChosenSamples(
            opened.cfg, split, self.model.head.num_points, max_samples, seed, "ablations" in self.sections
        )
        self.ablations = Ablations(self.model, _protocol(opened, split))
        self.attention = CrossAttentionRecorder(self.model.neck)
        self.scene = TokenSpectrum("scene tokens")
        self.decoded = TokenSpectrum("map queries, decoded")
        self.depth = GradientByDepth(self.model.head)
        self.cameras: list[str] = []
        self._features: list[np.ndarray] = []
        self._counts: list[np.ndarray] = []
        self.notes = notes_on(self.model)

    def run(self, advance: Callable[[int], None] | None = None) -> dict[str, Any]:
        """Look at every sample.

        Args:
            advance: Told the number of samples after each batch, for a progress bar.

        Returns:
            What was found, in builtin types: ``checkpoint``, ``trained``, ``split``, ``samples``,
            ``seed``, ``parts`` of the model, ``notes``, and one entry per section that was not
            skipped or impossible.
        """
        training = self.model.training
        self.model.eval()
        try:
            for data, donors in self.samples.loader(self.opened.cfg):
                batch = self.model.data_preprocessor(data, False)
                foreign = None
                if donors is not None:
                    foreign = self.model.data_preprocessor(donors, False)["inputs"]["img"]
                self._look(batch["inputs"], batch["data_samples"], foreign)
                if advance is not None:
                    advance(len(batch["data_samples"]))
        finally:
            self.model.train(training)
        return self._result()

    def _look(self, inputs: dict, samples: Sequence[MapDataSample], foreign: torch.Tensor | None) -> None:
        names = samples[0].metainfo.get("cam_names")
        self.cameras = list(names or [f"camera {index}" for index in range(inputs["img"].shape[1])])
        with torch.no_grad():
            with self.attention if "attention" in self.sections else nullcontext():
                out = self.model.extract_features(inputs)
            instances, points = self.model.decode_queries(out, prompts_of(samples))
        if "ablations" in self.sections:
            self.ablations.update(inputs, out, samples, foreign)
        if "rank" in self.sections:
            self.scene.update(out.scene_tokens)
            self.decoded.update(instances.float())
        if "probes" in self.sections:
            self._features += list(out.scene_tokens.float().flatten(1).cpu().numpy())
            classes = self.model.map_spec.num_classes
            for sample in samples:
                labels = [line["label"] for line in sample.metainfo["polylines"]]
                self._counts.append(np.bincount(np.array(labels, dtype=int), minlength=classes))
        if "gradient" in self.sections:
            self.depth.update(instances, points, out.bev, samples)

    def _result(self) -> dict[str, Any]:
        found: dict[str, Any] = {
            "checkpoint": str(self.opened.checkpoint),
            "trained": self.opened.trained,
            "split": self.samples.name,
            "samples": len(self.samples),
            "scenes": len(set(self.samples.scenes)),
            "seed": self.seed,
            "parts": {
                part: type(getattr(self.model, part)).__name__
                for part in ("vision_encoder", "neck", "map_queries", "decoder", "head")
            },
            "notes": list(self.notes),
        }
        notes = found["notes"]
        if "ablations" in self.sections:
            found["ablations"] = self.ablations.result(self.samples.name, self.seed)
            if self.samples.donors is None:
                notes.append("one scene: 'other-sample' and intervals need two")
        if "attention" in self.sections and self.attention.layers:
            found["attention"] = self.attention.result(self.cameras)
            if self.attention.one_by_one:
                notes.append("every camera has queries of its own: equal shares of attention by construction")
        if "rank" in self.sections:
            learned = TokenSpectrum("map queries, learned")
            learned.update(self.model.map_queries.instances[None])
            found["rank"] = [tokens.result() for tokens in (self.scene, learned, self.decoded)]
        if "probes" in self.sections:
            found["probes"] = self._probes()
        if "gradient" in self.sections:
            found["gradient"] = self.depth.result()
        return found

    def _probes(self) -> list[dict[str, Any]]:
        features, counts = span(np.stack(self._features)), np.stack(self._counts)
        rows = []
        for label, name in enumerate(self.model.map_spec.classes):
            of_class = counts[:, label]
            row = {"class": name, "mean_count": float(of_class.mean())}
            row.update(probe_count(features, of_class, self.samples.scenes, self.seed))
            row.update(probe_presence(features, of_class > 0, self.samples.scenes, self.seed))
            rows.append(row)
        return rows


def notes_on(model: MapLLaVA) -> list[str]:
    """What a model lacks, so that nobody looks for it in the tables."""
    notes = []
    if not isinstance(model.decoder, LLMMapDecoder):
        notes.append(f"no language model: the decoder is a {type(model.decoder).__name__}")
    if not model.neck.bev_dims:
        notes.append("no BEV map: scene tokens are all that the decoder has of the cameras")
    if not CrossAttentionRecorder(model.neck).layers:
        notes.append(f"no Q-Former in {type(model.neck).__name__}: no attention per camera")
    if not len(getattr(model.head, "layers", ())):
        notes.append("no refinement: one layer, so no gradient by depth to compare")
    return notes


def _protocol(opened: OpenedModel, split: str) -> Protocol:
    """The protocol of the config's evaluator; training data are scored by the test's."""
    for name in (f"{split}_evaluator", "test_evaluator", "val_evaluator"):
        for _, metric in dicts(opened.cfg.get(name)):
            if metric.get("protocol"):
                return get_protocol(metric["protocol"], metric.get("thresholds"))
    return get_protocol("maptr")
