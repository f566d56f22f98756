import json
import logging

import numpy as np
import pytest
import torch
from mmengine.evaluator import Evaluator
from mmengine.logging import MMLogger
from mmengine.structures import InstanceData

from mapllava.errors import MapLLaVAError
from mapllava.evaluation import VectorMapMetric, load_results
from mapllava.registry import METRICS
from mapllava.structures import MapDataSample, MapSpec

SPEC = {
    "frame": "lidar",
    "roi": [-15.0, -30.0, 15.0, 30.0],
    "classes": ["divider", "ped_crossing", "boundary"],
}


def line(x, label=0):
    return {"label": label, "points": np.array([[x, 0.0], [x, 10.0]]), "closed": False}


def data_sample(token, gt, pred, split="val", spec=SPEC):
    """A packed sample whose predictions are (x, score) dividers."""
    meta = {"sample_token": token, "split": split, "map_spec": spec, "polylines": gt}
    sample = MapDataSample(metainfo=meta)
    points = [np.linspace(*line(x)["points"], 20) for x, _ in pred]
    sample.pred_instances = InstanceData(
        points=torch.tensor(np.array(points).reshape(-1, 20, 2), dtype=torch.float32),
        scores=torch.tensor([score for _, score in pred]),
        labels=torch.zeros(len(pred), dtype=torch.int64),
    )
    return sample


def run(metric, samples, size=None):
    evaluator = Evaluator([metric])
    evaluator.process(samples)
    return evaluator.evaluate(len(samples) if size is None else size)


@pytest.fixture
def log(request):
    logger = MMLogger.get_instance(f"metric-{request.node.name}", logger_name="mapllava")
    lines = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())
    logger.addHandler(handler)
    return lines


def test_values_and_names_through_the_framework():
    metric = METRICS.build({"type": "VectorMapMetric", "map_spec": SPEC})
    samples = [
        data_sample("a", [line(0.0), line(0.0, label=2)], [(0.7, 0.9)]),
        data_sample("b", [line(0.0)], [(0.0, 0.8)]),
    ]
    values = run(metric, samples)
    assert values["AP_divider@0.5"] == pytest.approx(0.25)
    assert values["AP_divider@1"] == values["AP_divider@1.5"] == 1.0
    assert values["AP_divider"] == pytest.approx(2.25 / 3)
    assert values["AP_ped_crossing"] == values["AP_boundary"] == 0.0
    assert values["mAP"] == pytest.approx(0.25)
    assert all(isinstance(value, float) for value in values.values())


def test_prefix_and_other_thresholds():
    values = run(
        VectorMapMetric(prefix="val", thresholds=[0.25]), [data_sample("a", [line(0)], [(0.3, 0.5)])]
    )
    assert values == {"val/mAP": 0, "val/AP_divider": 0, "val/AP_ped_crossing": 0, "val/AP_boundary": 0} | {
        f"val/AP_{name}@0.25": 0 for name in SPEC["classes"]
    }


def test_table_names_split_protocol_counts_and_the_class_without_ground_truth(log):
    run(
        VectorMapMetric(), [data_sample("a", [line(0.0), line(5.0, label=2)], [(0.0, 0.5)], split="mini_val")]
    )
    text = "\n".join(log)
    assert "split mini_val, protocol maptr (0.5 m, 1 m, 1.5 m), 1 samples, 2 ground-truth lines" in text
    rows = {
        row.split("┃")[0].split("│")[1].split(" (")[0].strip(): row for row in text.splitlines() if "│" in row
    }
    assert "no ground truth: counts 0" in rows["ped_crossing"]
    assert "no ground truth" not in rows["boundary"] + rows["divider"]
    assert rows["divider"].count("100.0") == 4
    assert rows["mAP"].count("33.3") == 4


def test_repeated_tokens_count_once_wherever_they_stand():
    samples = [data_sample("a", [line(0.0)], [(0.0, 0.9)])]
    samples += [data_sample("a", [line(0.0)], [(9.0, 0.95)]), data_sample("b", [line(0.0)], [(0.0, 0.9)])]
    assert run(VectorMapMetric(), samples, size=2)["AP_divider"] == 1.0


def test_uneven_shards_padded_by_the_sampler_lose_no_sample(log):
    # What two processes hand to compute_metrics for 3 samples: the padded one may stand anywhere.
    first, second = VectorMapMetric(), VectorMapMetric()
    good = {token: data_sample(token, [line(0.0)], [(0.0, 0.9)]).to_dict() for token in "abc"}
    first.process(None, [good["a"], good["b"]])
    second.process(None, [good["a"], good["c"]])
    first.results += second.results
    values = first.evaluate(3)
    assert values["AP_divider"] == 1.0
    assert any("3 samples, 3 ground-truth lines" in text for text in log)
    assert not any("distinct samples" in text for text in log)


def test_missing_samples_are_warned_about(log):
    run(VectorMapMetric(), [data_sample("a", [line(0.0)], [(0.0, 0.9)])], size=4)
    assert any("1 distinct samples scored, the data set has 4" in text for text in log)


def test_streammapnet_simplifies_the_ground_truth():
    # A spike of 0.19 m, in a line of 1 m: simplified away, the straight prediction is exact.
    spike = {"label": 0, "points": np.array([[0, 0], [0.19, 0.5], [0, 1.0]]), "closed": False}
    sample = data_sample("a", [spike], [])
    sample.pred_instances = InstanceData(
        points=torch.tensor([[[0.0, 0.0], [0.0, 1.0]]]), scores=torch.ones(1), labels=torch.zeros(1).long()
    )
    assert run(VectorMapMetric("streammapnet", thresholds=[0.01]), [sample])["AP_divider"] == 1.0
    assert run(VectorMapMetric("maptr", thresholds=[0.01]), [sample])["AP_divider"] == 0.0


def test_results_file_scores_like_the_metric(tmp_path):
    metric = VectorMapMetric(outfile_prefix=str(tmp_path / "out" / "run"))
    metric.dataset_meta = {"version": "v1.0-mini"}
    run(metric, [data_sample("a", [line(0.0)], [(0.7, 0.9), (3.0, 0.1)]), data_sample("b", [], [])])
    results = load_results(tmp_path / "out" / "run.results.json", MapSpec.from_config(SPEC))
    assert (results.split, results.version, list(results.results)) == ("val", "v1.0-mini", ["a", "b"])
    assert len(results.results["a"]["points"]) == 2
    assert json.loads((tmp_path / "out" / "run.results.json").read_text())["frame"] == "lidar"


@pytest.mark.parametrize("known", [True, False])
def test_a_results_file_says_who_chose_its_thresholds(tmp_path, known):
    metric = VectorMapMetric(outfile_prefix=str(tmp_path / "run"))
    told = {"thresholds": dict.fromkeys(SPEC["classes"], 0.25), "source": "best F1 at 1 m on other data"}
    metric.model_display = told if known else None
    run(metric, [data_sample("a", [line(0.0)], [(0.1, 0.9)])])
    display = json.loads((tmp_path / "run.results.json").read_text())["display"]
    assert (display == told) is known
    assert ("on val, these samples themselves" in display["source"]) is not known


def test_half_precision_predictions():
    sample = data_sample("a", [line(0.0)], [(0.25, 0.9)])
    sample.pred_instances = InstanceData(
        **{
            key: value.bfloat16() if value.is_floating_point() else value
            for key, value in sample.pred_instances.items()
        }
    )
    assert run(VectorMapMetric(), [sample])["AP_divider"] == 1.0


def test_a_map_of_another_frame_or_region_is_refused():
    other = {**SPEC, "roi": [-25.0, -50.0, 25.0, 50.0]}
    with pytest.raises(MapLLaVAError, match="sample b is a map of 100x50 m"):
        run(VectorMapMetric(map_spec=SPEC), [data_sample("b", [], [], spec=other)])


def test_not_finite_predictions_name_the_sample():
    with pytest.raises(ValueError, match="prediction of sample b: line 0"):
        run(VectorMapMetric(), [data_sample("b", [], [(float("nan"), 0.5)])])


def test_nothing_seen_is_an_error():
    with pytest.raises(MapLLaVAError, match="saw no sample"):
        VectorMapMetric(map_spec=SPEC).evaluate(3)
