"""MMEngine's side of asking: gather maps, answer a question set from them, score, print, write."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log

from mapllava.errors import MapLLaVAError
from mapllava.evaluation.display import display_of_matches
from mapllava.evaluation.functional import match_maps
from mapllava.evaluation.questions import answer_questions, load_questions, save_answers, score_answers
from mapllava.evaluation.questions.report import question_text, question_values
from mapllava.evaluation.results_file import MapResults
from mapllava.evaluation.sample_record import display_of_model
from mapllava.evaluation.scoring import data_name
from mapllava.registry import METRICS, MODELS
from mapllava.structures.frames import MapSpec
from mapllava.structures.map_data_sample import to_numpy
from mapllava.structures.map_elements import Polyline
from mapllava.structures.map_lines import MapLines


@METRICS.register_module()
class MapQAMetric(BaseMetric):
    """Share of the questions of a question set that predicted maps answer right.

    Reads of every sample ``sample_token``, ``polylines`` and ``pred_instances``, as
    :class:`~mapllava.evaluation.metrics.VectorMapMetric` does. Questions about samples that it does not see
    are left out, with a warning.

    Returns ``mean`` (of kinds), each kind, ``majority``, ``consistent``, ``citation_precision``,
    ``citation_recall``, ``draw_mAP`` and ``draw_outside``, in [0, 1], and logs the tables.

    Args:
        questions: File of ``mapllava questions create``.
        parser: Understands the questions: an object with ``parse(texts, classes)``, or the config of one in
            ``MODELS``; None takes the requests that are meant.
        outfile_prefix: Writes ``<outfile_prefix>.answers.json`` where all samples were seen; None for none.
        num_draws: Of the bootstrap over scenes; 0 for no intervals.
        collect_device: ``'cpu'`` or ``'gpu'``: where results of several processes meet.
        prefix: Put before the metrics' names, with a slash.

    Attributes:
        model_display: The ``display`` of the model file that is tested: from which score on a line is there.
            None takes the best F1 on the very samples, which flatters a little.

    Raises:
        MapLLaVAError: If the question set cannot be read, is about another map, or no sample that it asks
            about was seen.
    """

    default_prefix = "QA"

    def __init__(
        self,
        questions: str | Path,
        parser: Any = None,
        outfile_prefix: str | None = None,
        num_draws: int = 1000,
        collect_device: str = "cpu",
        prefix: str | None = None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        self.questions = load_questions(questions)
        self.parser = MODELS.build(parser) if isinstance(parser, Mapping) else parser
        self.outfile_prefix = outfile_prefix
        self.num_draws = num_draws
        self.model_display: dict[str, Any] | None = None

    def process(self, data_batch: Any, data_samples: Sequence[Any]) -> None:
        """Keep prediction and ground truth of a batch.

        Args:
            data_batch: Not used.
            data_samples: Dicts (or data samples) with the keys named above.
        """
        for sample in data_samples:
            sample = sample if isinstance(sample, Mapping) else sample.to_dict()
            self._check(sample)
            pred = {key: to_numpy(sample["pred_instances"][key]) for key in ("points", "labels", "scores")}
            lines = [
                line if isinstance(line, Polyline) else Polyline.from_dict(line)
                for line in sample["polylines"]
            ]
            labels = np.array([line.label for line in lines], dtype=np.int64)
            truth = {"points": [line.points for line in lines], "labels": labels}
            self.results.append({"token": sample["sample_token"], "pred": pred, "truth": truth})

    def evaluate(self, size: int) -> dict:
        """Score what all processes saw; ``size`` is not used, as samples count once by their token."""
        return super().evaluate(sys.maxsize)

    def compute_metrics(self, results: list) -> dict:
        """Answer and score; the first of several results with the same token counts.

        Args:
            results: What :meth:`process` kept, of all processes.

        Returns:
            Metric name to value.
        """
        seen: dict[str, dict[str, Any]] = {}
        for result in results:
            seen.setdefault(result["token"], result)
        whole = self.questions
        asked = tuple(question for question in whole.questions if question.sample_token in seen)
        if not asked:
            raise MapLLaVAError(
                f"MapQAMetric saw none of the samples that {whole.name} is about: use its split"
            )
        if len(asked) < len(whole.questions):
            text = f"MapQAMetric: the samples of {len(asked)} of {len(whole.questions)} questions were seen"
            print_log(text, logger="current", level=logging.WARNING)
        questions = replace(whole, questions=asked)
        predicted = MapResults(whole.map_spec, whole.split, {token: r["pred"] for token, r in seen.items()})
        predicted.display = self._display(seen)
        answers = answer_questions(questions, predicted, self.parser, "MapQAMetric")
        truth = {token: MapLines(r["truth"]["points"], r["truth"]["labels"]) for token, r in seen.items()}
        score = score_answers(questions, answers, truth.__getitem__, predicted, num_draws=self.num_draws)
        print_log("\n" + question_text(score, questions, answers.system), logger="current")
        if self.outfile_prefix is not None and asked == whole.questions:
            path = save_answers(f"{self.outfile_prefix}.answers.json", answers, whole.map_spec.classes)
            print_log(f"answers written to {path}", logger="current")
        return question_values(score)

    def _display(self, seen: Mapping[str, Mapping[str, Any]]) -> Any:
        classes = self.questions.map_spec.classes
        if (known := display_of_model(self.model_display, classes)) is not None:
            return known
        matches = match_maps([r["pred"] for r in seen.values()], [r["truth"] for r in seen.values()], classes)
        where = data_name(self.questions.split, self.questions.version)
        return display_of_matches(matches, where)

    def _check(self, sample: Mapping[str, Any]) -> None:
        config, split = sample.get("map_spec"), sample.get("split")
        spec = None if config is None else MapSpec.from_config(config)
        if spec is not None and spec != self.questions.map_spec:
            raise MapLLaVAError(
                f"sample {sample['sample_token']} is a map of {spec}, but {self.questions.name} is about "
                f"{self.questions.map_spec}: make questions from the GT cache that is validated on"
            )
        if split is not None and split != self.questions.split:
            raise MapLLaVAError(
                f"sample {sample['sample_token']} is of split {split}, but {self.questions.name} is about "
                f"{self.questions.split}: make questions from the GT cache that is validated on"
            )
