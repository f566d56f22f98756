"""What holds for any maps: parity with the plain pair-by-pair score, and the ends of the scale."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.naive_metric import chamfer, naive_average_precision, resampled
from mapllava.evaluation.functional import chamfer_average_precision, chamfer_distance, join, match_maps

NAMES = ("a", "b")
# The same examples every time: of a line a centimetre long, the last digit of resampling decides what is near
seeds = st.integers(0, 2**32 - 1)


def some_line(rng, size):
    """A line of one of the kinds that decide differently: collinear, without length, open, closed."""
    count, kind = rng.integers(2, 5), rng.integers(4)
    if kind == 0:
        points = np.column_stack([np.zeros(count), rng.uniform(-2, 2, count)]) * size
    elif kind == 1:
        points = np.repeat(rng.uniform(-1, 1, (1, 2)), count, axis=0)
    elif kind == 2:
        points = rng.normal(size=(count, 2)).cumsum(axis=0) * size
    else:
        points = rng.normal(size=(count + 2, 2)) * size
        points = np.vstack([points, points[:1]])
    return points + rng.normal(size=2) * 0.5


def some_map(rng, size, most):
    count = rng.integers(0, most)
    return {
        "points": [some_line(rng, size) for _ in range(count)],
        "labels": rng.integers(0, 2, count),
        "scores": rng.random(count),
    }


@settings(max_examples=20, deadline=None, derandomize=True)
@given(seeds, st.sampled_from([0.05, 0.3, 1.0, 4.0]), st.integers(1, 4))
def test_equals_the_score_written_pair_by_pair(seed, size, num_samples):
    rng = np.random.default_rng(seed)
    preds = [some_map(rng, size, 8) for _ in range(num_samples)]
    truth = [some_map(rng, size, 5) for _ in range(num_samples)]
    plain = naive_average_precision(preds, truth, 2)
    np.testing.assert_allclose(chamfer_average_precision(preds, truth, NAMES)["ap"], plain, atol=1e-9)


@settings(max_examples=20, deadline=None, derandomize=True)
@given(seeds, st.integers(1, 6))
def test_of_equal_lines_the_first_is_the_nearest(seed, num_samples):
    # Maps do hold a line twice, as road and as lane divider; then only one prediction may find it.
    rng = np.random.default_rng(seed)
    preds, truth = [], []
    for _ in range(num_samples):
        line = rng.uniform(-1, 3, (rng.integers(2, 9), 2)).cumsum(axis=0)
        near = line + rng.normal(0, 0.3, 2)
        truth.append({"points": [line] * 3, "labels": [0] * 3})
        preds.append({"points": [near, near, near, line[::-1]], "labels": [0] * 4, "scores": rng.random(4)})
    got = chamfer_average_precision(preds, truth, NAMES)["ap"]
    np.testing.assert_allclose(got, naive_average_precision(preds, truth, 2), atol=1e-9)
    assert got.max() <= 1 / 3


@settings(max_examples=30, deadline=None, derandomize=True)
@given(seeds, st.integers(1, 90), st.sampled_from(["maptr", "strict", "far", "streammapnet"]))
def test_a_perfect_detector_scores_one_at_any_size(seed, num_samples, protocol):
    # Lines of a class keep clear of each other: of two equal ones only one could be found.
    rng = np.random.default_rng(seed)
    truth = []
    for _ in range(num_samples):
        place = rng.permutation(6)[: rng.integers(1, 7)]
        lines = [np.array([5.0 * k, 0.0]) + rng.uniform(0.1, 1, (4, 2)).cumsum(axis=0) for k in place]
        truth.append({"points": lines, "labels": rng.integers(0, 2, len(lines))})
    preds = [{**sample, "scores": rng.random(len(sample["labels"]))} for sample in truth]
    score = chamfer_average_precision(preds, truth, NAMES, protocol)
    assert (score["ap"][:, score["num_gt"] > 0] == 1.0).all()


@settings(max_examples=30, deadline=None, derandomize=True)
@given(seeds, st.sampled_from([0.3, 4.0]))
def test_worse_predictions_appended_never_lower_the_score(seed, size):
    rng = np.random.default_rng(seed)
    truth = [some_map(rng, size, 5) for _ in range(3)]
    preds = [some_map(rng, size, 5) for _ in range(3)]
    more = [some_map(rng, size, 5) for _ in range(3)]
    both = [
        {
            "points": p["points"] + m["points"],
            "labels": np.concatenate([p["labels"], m["labels"]]),
            "scores": np.concatenate([p["scores"], m["scores"] - 2]),
        }
        for p, m in zip(preds, more, strict=True)
    ]
    few, many = (chamfer_average_precision(p, truth, NAMES)["ap"] for p in (preds, both))
    assert (many >= few - 1e-12).all()


@settings(max_examples=30, deadline=None, derandomize=True)
@given(seeds, st.sampled_from([0.3, 4.0]))
def test_distance_is_symmetric_and_equals_the_plain_one(seed, size):
    rng = np.random.default_rng(seed)
    first, second = some_line(rng, size), some_line(rng, size)
    there = chamfer_distance(first, second)
    assert there == pytest.approx(chamfer_distance(second, first))
    assert chamfer_distance(first, first) < 1e-12
    plain = chamfer(resampled(first), resampled(second))
    assert there == pytest.approx(plain) or plain == np.inf


@settings(max_examples=20, deadline=None, derandomize=True)
@given(seeds, st.integers(2, 5))
def test_samples_matched_one_by_one_and_joined_are_those_matched_at_once(seed, num_samples):
    rng = np.random.default_rng(seed)
    preds = [some_map(rng, 1.0, 8) for _ in range(num_samples)]
    truth = [some_map(rng, 1.0, 5) for _ in range(num_samples)]
    whole = match_maps(preds, truth, NAMES)
    parts = [match_maps([pred], [true], NAMES) for pred, true in zip(preds, truth, strict=True)]
    joined = join(parts)
    for field in dataclasses.fields(whole):
        value, other = getattr(whole, field.name), getattr(joined, field.name)
        assert np.array_equal(value, other), field.name
    with pytest.raises(ValueError, match="of 2 protocols or lists of classes"):
        join([parts[0], match_maps(preds, truth, NAMES, thresholds=[1.0])])
