import numpy as np
import pytest

from mapllava.evaluation.functional import (
    average_precision,
    chamfer_distance,
    found_lines,
    kept_predictions,
    match_maps,
    nearest_distances,
    place_in,
    precision_recall,
    rates_by_distance,
    rates_by_group,
)
from mapllava.geometry import arc_length, resample

NAMES = ("divider", "boundary")
NUM_SAMPLES = 12


@pytest.fixture(scope="module")
def maps():
    """Samples of two classes, lines that run along the car, predictions beside them at random."""
    rng = np.random.default_rng(3)
    predictions, truth = [], []
    for _ in range(NUM_SAMPLES):
        lines, near, scores = [], [], []
        for x in (-9.0, -3.0, 3.0, 9.0)[: rng.integers(1, 5)]:
            low = rng.uniform(-25, 10)
            lines.append(np.array([[x, low], [x + rng.uniform(-1, 1), low + rng.uniform(4, 15)]]))
            for _ in range(rng.integers(0, 4)):
                near.append(lines[-1] + rng.normal(size=2) * 0.7)
                scores.append(rng.random())
        labels = rng.integers(0, 2, len(lines))
        truth.append({"points": lines, "labels": labels})
        guess = rng.integers(0, 2, len(near))
        predictions.append({"points": near, "labels": guess, "scores": np.array(scores)})
    return predictions, truth


@pytest.fixture(scope="module")
def matches(maps):
    return match_maps(*maps, NAMES)


CUTS = np.array([0.3, 0.5])


def plain_pairs(maps, threshold):
    """The pairs of the drawn map, line by line: (sample, place of prediction, place of truth, metres)."""
    out = []
    for sample, (pred, true) in enumerate(zip(*maps, strict=True)):
        taken = set()
        for k in sorted(range(len(pred["points"])), key=lambda k: -pred["scores"][k]):
            same = [g for g, label in enumerate(true["labels"]) if label == pred["labels"][k]]
            near = [(chamfer_distance(pred["points"][k], true["points"][g]), g) for g in same]
            if pred["scores"][k] < CUTS[pred["labels"][k]] or not near:
                continue
            gap, g = min(near)
            if gap <= threshold and g not in taken:
                taken.add(g)
                out.append((sample, k, g, gap))
    return out


def drawn(maps):
    return [
        (sample, k)
        for sample, pred in enumerate(maps[0])
        for k in range(len(pred["points"]))
        if pred["scores"][k] >= CUTS[pred["labels"][k]]
    ]


@pytest.mark.parametrize("row", [0, 1, 2])
def test_rates_of_groups_are_those_of_counting(maps, matches, row):
    pairs = plain_pairs(maps, matches.protocol.thresholds[row])
    assert len(pairs) > 3
    kept = kept_predictions(matches, CUTS)
    rates = rates_by_group(matches, matches.gt_samples, matches.samples, NUM_SAMPLES, kept)
    for sample in range(NUM_SAMPLES):
        mine = [pair for pair in pairs if pair[0] == sample]
        num_gt, num_pred = len(maps[1][sample]["points"]), sum(s == sample for s, _ in drawn(maps))
        assert rates["num_gt"][sample] == num_gt
        assert rates["num_pred"][sample] == num_pred
        assert rates["recall"][row, sample] == pytest.approx(len(mine) / num_gt)
        assert rates["f1"][row, sample] == pytest.approx(2 * len(mine) / (num_gt + num_pred))
        if num_pred:
            assert rates["precision"][row, sample] == pytest.approx(len(mine) / num_pred)
        if mine:
            assert rates["error"][row, sample] == pytest.approx(np.mean([p[3] for p in mine]), abs=1e-6)
        else:
            assert np.isnan(rates["error"][row, sample])


def test_a_group_of_minus_one_is_left_out(matches):
    kept = kept_predictions(matches, CUTS)
    nowhere = np.full(len(matches.gt_labels), -1), np.full(len(matches.labels), -1)
    rates = rates_by_group(matches, *nowhere, 2, kept)
    assert rates["num_gt"].tolist() == [0, 0]
    assert np.isnan(rates["recall"]).all()
    assert np.isnan(rates["f1"]).all()


def test_the_cut_is_by_class_and_nan_keeps_nothing(matches):
    kept = kept_predictions(matches, [np.nan, 0.0])
    np.testing.assert_array_equal(kept, matches.labels == 1)


def test_found_lines_are_those_with_a_pair(maps, matches):
    pairs = plain_pairs(maps, 1.0)
    starts = np.searchsorted(matches.gt_samples, np.arange(NUM_SAMPLES))
    expected = np.zeros(len(matches.gt_labels), dtype=bool)
    expected[[starts[sample] + g for sample, _, g, _ in pairs]] = True
    found = found_lines(matches, kept_predictions(matches, CUTS))
    np.testing.assert_array_equal(found[1], expected)


def test_rates_by_distance_are_those_of_walking_along_every_line(maps, matches):
    edges = np.array([0.0, 8.0, 16.0, 40.0])
    truth = [line for sample in maps[1] for line in sample["points"]]
    pred = [line for sample in maps[0] for line in sample["points"]]
    rates = rates_by_distance(matches, truth, pred, edges, kept_predictions(matches, CUTS))
    pairs = {(s, g): k for s, k, g, _ in plain_pairs(maps, 1.0)}
    metres, found, off = np.zeros(3), np.zeros(3), np.zeros(3)
    for sample, true in enumerate(maps[1]):
        for g, line in enumerate(true["points"]):
            step = arc_length(line) / 100
            hit = pairs.get((sample, g))
            other = None if hit is None else resample(maps[0][sample]["points"][hit], 100)
            for point in resample(line, 100):
                ring = next(k for k in range(3) if edges[k] <= np.hypot(*point) < edges[k + 1])
                metres[ring] += step
                if other is not None:
                    found[ring] += step
                    off[ring] += step * np.hypot(*(other - point).T).min()
    np.testing.assert_allclose(rates["num_gt"], metres)
    np.testing.assert_allclose(rates["recall"][1], found / metres)
    np.testing.assert_allclose(rates["error"][1], off / found)
    right = np.nansum(rates["precision"][1] * rates["num_pred"])
    lengths = [arc_length(maps[0][s]["points"][k]) for (s, _), k in pairs.items()]
    assert right == pytest.approx(sum(lengths))


def test_nearest_distances_are_the_plain_ones():
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(300, 7, 2)), rng.normal(size=(300, 5, 2))
    gaps = np.linalg.norm(first[:, :, None] - second[:, None], axis=-1).min(axis=2)
    np.testing.assert_allclose(nearest_distances(first, second), gaps)


def test_a_value_on_an_edge_belongs_above_it():
    assert place_in(np.array([-1.0, 0.0, 4.9, 5.0, 10.0]), np.array([0.0, 5.0, 10.0])).tolist() == [
        -1,
        0,
        0,
        1,
        -1,
    ]


def test_the_area_under_the_curve_is_the_ap(matches):
    scores, found = matches.of_class(0)
    num_gt = int(matches.num_gt[0])
    curve = precision_recall(scores, found, num_gt)
    assert (np.diff(curve["score"]) <= 0).all()
    assert (curve["envelope"] >= curve["precision"]).all()
    for row, ap in enumerate(average_precision(scores, found, num_gt)):
        area, at = 0.0, 0.0
        for recall in curve["recall"][row]:
            if recall > at:
                best = max(
                    p
                    for r, p in zip(curve["recall"][row], curve["precision"][row], strict=True)
                    if r >= recall
                )
                area, at = area + (recall - at) * best, recall
        assert ap == pytest.approx(area)
