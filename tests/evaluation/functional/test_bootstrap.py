import numpy as np
import pytest

from mapllava.evaluation.functional import (
    bootstrap_ap,
    bootstrap_interval,
    chamfer_average_precision,
    draw_groups,
    match_maps,
)

NAMES = ("divider", "boundary", "absent")


def city(seed, num_samples=30, spread=0.8):
    rng = np.random.default_rng(seed)
    preds, truth = [], []
    for _ in range(num_samples):
        x = rng.permutation(12)[: rng.integers(0, 5)] * 2.5
        lines = [np.array([[a, 0.0], [a, 10.0]]) for a in x]
        labels = rng.integers(0, 2, len(x))
        truth.append({"points": lines, "labels": labels})
        moved = [line + rng.normal(size=2) * spread for line in lines for _ in range(2)]
        off = np.array([np.abs(m - lines[k // 2]).max() for k, m in enumerate(moved)])
        scores = np.exp(-off) * rng.uniform(0.5, 1, len(moved))
        preds.append({"points": moved, "labels": np.repeat(labels, 2), "scores": scores})
    return preds, truth


def test_a_draw_equals_scoring_the_drawn_samples_anew():
    preds, truth = city(0)
    groups = np.arange(30) // 5
    draws = draw_groups(6, 20, seed=3)
    fast = bootstrap_ap(match_maps(preds, truth, NAMES), groups, draws)
    for ap, counts in zip(fast, draws, strict=True):
        chosen = [k for k in range(30) for _ in range(counts[groups[k]])]
        anew = chamfer_average_precision([preds[k] for k in chosen], [truth[k] for k in chosen], NAMES)
        np.testing.assert_allclose(ap, anew["ap"], atol=1e-12)
    assert len(np.unique(fast[:, 1, 0])) > 10


def test_everything_drawn_once_is_the_score_itself():
    preds, truth = city(1)
    matches = match_maps(preds, truth, NAMES)
    ap = bootstrap_ap(matches, np.arange(30) // 5, np.ones((1, 6), dtype=int))
    np.testing.assert_allclose(ap[0], matches.average_precision(), atol=1e-12)


def test_draws_are_seeded_and_keep_their_number():
    draws = draw_groups(40, 500, seed=1)
    assert (draws.sum(axis=1) == 40).all()
    np.testing.assert_array_equal(draws, draw_groups(40, 500, seed=1))
    assert (draws != draw_groups(40, 500, seed=2)).any()
    assert np.abs(draws.mean(axis=0) - 1).max() < 0.2


def test_a_perfect_map_has_no_doubt():
    _, truth = city(2)
    preds = [{**sample, "scores": np.ones(len(sample["labels"]))} for sample in truth]
    matches = match_maps(preds, truth, NAMES)
    ap = bootstrap_ap(matches, np.arange(30) // 3, draw_groups(10, 50))
    interval = bootstrap_interval(matches.average_precision(), ap)
    assert interval[:, :, :2].tolist() == np.ones((2, 3, 2)).tolist()


@pytest.mark.slow
def test_interval_covers_the_score_of_the_whole_city():
    # Of forty independent sets, most intervals must hold what a very large set scores.
    whole = match_maps(*city(99, 4000), NAMES).average_precision()[:, :2].mean()
    hits, widths = 0, []
    for seed in range(40):
        matches = match_maps(*city(seed, 60), NAMES)
        ap = bootstrap_ap(matches, np.arange(60), draw_groups(60, 200))[:, :, :2].mean(axis=(1, 2))
        low, high = bootstrap_interval(matches.average_precision()[:, :2].mean(), ap)
        hits += low <= whole <= high
        widths.append(high - low)
    assert hits >= 33
    assert max(widths) < 0.25


def test_interval_is_the_central_one_mirrored_at_the_estimate():
    interval = bootstrap_interval(np.array(400.0), np.arange(1001.0))
    assert interval == pytest.approx([2 * 400 - 975, 2 * 400 - 25])
    assert bootstrap_interval(np.array(500.0), np.arange(1001.0), level=0.5) == pytest.approx([250, 750])


def test_draws_without_a_rare_class_are_left_out_of_its_interval_and_of_the_means():
    line, names = np.array([[0.0, 0.0], [0.0, 10.0]]), ("common", "rare", "absent")
    truth = [{"points": [line], "labels": [k == 0]} for k in range(4)]  # scene 0 has the only rare line
    preds = [{**sample, "scores": [0.9]} for sample in truth]
    matches = match_maps(preds, truth, names)
    ap = bootstrap_ap(matches, np.arange(4), np.array([[1, 1, 1, 1], [0, 2, 1, 1], [4, 0, 0, 0]]))
    nan = np.nan
    np.testing.assert_array_equal(ap[:, 0], [[1, 1, 0], [1, nan, 0], [nan, 1, 0]])
    np.testing.assert_array_equal(np.isnan(ap.mean(axis=(1, 2))), [False, True, True])
    # the rare line is found whenever it is there: no doubt about it, where zeros would have spread it
    draws = bootstrap_ap(matches, np.arange(4), draw_groups(4, 300))
    assert np.isnan(draws[:, 0, 1]).mean() == pytest.approx(0.75**4, abs=0.1)
    assert bootstrap_interval(np.array(1.0), draws[:, 0, 1]).tolist() == [1.0, 1.0]
    assert np.isnan(bootstrap_interval(np.array(1.0), np.full(5, nan))).all()


def test_an_interval_need_not_hold_the_estimate():
    assert bootstrap_interval(np.array(0.5), np.linspace(0.6, 0.7, 101), 0.9) == pytest.approx([0.305, 0.395])


@pytest.mark.parametrize(("groups", "draws"), [(1, 10), (5, 0)])
def test_too_few_scenes_or_draws(groups, draws):
    with pytest.raises(ValueError, match="at least 2 scenes and 1 draw"):
        draw_groups(groups, draws)
