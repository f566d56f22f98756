import base64
import gzip
import json
from dataclasses import replace
from html.parser import HTMLParser
from io import BytesIO

import numpy as np
import pytest
from browser import MISSING, chromium_tab, find_chromium
from PIL import Image
from report_town import NASTY, NASTY_FILE, make_cache, make_page, make_results

from mapllava.evaluation import MapResults
from mapllava.evaluation.sample_record import Display
from mapllava.structures import ROI, MapSpec
from mapllava.visualization.report_page import Run, write_report
from mapllava.visualization.report_page.maps import LINE_BYTES, TOLERANCE, deltas, pack_maps
from mapllava.visualization.report_page.numbers import RECALL_STEPS, chart_numbers
from mapllava.visualization.report_page.page import Page, page_data
from mapllava.visualization.report_page.runs import choose_cuts
from mapllava.visualization.report_page.thumbnails import front_picture, map_paths

CACHE = make_cache()
FIRST, SECOND = make_results(CACHE, 0.4, 0, NASTY_FILE), make_results(CACHE, 0.9, 1, "second.json")


@pytest.fixture(scope="module")
def page():
    return make_page(CACHE, [FIRST, SECOND])


@pytest.fixture(scope="module")
def written(page, tmp_path_factory):
    return write_report(tmp_path_factory.mktemp("report") / "report.html", page)


class Tags(HTMLParser):
    """Start tags of a page and the text between them, by the id of the last tag that has one."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.text, self.last = [], {}, ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.last = dict(attrs).get("id") or self.last

    def handle_data(self, data):
        self.text[self.last] = self.text.get(self.last, "") + data


def unpacked(chunk):
    return json.loads(gzip.decompress(base64.b64decode(chunk)))


def packed(page, floor=0.0):
    args = page.samples, page.runs, page.entries, page.spec, floor
    return [sample for chunk in pack_maps(*args, lambda _: None) for sample in unpacked(chunk)]


def points(line):
    return np.cumsum(np.reshape(line[2], (-1, 2)), axis=0) / 100


def test_the_page_says_what_the_evaluation_says(page, written):
    text = Tags(written.read_text()).text
    for run in page.runs:
        assert f"{100 * run.evaluation.score['mAP']:.1f}" in "".join(text.values())
    assert page.comparison.verdict in "".join(text.values())
    assert "maptr (0.5/1/1.5 m)" in "".join(text.values())
    data, _ = json.JSONDecoder().raw_decode(text["data"])
    assert [run["letter"] for run in data["runs"]] == ["A", "B"]
    assert data["thresholds"] == [0.5, 1.0, 1.5]


def test_the_area_of_the_drawn_curve_is_the_ap(page):
    for run in page.runs:
        curves = chart_numbers(run)["curves"]
        for row, by_class in enumerate(curves):
            for label, curve in enumerate(by_class):
                height = np.array([0 if value is None else value for value in curve["precision"]])
                assert len(height) == RECALL_STEPS
                area = (height[1:] + height[:-1]).mean() / 2
                assert area == pytest.approx(run.evaluation.score["ap"][row, label], abs=0.01)


def test_what_travels_is_what_was_predicted(page):
    samples = packed(page)
    assert [token for token, _, _ in samples] == [sample.token for sample in page.samples]
    for (token, truth, runs), sample in zip(samples, page.samples, strict=True):
        entry = CACHE["data_list"][sample.number]
        for line, polyline in zip(truth, entry["polylines"], strict=True):
            assert line[0] == polyline["label"]
            np.testing.assert_allclose(points(line)[[0, -1]], polyline["points"][[0, -1]], atol=0.006)
        for lines, results in zip(runs, (FIRST, SECOND), strict=True):
            scores = np.sort(results.results[token]["scores"])
            np.testing.assert_allclose([line[3] for line in lines], scores, atol=1e-3)


def test_the_chamfer_distance_that_pointing_tells_is_the_score_s(page):
    matches = page.runs[0].evaluation.matches
    near = matches.distance[np.isfinite(matches.distance)]
    told = [line[4] / 100 for _, _, runs in packed(page) for line in runs[0] if line[4] >= 0]
    np.testing.assert_allclose(np.sort(told), np.sort(near), atol=0.006)


def test_samples_stand_scene_by_scene_in_the_order_of_time(page):
    assert [sample.number for sample in page.samples[:3]] == [19, 18, 17]
    assert {sample.scene[:7] for sample in page.samples[:20]} == {"scene-0"}


def test_low_scores_stay_at_home_but_never_what_is_drawn(page):
    assert all(line[3] >= 0.05 for _, _, runs in packed(page, page.floor) for line in runs[0])
    low = Run("low", FIRST, np.array([0.01, 0.5, 0.5]), "test")
    assert Page(MapSpec(), [low]).floor == 0.01


def test_thresholds_of_the_file_come_first_and_others_are_told_apart(page):
    cuts, source = choose_cuts(FIRST, page.runs[0].evaluation, 1)
    assert source == "best F1 at 1 m on val of v1.0-mini, these samples themselves"
    np.testing.assert_allclose(cuts, page.runs[0].min_scores)
    told = replace(FIRST, display=Display({"boundary": 0.5, "divider": 0.2, "ped_crossing": 0.3}, "held out"))
    cuts, source = choose_cuts(told, page.runs[0].evaluation, 1)
    assert (cuts.tolist(), source) == ([0.2, 0.3, 0.5], "held out")
    assert choose_cuts(FIRST)[0].tolist() == [0.3] * 3


def test_the_map_draws_the_very_lines_that_the_table_counts():
    """Cuts are lines' own scores, and scores lie closer together than the digits that travel."""
    rng = np.random.default_rng(0)
    results = make_results(CACHE, 0.4)
    for entry in results.results.values():
        entry["scores"] = 0.401 + 1e-5 * rng.uniform(-3, 3, len(entry["scores"]))
    page = make_page(CACHE, [results], 0)
    (run,) = page_data(page)["runs"]
    drawn = [0, 0, 0]
    for _, _, (lines,) in packed(page, page.floor):
        for line in lines:
            drawn[line[0]] += run["cuts"][line[0]] is not None and line[3] >= run["cuts"][line[0]]
    assert drawn == page.runs[0].breakdowns["class"].rates["num_pred"].tolist()
    assert 0 < sum(drawn) < sum(len(entry["scores"]) for entry in results.results.values())


def test_a_large_set_leaves_the_lowest_scores_at_home(page):
    scores = np.sort(np.concatenate([entry["scores"] for entry in FIRST.results.values()]))[::-1]
    none = Run("run", FIRST, np.ones(3), "test")
    small = Page(MapSpec(), [none], room=100 * LINE_BYTES / 1e6)
    assert small.floor == scores[99]
    assert sum(len(runs[0]) for _, _, runs in packed(small, small.floor)) == 100
    drawn = Run("run", FIRST, np.full(3, 0.4), "test")
    assert Page(MapSpec(), [drawn], room=100 * LINE_BYTES / 1e6).floor == 0.4


def test_lines_lose_only_what_a_straight_line_passes(page):
    wave = np.stack([np.linspace(0, 20, 200), np.sin(np.linspace(0, 6, 200))], axis=1)
    token = CACHE["data_list"][0]["sample_token"]
    one = {token: {"points": [wave], "labels": np.array([0]), "scores": np.array([0.9])}}
    small = Page(MapSpec(), [Run("run", MapResults(MapSpec(), "val", one), np.zeros(3), "test")])
    drawn = points(packed(small)[0][2][0][0])
    assert 5 < len(drawn) < 60
    gap = np.abs(np.interp(wave[:, 0], drawn[:, 0], drawn[:, 1]) - wave[:, 1])
    assert gap.max() < TOLERANCE + 0.01


def test_the_ego_frame_is_drawn_with_forward_up():
    spec = MapSpec("ego", ROI(-30, -15, 30, 15))
    assert deltas(np.array([[10.0, 2.0], [11.0, 2.0]]), spec) == [-200, 1000, 0, 100]


def test_names_from_files_are_text(written):
    tags = Tags(written.read_text()).tags
    scripts = [attrs for tag, attrs in tags if tag == "script"]
    assert [attrs.get("id") or attrs.get("class") for attrs in scripts] == [
        "data",
        None,
        "plotly",
        "maps",
        "maps",
    ]
    assert not [tag for tag, attrs in tags if tag == "img" or any(key.startswith("on") for key in attrs)]
    assert "{{" not in written.read_text().split("<script")[0].replace("{{ 7 * 7 }}", "")
    assert "49.json" not in written.read_text()


def test_the_page_asks_nobody(written):
    tags = Tags(written.read_text()).tags
    assert not [attrs for _, attrs in tags if "src" in attrs or attrs.get("href", "#")[0] != "#"]
    policy = next(a["content"] for _, a in tags if a.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'")
    assert "unsafe-inline" not in policy.split("script-src")[1]


def test_a_page_without_truth_shows_predictions_and_no_score(tmp_path):
    page = Page(MapSpec(), [Run("run.json", FIRST, np.full(3, 0.3), "test")])
    text = write_report(tmp_path / "report.html", page).read_text()
    assert "mAP" not in text.split("<script")[0]
    assert "no truth to compare with" in text
    assert all(truth == [] and runs[0] for _, truth, runs in packed(page))


def test_scores_that_are_no_probabilities_have_no_reliability():
    logits = make_results(CACHE, 0.4)
    for entry in logits.results.values():
        entry["scores"] = 4 * entry["scores"] - 2
    page = make_page_without_ece(logits)
    assert chart_numbers(page.runs[0])["reliability"] is None
    assert page.floor < 0.05


def make_page_without_ece(results):
    from mapllava.evaluation.scoring import evaluate_maps, pair_with_cache

    done = evaluate_maps(pair_with_cache(results, CACHE), "logits")
    return Page(MapSpec(), [Run("logits", results, np.full(3, -1.5), "test", done)], CACHE["data_list"])


def test_small_pictures_show_the_truth_what_is_drawn_and_the_front_camera(page, tmp_path):
    entry = CACHE["data_list"][0]
    predicted = {"points": [p["points"] for p in entry["polylines"]], "labels": [0, 0, 0, 2, 1]}
    predicted["scores"] = np.array([0.9, 0.9, 0.1, 0.9, 0.9])
    paths = map_paths(MapSpec(), entry["polylines"], predicted, np.array([0.5, np.nan, 0.5]))
    assert [(path["truth"], path["label"]) for path in paths[5:]] == [(False, 0), (False, 0), (False, 2)]
    assert paths[0]["d"] == "m-600,2000 0,-600"
    Image.new("RGB", (800, 450)).save(tmp_path / "front.jpg")
    seen = {"cams": {"CAM_BACK": {"img_path": "x.jpg"}, "CAM_FRONT": {"img_path": "front.jpg"}}}
    data = base64.b64decode(front_picture(seen, tmp_path).partition(",")[2])
    assert Image.open(BytesIO(data)).size == (220, 124)
    (tmp_path / "inside").mkdir()
    seen["cams"]["CAM_FRONT"]["img_path"] = "../front.jpg"
    assert front_picture(seen, tmp_path / "inside") is None
    assert front_picture({"sample_token": "of one's own"}, tmp_path) is None


@pytest.fixture(scope="module")
def tab(written):
    if find_chromium() is None:
        pytest.skip(MISSING)
    with chromium_tab() as tab:
        tab.open(written)
        yield tab


DRAWN = (
    "(document.getElementById('map').data.filter(t => t.meta.layer === '{layer}' && {what})"
    ".reduce((n, t) => n + t.x.filter(v => v === null).length, 0))"
)


def drawn(tab, layer, what="true"):
    """How many lines of a layer the map shows, both runs together."""
    return tab.run(DRAWN.format(layer=layer, what=what))


def click(tab, selector):
    tab.run(f"document.querySelector(`{selector}`).click()")


@pytest.fixture
def fresh(tab):
    """The tab with the first sample, all layers and the thresholds."""
    tab.run("document.querySelectorAll('#layers input:not(:checked)').forEach((box) => box.click())")
    tab.run("document.getElementById('best-cuts').click(); setOrder('time', 0)")
    return tab


def test_layers_come_and_go(fresh):
    assert drawn(fresh, "truth") == 2 * 5
    click(fresh, "#layers input[value=truth]")
    assert drawn(fresh, "truth") == 0
    before = drawn(fresh, "prediction", "t.meta.label === 2")
    assert before > 0
    click(fresh, '#layers input[value="2"]')
    assert drawn(fresh, "prediction", "t.meta.label === 2") == 0
    assert drawn(fresh, "prediction", "t.meta.label === 0") > 0
    click(fresh, '#layers input[value="2"]')
    assert drawn(fresh, "prediction", "t.meta.label === 2") == before
    click(fresh, "#layers input[value=prediction]")
    assert drawn(fresh, "prediction") == 0


def test_the_slider_hides_lines_below_it(page, fresh):
    token = page.samples[0].token
    move = "s => { s.value = VALUE; s.dispatchEvent(new Event('input')) }"
    for score in (0.05, 0.7, 1.0):
        fresh.run(f"({move.replace('VALUE', str(score))})(document.getElementById('score'))")
        limit = fresh.run("Number(document.getElementById('score').value)")
        assert limit == pytest.approx(score, abs=0.01)
        expected = sum((r.results[token]["scores"] >= limit).sum() for r in (FIRST, SECOND))
        assert drawn(fresh, "prediction") == expected
    click(fresh, "#best-cuts")
    assert "best F1" in fresh.run("document.getElementById('cuts').textContent")
    assert drawn(fresh, "prediction") > 0


def test_next_previous_orders_and_lists_choose_the_sample(page, fresh):
    said = "document.getElementById('sample').textContent"
    assert page.samples[0].token in fresh.run(said)
    click(fresh, "#next")
    fresh.wait(f"{said}.includes({json.dumps(page.samples[1].token)})")
    fresh.run("setOrder('worst 0')")
    scores = page.runs[0].sample_scores.score
    worst = next(sample for sample in page.samples if scores[sample.number] == np.nanmin(scores))
    fresh.wait(f"{said}.includes({json.dumps(worst.token)})")
    place = fresh.run("document.querySelector('button[data-place]').dataset.place")
    click(fresh, "button[data-place]")
    fresh.wait(f"{said}.includes({json.dumps(page.samples[int(place)].token)})")


def test_pointing_at_a_line_tells_class_score_length_and_distance(fresh):
    texts = fresh.run("document.getElementById('map').data.flatMap(t => t.text).filter(Boolean)")
    told = next(text for text in texts if "score" in text and "divider" in text)
    assert "m long" in told
    assert "to the nearest true line" in told or "no true line of its class within 1.5 m" in told


def test_zoom_keeps_from_sample_to_sample_and_both_maps_move_together(fresh):
    axes = "document.getElementById('map').layout"
    ranges = f"[{axes}.xaxis.range, {axes}.xaxis2.range]"
    whole = fresh.run(ranges)
    fresh.run("zoom(0.5)")
    closer = fresh.run(ranges)
    assert closer[0] == closer[1]
    assert closer[0][1] - closer[0][0] == pytest.approx(0.5 * (whole[0][1] - whole[0][0]))
    fresh.run("show(3)")
    np.testing.assert_allclose(fresh.run(ranges), closer)
    click(fresh, "#whole")
    np.testing.assert_allclose(fresh.run(ranges), whole, atol=0.1)  # one scale for both axes


def test_every_chart_is_drawn_and_nothing_complains(page, fresh):
    fresh.run("window.dispatchEvent(new Event('beforeprint'))")
    charts = fresh.run(
        "[...document.querySelectorAll('.chart')]"
        ".map(chart => [chart.id, chart.querySelectorAll('.trace, .point').length])"
    )
    assert len(charts) == 8
    assert all(count for _, count in charts), charts
    fresh.run(
        "(t => { t.value = 2; t.dispatchEvent(new Event('change')) })(document.getElementById('threshold'))"
    )
    recall = 100 * page.runs[0].breakdowns["class"].rates["recall"][2]
    shown = fresh.run("document.getElementById('rates-class').data[0].y")
    np.testing.assert_allclose(shown, recall, rtol=1e-3)
    assert fresh.run("document.getElementById('trouble').hidden")
    assert fresh.run("window.hacked") is None
    assert NASTY in fresh.run("document.body.innerText")
    assert fresh.console == []
    assert [url[:5] for url in fresh.requests if not url.startswith("data:")] == ["file:"]
