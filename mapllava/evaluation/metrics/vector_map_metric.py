"""MMEngine's side of the score: gather, pair by token, score, print, write."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log

from mapllava.errors import MapLLaVAError
from mapllava.evaluation.display import display_of_matches, told_of
from mapllava.evaluation.functional import get_protocol, join, match_maps, score_of
from mapllava.evaluation.report import metric_values, score_table
from mapllava.evaluation.results_file import MapResults
from mapllava.evaluation.results_writer import save_results
from mapllava.evaluation.sample_record import display_of_model, display_to_json
from mapllava.evaluation.scoring import data_name, prepare_ground_truth
from mapllava.registry import METRICS
from mapllava.structures.frames import MapSpec
from mapllava.structures.map_data_sample import to_numpy


@METRICS.register_module()
class VectorMapMetric(BaseMetric):
    """Chamfer AP of predicted vector maps under a named protocol.

    Reads of every sample ``sample_token``, ``polylines`` (the raw lines), ``split`` and
    ``pred_instances`` (``points`` (K, P, 2) metres, ``scores`` (K,), ``labels`` (K,)). Samples that
    several processes saw, because the sampler padded its shards, count once. Nothing is cut by
    score.

    Returns ``mAP``, ``AP_<class>`` (mean over thresholds) and ``AP_<class>@<threshold>``, in
    [0, 1], and logs a table in percent that names split and protocol.

    Args:
        protocol: A name in :data:`mapllava.evaluation.functional.PROTOCOLS`.
        thresholds: Metres; None takes the protocol's.
        map_spec: ``dict(frame=…, roi=…, classes=…)``; None takes the samples' own.
        outfile_prefix: Writes ``<outfile_prefix>.results.json``, which can be scored without the
            model (:func:`mapllava.evaluation.score_results`); None writes nothing.
        collect_device: ``'cpu'`` or ``'gpu'``: where results of several processes meet.
        prefix: Put before the metrics' names, with a slash.
        title: First words of the table's title.

    Attributes:
        display: Of the last samples scored, the score of each class with the best F1, and its source; None
            before, and in processes other than the first.
        model_display: The ``display`` of the model file that is tested, likewise; None where it has none. The
            results file takes it, or else the one of its own samples, and says so.

    Raises:
        MapLLaVAError: If the protocol is unknown, thresholds or specification are not valid, the
            samples are about another map, or none was seen.
        ValueError: If predictions are malformed or not finite; names the sample.
    """

    default_prefix = ""

    def __init__(
        self,
        protocol: str = "maptr",
        thresholds: Sequence[float] | None = None,
        map_spec: Mapping[str, Any] | MapSpec | None = None,
        outfile_prefix: str | None = None,
        collect_device: str = "cpu",
        prefix: str | None = None,
        title: str = "Chamfer AP",
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        self.protocol = get_protocol(protocol, thresholds)
        self.map_spec = None if map_spec is None else MapSpec.from_config(map_spec)
        self.outfile_prefix = outfile_prefix
        self.title = title
        self._size: int | None = None
        self.display: dict[str, Any] | None = None
        self.model_display: dict[str, Any] | None = None

    def process(self, data_batch: Any, data_samples: Sequence[Any]) -> None:
        """Match the predictions of a batch with its ground truth.

        Every process matches what it saw, so that little is left to do where all of it meets.

        Args:
            data_batch: Not used.
            data_samples: Dicts (or data samples) with the keys named above.
        """
        for sample in data_samples:
            sample = sample if isinstance(sample, Mapping) else sample.to_dict()
            token = sample["sample_token"]
            classes = self._spec_for(token, sample.get("map_spec")).classes
            pred = {key: to_numpy(sample["pred_instances"][key]) for key in ("points", "labels", "scores")}
            truth = prepare_ground_truth(sample["polylines"], self.protocol, token)
            matches = match_maps([{"sample_token": token, **pred}], [truth], classes, self.protocol)
            kept = {"token": token, "split": sample.get("split"), "matches": matches}
            self.results.append(kept if self.outfile_prefix is None else {**kept, "pred": pred})

    def evaluate(self, size: int) -> dict:
        """Score everything that all processes saw.

        Args:
            size: Number of samples of the data set; a smaller number of them is warned about.

        Returns:
            Metric name to value, the same in every process.
        """
        self._size = size
        return super().evaluate(sys.maxsize)

    def compute_metrics(self, results: list) -> dict:
        """Score gathered results; the first of several with the same token counts.

        Args:
            results: What :meth:`process` kept, of all processes.

        Returns:
            Metric name to value.
        """
        unique: dict[str, dict[str, Any]] = {}
        for result in results:
            unique.setdefault(result["token"], result)
        if not unique or self.map_spec is None:
            raise MapLLaVAError("VectorMapMetric saw no sample: is the validation set empty?")
        if self._size is not None and len(unique) < self._size:
            text = f"VectorMapMetric: {len(unique)} distinct samples scored, the data set has {self._size}"
            print_log(text, logger="current", level=logging.WARNING)
        matches = join([result["matches"] for result in unique.values()])
        score, split = score_of(matches), self._split(list(unique.values()))
        version = (self.dataset_meta or {}).get("version")
        where = data_name(split, version)
        display = display_of_matches(matches, where)
        self.display = display_to_json(display)
        print_log("\n" + score_table(score, where, self.title), logger="current")
        if self.outfile_prefix is not None:
            predicted = {token: r["pred"] for token, r in unique.items()}
            told = told_of(display_of_model(self.model_display, matches.class_names) or display, where)
            self._write(MapResults(self.map_spec, split, predicted, version, display=told))
        return metric_values(score)

    def _spec_for(self, token: str, config: Any) -> MapSpec:
        """The specification that a sample is scored under, which is that of all of them."""
        spec = None if config is None else MapSpec.from_config(config)
        self.map_spec = known = self.map_spec or spec
        if known is None:
            raise MapLLaVAError(
                f"VectorMapMetric.map_spec is missing, and sample {token} carries none either"
            )
        if spec is not None and spec != known:
            raise MapLLaVAError(f"sample {token} is a map of {spec}, but VectorMapMetric scores {known}")
        return known

    def _split(self, results: list[dict[str, Any]]) -> str:
        names = {str(r["split"]) for r in results if r["split"] is not None}
        return "+".join(sorted(names)) or str((self.dataset_meta or {}).get("split", "unknown"))

    def _write(self, results: MapResults) -> None:
        path = save_results(f"{self.outfile_prefix}.results.json", results)
        print_log(f"results of {len(results.results)} samples written to {path}", logger="current")
