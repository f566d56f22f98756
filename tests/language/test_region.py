"""What lies in a region: cut exactly, rings closed along its edge, the same in any frame and in a mirror."""

import itertools

import numpy as np
import pytest
from shapely import make_valid
from shapely.geometry import LineString, Polygon

from mapllava.geometry import arc_length, closed_ring
from mapllava.language import Distance, Region, cut
from mapllava.language.region import CIRCLE_ERROR, SLIVER, STRIP, Shape
from mapllava.structures import MapLines, MapSpec

SPEC = MapSpec()
SIDES = [(), ("ahead",), ("left",), ("behind", "right")]
DISTANCES = [
    None,
    Distance("within", (9.0,)),
    Distance("between", (6.0, 14.0)),
    Distance("at", (8.0,)),
]
REGIONS = [Region(sides, distance) for sides, distance in itertools.product(SIDES, DISTANCES)]


def town(seed=0, count=24):
    """Wandering dividers, crossings that may reach over the car, boundaries of which some are rings."""
    rng = np.random.default_rng(seed)
    points = []
    for k in range(count):
        if k % 3 == 1 or k % 6 == 5:
            angles = np.sort(rng.uniform(0, 2 * np.pi, 9))
            ring = rng.uniform(2, 9, (9, 1)) * np.stack([np.cos(angles), np.sin(angles)], 1)
            points.append(np.vstack([ring, ring[:1]]) + rng.uniform(-9, 9, 2))
        else:
            points.append(np.cumsum(rng.normal(0, 3, (12, 2)), axis=0) + rng.uniform(-8, 8, 2))
    return MapLines(points, np.arange(count) % 3, np.linspace(0.9, 0.2, count))


def areas(lines):
    return [Polygon(p) for p, label in zip(lines.points, lines.labels, strict=True) if label == 1]


def same(one, other, within=1e-6):
    assert list(one.labels) == list(other.labels)
    for a, b in zip(one.points, other.points, strict=True):
        assert LineString(a).hausdorff_distance(LineString(b)) < within


def test_everything_is_the_map_itself():
    lines = town()
    for region in (Region(), Region(("left", "right")), Region((), Distance("within", (1000.0,)))):
        kept, of = cut(lines, region, SPEC)
        assert all(a is b for a, b in zip(kept.points, lines.points, strict=True))
        assert list(of) == list(range(len(lines.points)))
        assert (kept.scores == lines.scores).all()


@pytest.mark.parametrize("region", REGIONS, ids=str)
def test_pieces_lie_inside_and_are_not_cut_again(region):
    lines = town()
    kept, of = cut(lines, region, SPEC)
    shape = Shape.of(region, SPEC)
    assert len(of)
    assert (kept.labels == lines.labels[of]).all()
    assert (kept.scores == lines.scores[of]).all()
    for piece, label, index in zip(kept.points, kept.labels, of, strict=True):
        radius = np.hypot(*piece.T)
        assert (piece @ shape.normals.T >= shape.offsets - 1e-6).all()
        assert radius.max() <= shape.farthest + 1e-6
        assert radius.min() >= shape.nearest - CIRCLE_ERROR
        if label == 1:
            assert closed_ring(piece) is piece
        else:
            assert LineString(lines.points[index]).buffer(1e-6).covers(LineString(piece))
    again, places = cut(kept, region, SPEC)
    same(again, kept)
    assert list(places) == list(range(len(of)))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Region(("ahead",)), Region(("behind",))),
        (Region(("left",)), Region(("right",))),
        (Region((), Distance("within", (9.0,))), Region((), Distance("between", (9.0, 500.0)))),
    ],
    ids=str,
)
def test_complementary_regions_add_up(one, other):
    lines = town(count=60)
    first, second = cut(lines, one, SPEC)[0], cut(lines, other, SPEC)[0]
    for count in (0, 2):
        lengths = [
            sum(arc_length(p) for p, label in zip(m.points, m.labels, strict=True) if label == count)
            for m in (lines, first, second)
        ]
        assert lengths[0] - 60 * SLIVER < lengths[1] + lengths[2] < lengths[0] + 1e-6
    whole = sum(make_valid(area).area for area in areas(lines))
    parts = 0.0
    for area in areas(first) + areas(second):
        parts += area.area * (1 if area.exterior.is_ccw else -1)  # a hole runs against its ring
    assert parts == pytest.approx(whole, rel=2e-3)


def test_open_lines_end_on_the_circle_itself():
    line = MapLines([np.array([[3.0, -40.0], [3.0, 40.0]])], np.array([0]))
    (piece,) = cut(line, Region((), Distance("within", (5.0,))), SPEC)[0].points
    assert np.allclose(piece, [[3, -4], [3, 4]], atol=1e-12)
    pieces, of = cut(line, Region((), Distance("between", (5.0, 13.0))), SPEC)
    far = np.sqrt(13**2 - 3**2)
    assert np.allclose(pieces.points, [[[3, -far], [3, -4]], [[3, 4], [3, far]]], atol=1e-12)
    assert list(of) == [0, 0]


def test_a_strip_lies_across_the_road_ahead_unless_behind_is_said():
    line = MapLines([np.array([[3.0, -40.0], [3.0, 40.0]])], np.array([0]))
    at = Distance("at", (66.0,), "ft")
    ahead, behind = (cut(line, Region(sides, at), SPEC)[0].points[0][:, 1] for sides in ((), ("behind",)))
    assert np.allclose(ahead, 66 * 0.3048 + np.array([-STRIP / 2, STRIP / 2]))
    assert np.allclose(behind, -66 * 0.3048 + np.array([-STRIP / 2, STRIP / 2]))


def test_a_crossing_is_closed_along_the_edge_and_a_road_boundary_is_not():
    square = np.array([[-4.0, -2], [-4, 6], [4, 6], [4, -2], [-4, -2]])
    lines = MapLines([square, square], np.array([1, 2]))
    kept, of = cut(lines, Region(("ahead",)), SPEC)
    assert list(of) == [0, 1]
    crossing, boundary = kept.points
    assert closed_ring(crossing) is crossing
    assert Polygon(crossing).equals(Polygon([(-4, 0), (-4, 6), (4, 6), (4, 0)]))
    assert not Polygon(crossing).exterior.is_ccw  # runs as it was given
    # one piece, though the ring starts in the middle of what was cut away; and none where it starts within
    assert boundary.tolist() == [[-4, 0], [-4, 6], [4, 6], [4, 0]]
    (behind,) = cut(lines.at([1]), Region(("behind",)), SPEC)[0].points
    assert behind.tolist() == [[4, 0], [4, -2], [-4, -2], [-4, 0]]


def test_a_radius_leaves_a_hole_in_a_crossing_around_the_car():
    square = np.array([[-4.0, -4], [-4, 4], [4, 4], [4, -4], [-4, -4]])
    kept, of = cut(MapLines([square], np.array([1])), Region((), Distance("between", (2.0, 20.0))), SPEC)
    assert list(of) == [0, 0]
    assert np.allclose(np.hypot(*kept.points[1].T), 2.0, atol=CIRCLE_ERROR)


def test_a_predicted_crossing_need_not_quite_close():
    nearly = np.array([[-4.0, -2], [-4, 6], [4, 6], [4, -2], [-3.5, -2]])
    (ring,) = cut(MapLines([nearly], np.array([1])), Region(("ahead",)), SPEC)[0].points
    assert Polygon(ring).area == pytest.approx(48)
    whole = cut(MapLines([nearly], np.array([1])), Region(), SPEC)[0].points[0]
    assert whole is nearly


def test_slivers_go_and_short_lines_stay():
    reach = np.array([[1.0, -5.0], [1.0, SLIVER / 2]])
    short = np.array([[1.0, 1.0], [1.0, 1.0 + SLIVER / 2]])
    flat = np.array([[-4.0, -2], [-4, 0.05], [4, 0.05], [4, -2], [-4, -2]])
    bow_tie = np.array([[-4.0, 1], [4, 5], [4, 1], [-4, 5], [-4, 1]])
    lines = MapLines([reach, short, flat, bow_tie], np.array([0, 0, 1, 1]))
    kept, of = cut(lines, Region(("ahead",)), SPEC)
    assert list(of) == [1, 3]
    assert kept.points[0] is short


@pytest.mark.parametrize("region", REGIONS, ids=str)
def test_a_mirrored_map_answers_a_mirrored_request(region):
    lines, swap = town(3), {"left": "right", "right": "left"}
    mirrored = MapLines([p * [-1, 1] for p in lines.points], lines.labels, lines.scores)
    other = Region(tuple(swap.get(side, side) for side in region.sides), region.distance)
    kept, of = cut(mirrored, other, SPEC)
    want, places = cut(lines, region, SPEC)
    assert sorted(of) == sorted(places)
    assert sum(map(arc_length, kept.points)) == pytest.approx(sum(map(arc_length, want.points)))
    x = sorted(p[:, 0].max() for p in kept.points)
    assert x == pytest.approx(sorted(-p[:, 0].min() for p in want.points), abs=1e-3)


@pytest.mark.parametrize("region", REGIONS, ids=str)
def test_the_frame_does_not_matter(region):
    lines = town(4)
    turned = MapLines([np.stack([p[:, 1], -p[:, 0]], 1) for p in lines.points], lines.labels, lines.scores)
    want, places = cut(lines, region, SPEC)
    kept, of = cut(turned, region, MapSpec("ego", (-30.0, -15.0, 30.0, 15.0)))
    assert list(of) == list(places)
    back = MapLines([np.stack([-p[:, 1], p[:, 0]], 1) for p in kept.points], kept.labels)
    same(back, want, 2 * CIRCLE_ERROR)


def test_only_the_classes_asked_for():
    lines = town()
    _, of = cut(lines, Region(("left",)), SPEC, ("ped_crossing", "boundary"))
    assert set(lines.labels[of]) == {1, 2}
    nothing, of = cut(MapLines([], np.array([])), Region(("left",)), SPEC)
    assert nothing.points == []
    assert len(of) == 0
