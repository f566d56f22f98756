import numpy as np
import pytest

from mapllava.evaluation.functional import chamfer_average_precision, match_maps, matched_chamfer

NAMES = ("divider", "ped_crossing", "boundary")


def upright(x, low=0.0, high=10.0):
    """A straight line along y at x, metres."""
    return np.array([[x, low], [x, high]])


def sample(*lines, scores=None):
    """(label, points) pairs as one sample; scores fall from 0.9 unless given."""
    scores = np.linspace(0.9, 0.1, len(lines)) if scores is None else scores
    return {"points": [p for _, p in lines], "labels": [label for label, _ in lines], "scores": scores}


def divider_ap(preds, gts, **kwargs):
    return chamfer_average_precision(preds, gts, NAMES, **kwargs)["ap"][:, 0].tolist()


def test_thresholds_by_hand():
    score = chamfer_average_precision([sample((0, upright(0.7)))], [sample((0, upright(0.0)))], NAMES)
    assert score["ap"].tolist() == [[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [1.0, 0.0, 0.0]]
    assert score["mAP"] == pytest.approx(2 / 9)
    assert score["num_gt"].tolist() == [1, 0, 0]
    assert (score["protocol"], score["thresholds"], score["num_samples"]) == ("maptr", (0.5, 1.0, 1.5), 1)


def test_thresholds_come_back_in_the_order_given():
    maps = [sample((0, upright(0.7)))], [sample((0, upright(0.0)))], NAMES
    score = chamfer_average_precision(*maps, thresholds=[1.5, 0.3, 0.5, 1])
    assert score["thresholds"] == (1.5, 0.3, 0.5, 1.0)
    assert score["ap"][:, 0].tolist() == [1.0, 0.0, 0.0, 1.0]
    score = chamfer_average_precision(*maps, thresholds=np.array([0.8]))
    assert score["thresholds"] == (0.8,)
    assert score["ap"].tolist() == [[1.0, 0.0, 0.0]]


def test_threshold_itself_counts_as_found():
    assert divider_ap([sample((0, upright(0.5)))], [sample((0, upright(0.0)))]) == [1.0, 1.0, 1.0]


def test_second_prediction_of_a_found_line_is_false():
    preds = [sample((0, upright(0.3)), (0, upright(0.1)), scores=[0.9, 0.8])]
    gts = [sample((0, upright(0.0)), (0, upright(8.0)))]
    assert divider_ap(preds, gts) == [0.5, 0.5, 0.5]


def test_no_second_choice_when_the_nearest_line_is_taken():
    # Both predictions are nearest to the line at 0; the line at 1 lies within 1.5 m, but is not looked at.
    preds = [sample((0, upright(0.0)), (0, upright(0.4)))]
    gts = [sample((0, upright(0.0)), (0, upright(1.0)))]
    assert divider_ap(preds, gts) == [0.5, 0.5, 0.5]


def test_a_miss_does_not_occupy_the_line():
    preds = [sample((0, upright(0.8)), (0, upright(0.1)))]
    assert divider_ap(preds, [sample((0, upright(0.0)))]) == pytest.approx([0.5, 1.0, 1.0])


def test_better_score_wins_whatever_the_input_order():
    preds = [sample((0, upright(0.8)), (0, upright(0.1)), scores=[0.2, 0.7])]
    assert divider_ap(preds, [sample((0, upright(0.0)))]) == [1.0, 1.0, 1.0]


def test_equal_scores_are_served_in_input_order():
    preds = [sample((0, upright(9.0))), sample((0, upright(0.0)))]
    gts = [sample(), sample((0, upright(0.0)))]
    assert divider_ap(preds, gts) == [0.5] * 3
    assert divider_ap(preds[::-1], gts[::-1]) == [1.0] * 3


def test_nothing_matches_across_samples_or_classes():
    line = (0, upright(0.0))
    assert divider_ap([sample(line), sample()], [sample(), sample(line)]) == [0.0] * 3
    assert chamfer_average_precision([sample(line)], [sample((2, line[1]))], NAMES)["mAP"] == 0.0


def test_false_positives_of_a_sample_without_ground_truth_count():
    preds = [sample((0, upright(0.0)), scores=[0.9]), sample((0, upright(0.0)), scores=[0.8])]
    assert divider_ap(preds, [sample(), sample((0, upright(0.0)))]) == [0.5] * 3


@pytest.mark.parametrize(("num_samples", "num_lines"), [(1, 1), (70, 3), (3, 120)])
@pytest.mark.parametrize("protocol", ["maptr", "maptrv2", "streammapnet", "strict", "far"])
def test_ground_truth_as_prediction_scores_exactly_one(num_samples, num_lines, protocol):
    rng = np.random.default_rng(7)
    gts, preds = [], []
    for _ in range(num_samples):
        lines = []
        for k in range(3 * num_lines):
            start = np.array([k // 3 * 0.4, rng.uniform(-20, 0)])
            lines.append((k % 3, start + rng.uniform(0.2, 2, (rng.integers(2, 30), 2)).cumsum(0) * [0.02, 1]))
        gts.append(sample(*lines))
        preds.append(
            sample(*((label, points[::-1]) for label, points in lines), scores=np.full(len(lines), 1e-9))
        )
    score = chamfer_average_precision(preds, gts, NAMES, protocol)
    assert score["mAP"] == 1.0
    assert score["num_pred"].tolist() == [num_samples * num_lines] * 3


def test_predictions_of_one_point_are_dropped_and_zero_length_ones_are_false():
    gts = [sample((0, upright(0.0)))]
    assert (
        divider_ap([sample((0, upright(5.0)[:1]), (0, np.zeros((0, 2))), (0, upright(0.0)))], gts)
        == [1.0] * 3
    )
    assert divider_ap([sample((0, np.zeros((2, 2))), (0, upright(0.0)))], gts) == [0.5] * 3


@pytest.mark.parametrize("far", [1e6, 1e12, 1e18, 1e100, 1e300])
def test_a_line_that_runs_off_is_false_and_harms_no_other(far):
    wild = np.array([[0.0, 0.0], [far, -far], [0.0, far]])
    lines = [(0, upright(0.3)), (0, upright(3.2, -4.0, 7.0))]
    preds = [sample((1, wild), *lines, scores=[0.9, 0.8, 0.7]) for _ in range(3)]
    assert divider_ap(preds, [sample(*lines)] * 3, thresholds=[1e-9]) == [1.0]


def test_a_line_behind_the_prefilter_gives_way_to_the_next():
    # The nearest line continues the prediction end to end (strips apart); the one beside it counts.
    preds = [sample((0, upright(0.0, 0.0, 0.2)))]
    gts = [sample((0, upright(0.0, 0.3, 0.5)), (0, upright(0.6, 0.0, 0.2)))]
    assert divider_ap(preds, gts) == [0.0, 0.5, 0.5]
    assert divider_ap(preds, gts[:1], protocol="streammapnet")[0] == 0.5


def test_points_may_come_as_one_array():
    points = np.stack([upright(0.0), upright(3.0)]).astype(np.float32)
    pred = {"points": points, "labels": np.array([0, 0]), "scores": np.array([0.5, 0.4], dtype=np.float32)}
    assert divider_ap([pred], [sample((0, upright(0.0)), (0, upright(3.0)))]) == [1.0] * 3


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_coordinates_that_are_not_finite_name_the_sample(bad):
    pred = {**sample((0, upright(0.0)), (1, upright(bad))), "sample_token": "abc"}
    with pytest.raises(ValueError, match=r"prediction of sample abc: line 1 .*not finite"):
        chamfer_average_precision([pred], [sample()], NAMES)
    with pytest.raises(ValueError, match=r"ground truth of sample number 1: line 0 .*not finite"):
        chamfer_average_precision([sample(), sample()], [sample(), sample((0, upright(bad)))], NAMES)
    with pytest.raises(ValueError, match="number 0: a score is not finite"):
        chamfer_average_precision([sample((0, upright(0.0)), scores=[bad])], [sample()], NAMES)


def test_what_does_not_fit_is_refused():
    one = sample((0, upright(0.0)))
    with pytest.raises(ValueError, match="1 samples predicted but 2"):
        chamfer_average_precision([one], [one, one], NAMES)
    with pytest.raises(ValueError, match=r"labels \[3\].*0..2"):
        chamfer_average_precision([sample((3, upright(0.0)))], [one], NAMES)
    with pytest.raises(ValueError, match="1 lines, 1 labels, 2 scores"):
        chamfer_average_precision([{**one, "scores": [0.1, 0.2]}], [one], NAMES)
    with pytest.raises(ValueError, match=r"shape \(2, 3\)"):
        chamfer_average_precision([sample((0, np.zeros((2, 3))))], [one], NAMES)
    with pytest.raises(ValueError, match="line 0 has fewer than 2 points"):
        chamfer_average_precision([one], [sample((0, np.zeros((1, 2))))], NAMES)


def test_what_is_missing_is_named():
    whole = sample((0, upright(0.0)))
    bare = {"points": whole["points"]}
    with pytest.raises(ValueError, match="prediction of sample number 1 has no labels and no scores"):
        chamfer_average_precision([whole, bare], [whole, whole], NAMES)
    with pytest.raises(ValueError, match="ground truth of sample t has no labels"):
        chamfer_average_precision([whole], [{**bare, "sample_token": "t"}], NAMES)


def test_no_samples_at_all_is_zero():
    score = chamfer_average_precision([], [], NAMES)
    assert (score["mAP"], score["num_samples"]) == (0.0, 0)


def jagged(rng, num_samples):
    """Random maps and their jittered copies with distinct scores, as many as the samples have lines."""
    gts, preds = [], []
    for _ in range(num_samples):
        count = rng.integers(0, 7)
        lines = [
            (int(rng.integers(3)), rng.uniform(-15, 15, 2) + rng.normal(size=(5, 2)).cumsum(0) * 2)
            for _ in range(count)
        ]
        gts.append(sample(*lines))
        moved = [(label, points + rng.normal(size=2) * 0.8) for label, points in lines]
        preds.append(sample(*moved, *moved, scores=rng.random(2 * count)))
    return preds, gts


@pytest.mark.parametrize("protocol", ["maptr", "maptrv2", "streammapnet"])
def test_order_of_samples_and_lines_is_irrelevant_without_ties(protocol):
    rng = np.random.default_rng(11)
    preds, gts = jagged(rng, 150)
    reference = chamfer_average_precision(preds, gts, NAMES, protocol)["ap"]
    assert 0.05 < reference.min() < reference.max() < 1.0
    order = rng.permutation(len(gts))
    shuffled = []
    for k in order:
        lines = rng.permutation(len(preds[k]["labels"]))
        shuffled.append({key: [preds[k][key][i] for i in lines] for key in preds[k]})
    again = chamfer_average_precision(shuffled, [gts[k] for k in order], NAMES, protocol)["ap"]
    np.testing.assert_allclose(again, reference, atol=1e-12)


def test_direction_and_start_of_lines_are_irrelevant():
    rng = np.random.default_rng(12)
    preds, gts = jagged(rng, 60)
    turned = [{**p, "points": [line[::-1] for line in p["points"]]} for p in preds]
    one, two = (chamfer_average_precision(p, gts, NAMES)["ap"] for p in (preds, turned))
    np.testing.assert_allclose(one, two, atol=1e-12)


def test_a_monotone_change_of_scores_changes_nothing():
    preds, gts = jagged(np.random.default_rng(13), 60)
    squashed = [{**p, "scores": np.asarray(p["scores"]) ** 3 / 10} for p in preds]
    one, two = (chamfer_average_precision(p, gts, NAMES)["ap"] for p in (preds, squashed))
    np.testing.assert_array_equal(one, two)


def test_maptrv2_takes_a_hundred_points_as_they_are():
    # 99 points crowd at the start, so that equal arc length would move most of them.
    crowded = np.concatenate([np.column_stack([np.zeros(99), np.linspace(0, 1, 99)]), [[0.0, 10.0]]])
    preds, gts = [sample((0, crowded))], [sample((0, upright(0.0)))]
    assert divider_ap(preds, gts, protocol="maptr") == [1.0, 1.0, 1.0]
    assert divider_ap(preds, gts, protocol="maptrv2") == [0.0, 0.0, 1.0]
    assert divider_ap([sample((0, crowded[1:]))], gts, protocol="maptrv2") == [1.0, 1.0, 1.0]


def test_strict_and_far_differ_from_maptr_in_their_thresholds_only():
    preds, gts = jagged(np.random.default_rng(14), 40)
    for name in ("strict", "far"):
        score = chamfer_average_precision(preds, gts, NAMES, name)
        same = chamfer_average_precision(preds, gts, NAMES, "maptr", thresholds=score["thresholds"])
        np.testing.assert_array_equal(score["ap"], same["ap"])


def test_matched_chamfer_by_hand():
    # Divider: found 0.2 and 0.6 m away, a second try at 0.1 m comes too late; boundary: out of reach.
    pred = {
        "points": [upright(0.2), upright(8.6), upright(0.1), upright(20.0)],
        "labels": [0, 0, 0, 1],
        "scores": [0.9, 0.8, 0.7, 0.6],
    }
    truth = {"points": [upright(0.0), upright(8.0), upright(0.0)], "labels": [0, 0, 1]}
    result = matched_chamfer(match_maps([pred], [truth], NAMES[:2], thresholds=[0.5, 1.0]))
    assert result["mean"][:, 0] == pytest.approx([0.2, 0.4])
    assert result["median"][:, 0] == pytest.approx([0.2, 0.4])
    assert result["count"].tolist() == [[1, 0], [2, 0]]
    assert np.isnan(result["mean"][:, 1]).all()


def test_ground_truth_is_no_distance_from_itself():
    truth = {"points": [upright(x) for x in range(5)], "labels": [0] * 5, "scores": [0.5] * 5}
    result = matched_chamfer(match_maps([truth], [truth], NAMES[:2]))
    assert result["mean"][:, 0].tolist() == [0.0] * 3
    assert result["count"][:, 0].tolist() == [5] * 3
