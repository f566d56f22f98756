"""Pictures of what a model predicts, while it trains and when it is tested."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.hooks import Hook
from mmengine.runner import IterBasedTrainLoop, Runner

from mapllava.engine.runner.run_state import built_loops
from mapllava.registry import HOOKS
from mapllava.structures.map_data_sample import MapDataSample


@HOOKS.register_module()
class MapVisualizationHook(Hook):
    """Writes PNG pictures: cameras, ground truth and prediction of a few samples.

    While training, every ``interval``-th validation writes to ``pictures/epoch_N`` (``iter_N``
    under iteration-based loops) of the run folder, or of ``out_dir``. Testing writes straight to
    ``out_dir``, and nothing without one. The samples are spread evenly over the data set, always
    the same ones; their pictures carry the score of the whole set.

    Args:
        num_samples: Pictures each time; None draws every sample, as it comes and without a score.
        interval: In epochs, or in validations where training counts iterations.
        out_dir: Folder; None takes the run folder.
        score_thr: Lowest score drawn: a number, or a dict with ``thresholds`` per class and their ``source``;
            None takes what the metric found best for showing on this very set, or else 0.3, and says which.
            Drawing only: scores cut nothing.

    Raises:
        ValueError: If ``num_samples`` or ``interval`` is below 1.
    """

    priority = "LOW"

    def __init__(
        self,
        num_samples: int | None = 8,
        interval: int = 1,
        out_dir: str | None = None,
        score_thr: float | dict[str, Any] | None = None,
    ) -> None:
        if interval < 1 or (num_samples is not None and num_samples < 1):
            raise ValueError(f"num_samples is {num_samples}, interval {interval}: both must be at least 1")
        self.num_samples = num_samples
        self.interval = interval
        self.out_dir = None if out_dir is None else Path(out_dir)
        self.score_thr = score_thr
        self._validations = 0
        self._folder: Path | None = None
        self._chosen: set[int] = set()
        self._kept: dict[int, tuple[MapDataSample, Any]] = {}

    def before_val_epoch(self, runner: Runner) -> None:
        """Decide whether, where and which samples this validation draws."""
        self._validations += 1
        by_iter = isinstance(built_loops(runner).get("train"), IterBasedTrainLoop)
        due = (self._validations if by_iter else runner.epoch) % self.interval == 0
        step = f"iter_{runner.iter}" if by_iter else f"epoch_{runner.epoch}"
        folder = (self.out_dir or Path(runner.work_dir) / "pictures") / step
        self._begin(runner.val_dataloader.dataset, folder if due else None)

    def before_test_epoch(self, runner: Runner) -> None:
        """Decide which samples to draw."""
        self._begin(runner.test_dataloader.dataset, self.out_dir)

    # of validation and test alike; MMEngine's own hooks override it too
    def _after_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None, mode: str = "train"
    ) -> None:
        """Keep the chosen samples of a batch; the base class calls this in every mode."""
        if mode != "train":
            loader = runner.val_dataloader if mode == "val" else runner.test_dataloader
            self._take(loader, batch_idx, data_batch, outputs or ())

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Draw them, with the score."""
        self._draw_kept(runner, metrics, f"epoch {runner.epoch}", "val")

    def after_test_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Draw them, with the score."""
        self._draw_kept(runner, metrics, "", "test")

    def _begin(self, dataset: Any, folder: Path | None) -> None:
        self._folder = folder
        self._kept = {}
        count = len(dataset)
        number = count if self.num_samples is None else min(self.num_samples, count)
        # The middles of equal stretches: neither always the first sample nor only scene starts.
        self._chosen = {int(k) for k in (np.arange(number) + 0.5) * count / max(number, 1)}

    def _take(self, loader: Any, batch_idx: int, data_batch: Any, outputs: Sequence[MapDataSample]) -> None:
        if self._folder is None:
            return
        for place, sample in enumerate(outputs):
            index = int(sample.metainfo.get("sample_idx", batch_idx * (loader.batch_size or 1) + place))
            if index not in self._chosen:
                continue
            images = _images(data_batch, place)
            if self.num_samples is None:
                self._draw(index, sample, images, "", self.score_thr)
            else:
                self._kept[index] = (sample.cpu(), images)

    def _draw_kept(self, runner: Runner, metrics: Mapping[str, float] | None, when: str, mode: str) -> None:
        if self._folder is None:
            return
        least = _shown_by_metric(runner, mode) if self.score_thr is None else self.score_thr
        for index, (sample, images) in sorted(self._kept.items()):
            self._draw(index, sample, images, _score_text(metrics, sample, when), least)
        if self._kept:
            runner.logger.info(f"{len(self._kept)} pictures in {self._folder}")
        self._kept, self._folder = {}, None

    def _draw(self, index: int, sample: MapDataSample, images: Any, score: str, least: Any) -> None:
        meta = sample.metainfo
        parts = [f"{index:05d}", meta.get("scene_name"), str(meta.get("sample_token", ""))[:8]]
        from mapllava.visualization import picture_of, write_picture  # here: it brings in evaluation

        picture = picture_of(sample, images, score_thr=least, score=score)
        if self._folder is not None:
            write_picture(self._folder / ("_".join(str(p) for p in parts if p) + ".png"), picture)


def _shown_by_metric(runner: Runner, mode: str) -> Any:
    """The ``display`` of the loop's metric, as ``VectorMapMetric`` has it; None where none has."""
    evaluator = getattr(built_loops(runner).get(mode), "evaluator", None)
    known = (getattr(metric, "display", None) for metric in getattr(evaluator, "metrics", ()))
    return next((display for display in known if display is not None), None)


def _images(data_batch: Any, place: int) -> Any:
    """The network's images of one sample, if the batch has them."""
    inputs = data_batch.get("inputs") if isinstance(data_batch, Mapping) else None
    return inputs["img"][place] if isinstance(inputs, Mapping) and "img" in inputs else None


def _score_text(metrics: Mapping[str, float] | None, sample: MapDataSample, when: str) -> str:
    value = next((v for k, v in (metrics or {}).items() if k.split("/")[-1] == "mAP"), None)
    if value is None:
        return when
    where = ", ".join(str(part) for part in (sample.metainfo.get("split"), when) if part)
    return f"mAP {100 * value:.1f}" + (f" ({where})" if where else "")
