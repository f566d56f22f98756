import numpy as np
import pytest

from mapllava.errors import MapLLaVAError
from mapllava.evaluation import chamfer_average_precision
from mapllava.evaluation.constant_map import fit_constant_map
from mapllava.evaluation.functional import get_protocol
from mapllava.evaluation.scoring import prepare_ground_truth

NAMES = ("divider", "ped_crossing", "boundary")


def street(rng, jitter=0.3):
    """Boundaries at -6 and 6 m and a divider at 0, all jittered; a stray crossing anywhere."""
    rows = [(2, -6.0), (0, 0.0), (2, 6.0)]
    lines = [
        {
            "label": label,
            "points": np.array([[x + rng.normal() * jitter, y] for y in (-30, 0, 30)]),
            "closed": False,
        }
        for label, x in rows
    ]
    x, y = rng.uniform(-12, 12), rng.uniform(-25, 25)
    ring = np.array([[x, y], [x + 3, y], [x + 3, y + 4], [x, y + 4], [x, y]])
    return [*lines[: rng.integers(2, 4)], {"label": 1, "points": ring, "closed": True}]


def score(constant, samples):
    truth = [prepare_ground_truth(s, get_protocol("maptr"), str(k)) for k, s in enumerate(samples)]
    maps = constant.predict(str(k) for k in range(len(samples)))
    return chamfer_average_precision(list(maps.values()), truth, NAMES)


@pytest.fixture(scope="module")
def streets():
    rng = np.random.default_rng(0)
    return [street(rng) for _ in range(150)], [street(rng) for _ in range(60)]


def test_regular_streets_are_found_without_looking(streets):
    train, val = streets
    result = score(fit_constant_map(train, 3, max_lines=12), val)
    assert result["ap"][2, 0] > 0.9
    assert result["ap"][2, 2] > 0.6
    assert result["ap"][:, 1].max() < 0.2


def test_beats_a_map_copied_from_any_one_sample(streets):
    train, val = streets
    fitted = score(fit_constant_map(train, 3), val)["mAP"]
    truth = [prepare_ground_truth(s, get_protocol("maptr"), str(k)) for k, s in enumerate(val)]
    copies = []
    for sample in train[:10]:
        one = prepare_ground_truth(sample, get_protocol("maptr"), "copy")
        one["scores"] = np.linspace(1.0, 0.5, len(one["labels"]))
        copies.append(chamfer_average_precision([one] * len(val), truth, NAMES)["mAP"])
    assert fitted > max(copies)
    assert fitted > 1.05 * np.mean(copies)


def test_form_of_the_map(streets):
    constant = fit_constant_map(streets[0], 3, max_lines=7)
    assert len(constant.points) == len(constant.labels) == len(constant.scores) == 7
    assert all(line.shape == (20, 2) for line in constant.points)
    assert set(constant.labels) == {0, 1, 2}
    assert (np.diff(fit_constant_map(streets[0], 3).scores) < 0).all()
    assert 0.5 < constant.scores[0] <= 1.0


def test_scores_are_the_precision_on_the_training_set(streets):
    train, _ = streets
    constant = fit_constant_map(train, 3, max_lines=1, max_samples=len(train))
    result = score(constant, train)
    label = constant.labels[0]
    # One line: recall times precision at each threshold, so the precision can be read back.
    hits = np.sqrt(result["ap"][:, label] * result["num_gt"][label] / len(train))
    assert constant.scores[0] == pytest.approx(hits.mean(), abs=0.05)


def test_same_seed_same_map(streets):
    one, two = (fit_constant_map(streets[0], 3, num_candidates=40, seed=4) for _ in range(2))
    np.testing.assert_array_equal(np.stack(one.points), np.stack(two.points))
    assert one.scores.tolist() == two.scores.tolist()


def test_class_without_lines_gets_none_and_no_lines_at_all_is_an_error(streets):
    dividers = [[line for line in sample if line["label"] == 0] for sample in streets[0]]
    assert set(fit_constant_map(dividers, 3).labels) == {0}
    with pytest.raises(MapLLaVAError, match="hold no line"):
        fit_constant_map([[], []], 3)


def test_lines_are_averaged_over_what_they_find():
    # A copy of either kind finds half of the lines at 0.5 m, their mean finds all of them.
    sides = [
        [{"label": 0, "points": np.array([[x, 0.0], [x, 20.0]])[::turn], "closed": False}]
        for x in (-0.4, 0.4)
        for turn in (1, -1)
    ]
    constant = fit_constant_map(sides * 3, 1)
    assert np.abs(constant.points[0][:, 0]).max() < 1e-9
    assert constant.scores[0] == pytest.approx(1.0)


def test_one_line_finds_one_line_of_a_sample():
    pair = [{"label": 0, "points": np.array([[x, 0.0], [x, 20.0]]), "closed": False} for x in (0.0, 0.8)]
    constant = fit_constant_map([pair] * 5, 1)
    assert len(constant.points) == 2
    assert constant.scores == pytest.approx([1.0, 1.0], abs=1e-6)
