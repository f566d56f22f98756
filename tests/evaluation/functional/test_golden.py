"""Parity with what the peers' own code gives for the same inputs: scores, flags and distances."""

import os
from pathlib import Path

import numpy as np
import pytest

from mapllava.evaluation.functional import chamfer_distance, match_maps, score_of
from mapllava.evaluation.functional.matching import strips_meet
from mapllava.geometry import resample_many

GOLDEN = Path(os.environ.get("MAPLLAVA_GOLDEN") or Path(__file__).parents[4] / "shared" / "golden") / "eval"
CASES = sorted(GOLDEN.glob("*.npz"))
PROTOCOLS = ("maptr", "maptrv2", "streammapnet")

pytestmark = [
    pytest.mark.skipif(not CASES, reason=f"no golden cases in {GOLDEN}; set MAPLLAVA_GOLDEN"),
    pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem),
]


def line(case, kind, k):
    return case[f"{kind}_pts"][case[f"{kind}_off"][k] : case[f"{kind}_off"][k + 1]]


def samples(case, kind):
    """The case's lines sample by sample, and the number in the file of each sample's lines."""
    owners = [np.flatnonzero(case[f"{kind}_sample"] == s) for s in range(int(case["num_samples"]))]
    score = case["pred_score"] if kind == "pred" else np.zeros(len(case["gt_label"]))
    maps = [
        {
            "points": [line(case, kind, k) for k in mine],
            "labels": case[f"{kind}_label"][mine],
            "scores": score[mine],
        }
        for mine in owners
    ]
    return maps, owners


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_average_precision_and_true_positives(path, protocol):
    case = dict(np.load(path))
    (preds, owners), (gts, _) = samples(case, "pred"), samples(case, "gt")
    matches = match_maps(preds, gts, [str(n) for n in case["class_names"]], protocol)
    score = score_of(matches)
    np.testing.assert_allclose(score["ap"], case[f"expect_{protocol}_stable_AP"], atol=1e-6)
    assert score["mAP"] == pytest.approx(float(case[f"expect_{protocol}_stable_mAP"]), abs=1e-6)
    flags = np.full(case[f"expect_{protocol}_stable_tp"].shape, -1)
    number = [owners[s][k] for s, k in zip(matches.samples, matches.positions, strict=True)]
    flags[:, np.array(number, dtype=int)] = matches.found
    np.testing.assert_array_equal(flags, case[f"expect_{protocol}_stable_tp"])


@pytest.mark.parametrize(("key", "num_points"), [("pair_maptr_dist", 100), ("pair_smn_dist", 200)])
def test_distances_of_pairs(path, key, num_points):
    case = dict(np.load(path))
    expected = case[key]
    ours = [
        chamfer_distance(line(case, "pred", i), line(case, "gt", j), num_points)
        for i, j in zip(case["pair_pred"], case["pair_gt"], strict=True)
    ]
    reached = np.isfinite(expected)
    np.testing.assert_allclose(np.array(ours)[reached], expected[reached], atol=2e-6)
    if key == "pair_smn_dist":
        assert reached.all()


def test_prefilter_of_pairs(path):
    case = dict(np.load(path))
    pairs = list(zip(case["pair_pred"], case["pair_gt"], strict=True))
    first = resample_many([line(case, "pred", i) for i, _ in pairs], 100)
    second = resample_many([line(case, "gt", j) for _, j in pairs], 100)
    meet = strips_meet(first, second, 2.0)
    np.testing.assert_array_equal(meet, np.isfinite(case["pair_maptr_dist"]))
