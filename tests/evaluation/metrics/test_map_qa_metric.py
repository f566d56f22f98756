import pytest
import torch
from mmengine.evaluator import Evaluator
from mmengine.structures import InstanceData

from mapllava.errors import MapLLaVAError
from mapllava.evaluation.questions import load_answers, load_questions, save_questions
from mapllava.registry import METRICS
from mapllava.structures import MapDataSample, MapSpec
from tests.evaluation.questions.small_town import Reader, questions_about, town

CACHE = town(3, 2)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return save_questions(tmp_path_factory.mktemp("asked") / "val.questions.json", questions_about(CACHE, 3))


def sample(entry, split="val"):
    """A packed sample whose prediction is the truth, each line of five points."""
    lines = entry["polylines"]
    packed = MapDataSample(
        metainfo={
            "sample_token": entry["sample_token"],
            "split": split,
            "map_spec": MapSpec().to_config(),
            "polylines": lines,
        }
    )
    points = torch.zeros(len(lines), 5, 2, dtype=torch.float64)
    for row, line in zip(points, lines, strict=True):
        ends = torch.from_numpy(line["points"])
        row[:] = ends if len(ends) == 5 else ends[0] + torch.linspace(0, 1, 5)[:, None] * (ends[1] - ends[0])
    packed.pred_instances = InstanceData(
        points=points,
        scores=torch.linspace(0.9, 0.8, len(lines)),
        labels=torch.tensor([line["label"] for line in lines]),
    )
    return packed


def run(metric, entries, split="val"):
    evaluator = Evaluator([metric])
    evaluator.process([sample(entry, split) for entry in entries])
    return evaluator.evaluate(len(entries))


def test_a_perfect_map_answers_all_and_writes_its_answers(path, tmp_path):
    metric = METRICS.build(
        {
            "type": "MapQAMetric",
            "questions": str(path),
            "outfile_prefix": str(tmp_path / "run"),
            "num_draws": 0,
        }
    )
    values = run(metric, CACHE["data_list"])
    assert values["QA/mean"] == 1
    assert values["QA/consistent"] == 1
    assert values["QA/draw_outside"] == 0
    questions = load_questions(path)
    assert len(load_answers(tmp_path / "run.answers.json", questions).answers) == len(questions.questions)


def test_a_parser_that_does_not_understand_answers_nothing(path):
    metric = METRICS.build(
        {"type": "MapQAMetric", "questions": str(path), "num_draws": 0, "parser": Reader()}
    )
    assert run(metric, CACHE["data_list"])["QA/mean"] == 0


def test_samples_that_are_not_seen_are_not_asked_about(path, tmp_path):
    prefix = tmp_path / "part"
    metric = METRICS.build({"type": "MapQAMetric", "questions": str(path), "outfile_prefix": str(prefix)})
    assert run(metric, CACHE["data_list"][:3])["QA/mean"] == 1
    assert not list(tmp_path.glob("part*"))


def test_another_split_is_refused(path):
    with pytest.raises(MapLLaVAError, match="sample t0 is of split train"):
        run(METRICS.build({"type": "MapQAMetric", "questions": str(path)}), CACHE["data_list"], "train")
