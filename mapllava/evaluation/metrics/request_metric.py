"""MMEngine's side of how well sentences are understood."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log

from mapllava.errors import MapLLaVAError
from mapllava.evaluation.functional.request_scores import (
    Understanding,
    best_threshold,
    request_scores,
    separation,
)
from mapllava.files import write_json
from mapllava.registry import METRICS

REQUEST = "request"
"""Whose threshold it is, in the ``display`` of a model file."""

_GROUPS = ("part", "language", "kind")
_SHOWN = 5


@METRICS.register_module()
class RequestMetric(BaseMetric):
    """Exact match of canonical texts: of all, by part of the wording, language, both, and kind; refusals.

    Reads of every sample ``text``, ``canonical``, ``predicted``, ``confidence``, ``kind``, ``language`` and
    ``part``. Returns what :func:`~mapllava.evaluation.functional.request_scores.request_scores` does,
    ``separation`` and ``threshold``.

    Args:
        cost: of a wrong answer in refused right ones, see
            :func:`~mapllava.evaluation.functional.request_scores.best_threshold`.
        outfile: JSON of all sentences and what was made of them; None writes none.
        collect_device: ``'cpu'`` or ``'gpu'``: where results of several processes meet.
        prefix: put before the metrics' names, with a slash.

    Attributes:
        display: the calibrated threshold of the last sentences scored, for the model file; None before.
        model_display: that of the model file that is tested, which then counts instead of a new one.

    Raises:
        MapLLaVAError: if no sentence was seen.
    """

    default_prefix = ""

    def __init__(
        self,
        cost: float = 2.0,
        outfile: str | None = None,
        collect_device: str = "cpu",
        prefix: str | None = None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        self.cost = cost
        self.outfile = outfile
        self.display: dict[str, Any] | None = None
        self.model_display: dict[str, Any] | None = None

    def process(self, data_batch: Any, data_samples: Sequence[Any]) -> None:
        """Keep what a batch's sentences mean and were understood as."""
        keys = ("text", "canonical", "predicted", "confidence", *_GROUPS)
        for sample in data_samples:
            sample = sample if isinstance(sample, Mapping) else sample.to_dict()
            self.results.append({key: sample[key] for key in keys})

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Score gathered results."""
        if not results:
            raise MapLLaVAError("RequestMetric saw no sentence: is the validation set empty?")
        found = [
            Understanding(
                each["canonical"],
                each["predicted"],
                float(each["confidence"]),
                {
                    **{name: each[name] for name in _GROUPS},
                    "wording": f"{each['language']}_{each['part']}",
                },
            )
            for each in results
        ]
        given = (self.model_display or {}).get("thresholds", {}).get(REQUEST)
        threshold = best_threshold(found, self.cost) if given is None else float(given)
        source = str((self.dataset_meta or {}).get("split") or "sentences")
        self.display = {"thresholds": {REQUEST: threshold}, "source": source}
        scores = {**request_scores(found, threshold), "threshold": threshold}
        parted = separation(found)
        if parted is not None:
            scores["separation"] = parted
        self._tell(results, scores)
        if self.outfile is not None:
            write_json(self.outfile, results)
        return scores

    @staticmethod
    def _tell(results: list[dict[str, Any]], scores: Mapping[str, float]) -> None:
        """The table, and the first sentences that were not understood."""
        lines = [f"{len(results)} sentences, exact match in percent:"]
        for name, value in scores.items():
            shown = f"{value:.4g}" if name in ("threshold", "separation") else f"{100 * value:.1f}"
            lines.append(f"  {name:32}{shown:>8}")
        wrong = [each for each in results if each["predicted"] != each["canonical"]]
        for each in wrong[:_SHOWN]:
            lines.append(f"  {each['text']!r}: {each['predicted']!r}, not {each['canonical']!r}")
        print_log("\n".join(lines), logger="current")
