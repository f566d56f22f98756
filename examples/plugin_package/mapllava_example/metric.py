"""A metric of one's own: how many lines too many or too few are drawn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mmengine.evaluator import BaseMetric

from mapllava.registry import METRICS
from mapllava.structures.map_data_sample import to_numpy


@METRICS.register_module()
class LineCountMetric(BaseMetric):
    """Mean absolute difference between the number of drawn and of true lines of a sample.

    Args:
        score: lowest score of a line that counts as drawn.
        **kwargs: those of :class:`mmengine.evaluator.BaseMetric`.
    """

    default_prefix = "lines"

    def __init__(self, score: float = 0.3, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.score = score

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Keep token and difference of every sample of a batch."""
        for sample in data_samples:
            drawn = int((to_numpy(sample["pred_instances"]["scores"]) >= self.score).sum())
            self.results.append((sample["sample_token"], abs(drawn - len(sample["polylines"]))))

    def compute_metrics(self, results: list) -> dict[str, float]:
        """The mean over samples; one that two processes saw, because the sampler pads, counts once."""
        differences = dict(results)
        return {"count_error": sum(differences.values()) / len(differences)}
