import numpy as np
import pytest

from mapllava.analysis.diagnosis.probes import folds, probe_count, probe_presence, span

RNG = np.random.default_rng(0)
SCENES = [f"scene {index // 5}" for index in range(100)]


def features(size=400):
    return np.random.default_rng(3).normal(size=(100, size))


def test_a_planted_signal_is_read_off_and_noise_is_not():
    x = features(30)
    count = x @ np.random.default_rng(4).normal(size=30)
    noise = np.random.default_rng(5).normal(size=100)
    assert probe_count(span(x), count, SCENES)["r2"] > 0.95
    assert probe_count(span(x), noise, SCENES)["r2"] < 0.1

    found = probe_presence(span(x), count > 0.5, SCENES)
    assert found["accuracy"] > found["majority"] + 0.2
    blind = probe_presence(span(x), noise > 0.8, SCENES)
    assert blind["accuracy"] <= blind["majority"] + 0.1
    assert blind["share"] == pytest.approx((noise > 0.8).mean())


def test_what_only_tells_scenes_apart_is_worth_nothing_on_other_scenes():
    scene = np.repeat(np.random.default_rng(6).normal(size=(20, 50)), 5, axis=0)
    x = scene + 0.01 * features(50)
    of_scene = np.repeat(np.random.default_rng(7).normal(size=20), 5)
    assert probe_count(span(x), of_scene, SCENES)["r2"] < 0.3
    alone = [str(index) for index in range(100)]
    assert probe_count(span(x), of_scene, alone)["r2"] > 0.9


def test_groups_are_never_split_and_every_sample_is_held_out_once():
    held = []
    for train, out in folds(SCENES, 5, 0):
        assert not {SCENES[i] for i in train} & {SCENES[i] for i in out}
        held += out.tolist()
    assert sorted(held) == list(range(100))
    assert len(list(folds(["a", "b", "b"], 5, 0))) == 2


def test_directions_lose_nothing():
    x = features(300)
    short = span(x)
    assert short.shape == (100, 99)
    assert np.square(short).sum() == pytest.approx(100)
    centred = x - x.mean(axis=0)
    assert short @ short.T == pytest.approx(centred @ centred.T / np.square(centred).sum() * 100)


def test_two_scenes_leave_nothing_to_choose_a_penalty_by():
    x = features(3)
    found = probe_count(span(x), x[:, 0], ["a"] * 50 + ["b"] * 50)
    assert found["r2"] is not None


def test_a_class_in_one_scene_alone_is_survived():
    present = np.array([scene == "scene 3" for scene in SCENES])
    found = probe_presence(span(features(5)), present, SCENES)
    assert found["accuracy"] == found["majority"] == pytest.approx(0.95)


@pytest.mark.parametrize(("values", "scenes"), [(np.ones(100), SCENES), (np.arange(100), ["one"] * 100)])
def test_where_there_is_nothing_to_tell_apart_nothing_is_claimed(values, scenes):
    x = span(features(5))
    assert probe_count(x, values, scenes) == {"r2": None}
    assert probe_presence(x, values > 0, scenes)["accuracy"] is None


def test_features_that_never_change_are_survived():
    x = span(np.ones((100, 7)))
    assert probe_count(x, RNG.normal(size=100), SCENES)["r2"] == pytest.approx(0.0, abs=1e-9)
