"""Whether a rig can be: pure checks, each a finding that says what it saw, why it is wrong and what to do.

What cannot be right fails; what may be meant, but seldom is, is a warning.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import combinations

import numpy as np

from mapllava.errors import MapLLaVAError
from mapllava.finding import FAIL, OK, WARN, Finding
from mapllava.geometry import rig_names
from mapllava.geometry.lens import folded_share
from mapllava.geometry.rig_faults import (
    HEIGHTS,
    explanations,
    is_plausible,
    is_rigid,
    is_upright,
    sees_ground,
    standing,
)
from mapllava.geometry.rig_places import check_distances, check_reach
from mapllava.geometry.rig_view import coverage, field_of_view, look_direction, roi_ground
from mapllava.geometry.rigid import ROTATION_TOLERANCE, rotation_error
from mapllava.structures.frames import MapSpec
from mapllava.structures.rig import Rig, RigCamera

_CELL = 0.5
_SCARCE = 0.5
"""Share of the ROI below which a rig is said to see little of it."""
_UNSEEN = 0.2
"""Share of the horizon that cameras which look all around leave out at most."""


def check_rig(rig: Rig, map_spec: MapSpec | None = None) -> list[Finding]:
    """Look at a rig.

    Args:
        rig: The cameras.
        map_spec: Frame and ROI whose coverage is looked at; the default one if None.

    Returns:
        Failures and warnings, and what was found in order; never empty.
    """
    found = [finding for camera in rig.cameras for finding in check_intrinsics(camera)]
    wrong = _whole_matrices(rig) or _poses(replace(rig, cameras=tuple(map(_seen_through, rig.cameras))))
    found += wrong
    if not _fails(wrong):
        found += [*check_reach(rig), *_among_cameras(rig)]
    if not _fails(found):
        found.append(_roi(rig, map_spec or MapSpec()))
    return found


def _fails(found: Iterable[Finding]) -> bool:
    return any(finding.status == FAIL for finding in found)


def _seen_through(camera: RigCamera) -> RigCamera:
    """The camera to judge a pose by: with intrinsics of a usual lens where its own are wrong."""
    if not _fails(check_intrinsics(camera)):
        return camera
    width, height = camera.size
    usual = np.array([[0.8 * width, 0, width / 2], [0, 0.8 * width, height / 2], [0, 0, 1]])
    return replace(camera, cam2img=usual)


def refuse_rig(rig: Rig) -> None:
    """Refuse a rig that cannot be.

    Raises:
        MapLLaVAError: With every failure that :func:`check_rig` finds, and its remedy.
    """
    failures = [finding for finding in check_rig(rig) if finding.status == FAIL]
    if failures:
        listed = "".join(f"\n  {f.name}: {f.reason}\n    {f.remedy}" for f in failures)
        where = f"'{rig.source}'" if rig.source else "the rig"
        raise MapLLaVAError(f"{where} cannot be right ('mapllava rig check' draws it):{listed}")


def _whole_matrices(rig: Rig) -> list[Finding]:
    """Matrices that are no rigid transforms; nothing else can be said of such a rig."""
    poses = [(camera.name, camera.cam2ego) for camera in rig.cameras]
    poses += [("the LiDAR", rig.lidar2ego)] if rig.lidar2ego is not None else []
    found = []
    for name, pose in poses:
        turn = pose[:3, :3]
        if not np.array_equal(pose[3], [0, 0, 0, 1]):  # exactly: so does the results file want it
            if np.allclose(pose[:3, 3], 0) and is_rigid(pose.T):
                reason = (
                    f"{name}: the pose's translation stands in its last row, the last column is 0, 0, 0, 1"
                )
                found.append(Finding("transposed", FAIL, reason, "transpose the 4 x 4 matrix"))
            else:
                row = pose[3].tolist()
                reason = f"{name}: the last row of the pose is {row}, not 0, 0, 0, 1"
                found.append(Finding("not a rotation", FAIL, reason, "write [[R, t], [0, 0, 0, 1]]"))
        elif rotation_error(turn) > ROTATION_TOLERANCE:
            lengths = np.round(np.linalg.norm(turn, axis=0), 3).tolist()
            reason = (
                f"{name}: the pose is not a rotation: R Rᵀ differs from 1 by {rotation_error(turn):.2g}, "
                "its columns "
                f"have the lengths {lengths}"
            )
            remedy = "a rotation has no scale and no shear; write more decimals, take units out of it"
            found.append(Finding("not a rotation", FAIL, reason, remedy))
        elif np.linalg.det(turn) < 0:
            reason = (
                f"{name}: the rotation mirrors (its determinant is -1), as between a left-handed and a "
                "right-handed frame"
            )
            remedy = (
                "bring both frames to right-handed axes first: negate y of a left-handed frame (CARLA, Unity)"
            )
            found.append(Finding("left-handed", FAIL, reason, remedy))
    return found


def _poses(rig: Rig) -> list[Finding]:
    """Cameras that stand where none is mounted, with the mistake that explains it."""
    named = {camera.name: camera for camera in rig.cameras}
    identities = [c for c in rig.cameras if np.allclose(c.cam2ego, np.eye(4), atol=1e-6)]
    if identities:
        reason = (
            f"{_names(identities)}: the pose is the identity, a camera in the vehicle's origin that looks "
            "at the sky"
        )
        return [
            Finding(
                "identity pose",
                FAIL,
                reason,
                "write the calibrated pose; a placeholder was left in its place",
            )
        ]
    units = check_distances(rig)
    if units:
        return units
    bad = [camera for camera in rig.cameras if not is_plausible(camera)]
    if not bad:
        return []
    mistakes = [] if all(map(_only_tilted, bad)) else explanations(bad)
    if mistakes:
        first, *others = mistakes
        reason = f"{_some(bad, standing)}: no car carries cameras so; it fits that {first.what}"
        reason += "".join(f", or that {other.what}" for other in others)
        remedy = first.remedy + "".join(f"; or, if it is the other: {other.remedy}" for other in others)
        return [Finding(first.name, FAIL, reason, remedy)]
    raised = _origin(rig)
    if raised:
        return raised
    return [finding for camera in bad for finding in _pose(named[camera.name])]


def _only_tilted(camera: RigCamera) -> bool:
    """Whether nothing but where it looks is wrong: no mistake in writing does that."""
    return is_upright(camera.cam2ego) and HEIGHTS[0] <= camera.cam2ego[2, 3] <= HEIGHTS[1]


def _pose(camera: RigCamera) -> Iterable[Finding]:
    z = float(camera.cam2ego[2, 3])
    if z <= 0:
        remedy = "vehicle z points up from the ground; where the origin is higher, write ground_height"
        yield Finding("under the ground", FAIL, f"{standing(camera)}: it is under the ground", remedy)
    elif not HEIGHTS[0] <= z <= HEIGHTS[1]:
        reason = f"{standing(camera)}: it is {z:.2f} m above the ground, cars carry cameras at 0.3 to 4 m"
        remedy = "check the vehicle frame's origin: on the ground, or said by ground_height"
        yield Finding("height", WARN, reason, remedy)
    if not sees_ground(camera):
        reason = f"{standing(camera)}: it looks at the sky, its whole image lies above the horizon"
        remedy = "check the direction and the axes of its pose: z of a camera points forward, y down"
        yield Finding("looks at the sky", FAIL, reason, remedy)
    elif not is_upright(camera.cam2ego):
        reason = f"{standing(camera)}: its image does not stand up"
        yield Finding(
            "rolled", WARN, reason, "leave it if the camera is mounted so; else check the pose's axes"
        )


def _origin(rig: Rig) -> list[Finding]:
    """All cameras stand up, but too low: the origin is not on the ground."""
    heights = [float(camera.cam2ego[2, 3]) for camera in rig.cameras]
    if (
        not all(is_upright(c.cam2ego) and sees_ground(c) for c in rig.cameras)
        or max(heights) > 0.3
        or min(heights) < -4
    ):
        return []
    reason = (
        f"the cameras stand at heights from {min(heights):.2f} to {max(heights):.2f} m: the vehicle "
        "frame's origin is not "
        "on the ground, but near the cameras (or at a LiDAR)"
    )
    status = FAIL if min(heights) <= 0 else WARN
    remedy = (
        'write "ground_height": minus the height of the origin above the ground, e.g. -1.84 for a LiDAR '
        "on the roof"
    )
    return [Finding("origin not on the ground", status, reason, remedy)]


def check_intrinsics(camera: RigCamera) -> list[Finding]:
    """Whether a camera's intrinsics fit its image.

    Args:
        camera: The camera.
    """
    (width, height), k, name = camera.size, camera.cam2img, camera.name
    ratio = np.array([2 * k[0, 2] / width, 2 * k[1, 2] / height])
    centre = f"principal point ({k[0, 2]:.0f}, {k[1, 2]:.0f}) in an image of {width} x {height}"
    scale = float(ratio.mean())
    if abs(ratio[0] - ratio[1]) < 0.25 and not 0.7 < scale < 1.4:
        about = f"about {round(4 * scale) / 4:g}"
        of = f"of about {scale * width:.0f} x {scale * height:.0f}"
        reason = f"{name}: {centre}: these intrinsics belong to an image {of}, "
        reason += f"{about} times the size"
        remedy = (
            f"divide fx, fy, cx and cy by the exact ratio of the two image sizes ({about}), or state the "
            "size of the image as it is stored"
        )
        return [Finding("scaled intrinsics", FAIL, reason, remedy)]
    found = []
    if not ((ratio > 0.1) & (ratio < 1.9)).all():
        remedy = "cx belongs to the width and cy to the height; check both, and the size of the stored image"
        found.append(Finding("principal point", FAIL, f"{name}: {centre} lies at or beyond its edge", remedy))
    elif not ((ratio > 0.6) & (ratio < 1.4)).all():
        remedy = "leave it if the image is cut out of a larger one; else check cx, cy and the size"
        found.append(Finding("principal point", WARN, f"{name}: {centre} is far off its middle", remedy))
    across, _ = field_of_view(camera)
    seen = f"{name}: fx {k[0, 0]:.0f} and a width of {width} give a field of view of {across:.0f}°"
    remedy = "check that fx and fy are pixels (not millimetres) of the stored image"
    if not 8 < across < 160:
        found.append(Finding("field of view", FAIL, f"{seen}, which no camera on a car has", remedy))
    elif not 20 < across < 140:
        found.append(Finding("field of view", WARN, seen, remedy))
    found += _distortion(camera)
    aspect = k[0, 0] / k[1, 1]
    if not 0.9 < aspect < 1.1:
        reason = (
            f"{name}: fx {k[0, 0]:.0f} and fy {k[1, 1]:.0f} differ by {abs(aspect - 1):.0%}, a camera's "
            "pixels are square"
        )
        remedy = "leave it if the image was squeezed when it was stored; else check fx and fy"
        found.append(Finding("pixels not square", WARN, reason, remedy))
    return found


def _distortion(camera: RigCamera) -> list[Finding]:
    folded = folded_share(camera)
    if camera.distortion is not None and camera.cam2img[0, 1]:
        remedy = "OpenCV's lens models know no skew: calibrate without it"
        return [Finding("distortion", FAIL, f"{camera.name} has a skew and a distortion", remedy)]
    if not folded:
        return []
    reason = (
        f"{camera.name}: its distortion folds {folded:.0%} of the image back inwards; it is painted black "
        "there"
    )
    remedy = (
        "check the order of the coefficients (k1, k2, p1, p2, k3) and the model: wide lenses need fisheye"
    )
    return [Finding("distortion", FAIL if folded > 0.25 else WARN, reason, remedy)]


def _among_cameras(rig: Rig) -> list[Finding]:
    found = [*rig_names.check_names(rig), *_gaps(rig)]
    for one, other in combinations(rig.cameras, 2):
        if not np.allclose(one.cam2ego, other.cam2ego, atol=2e-3):
            continue
        alike = np.allclose(one.cam2img, other.cam2img, rtol=0.05) and one.size == other.size
        reason = f"{one.name} and {other.name} have the same pose" + (
            " and the same intrinsics" if alike else ""
        )
        remedy = "one was copied over the other: write each camera's own calibration"
        found.append(Finding("duplicate pose", FAIL if alike else WARN, reason, remedy))
    return found


def _gaps(rig: Rig) -> list[Finding]:
    """Cameras that look all around, but leave much of the horizon out: focal lengths that are too long."""
    yaws = [look_direction(camera.cam2ego)[0] for camera in rig.cameras]
    steps = np.diff(np.sort([*yaws, min(yaws) + 360]))
    around = np.arange(0.0, 360.0)
    apart = np.abs((around[:, None] - np.array(yaws) + 180) % 360 - 180)  # (360, C)
    views = np.array([field_of_view(camera)[0] for camera in rig.cameras])
    unseen = float((apart > views / 2).all(axis=1).mean())
    if steps.max() > 100 or unseen < _UNSEEN:
        return []
    reason = (
        f"the cameras look all around, yet {unseen:.0%} of the horizon is in none: each sees about "
        f"{views.mean():.0f}°"
    )
    remedy = "check whether fx and fy are too large for the stored images (of the full size, or doubled)"
    return [Finding("gaps", WARN, reason, remedy)]


def _roi(rig: Rig, map_spec: MapSpec) -> Finding:
    """How much of the ROI's ground the cameras see."""
    seen = coverage(rig, roi_ground(map_spec.roi, map_spec.frame, rig.lidar2ego, _CELL)).any(axis=0)
    share, region = float(seen.mean()), f"ROI of {map_spec.roi.describe(map_spec.frame)} m"
    if share == 0:
        remedy = "check the directions of the cameras, or the ROI"
        return Finding("ROI", FAIL, f"no camera sees any ground of the {region}", remedy)
    ends = np.array_split(seen, 2, axis=1 - map_spec.forward_axis)
    behind, ahead = (float(end.mean()) for end in ends)
    reason = f"the cameras see {share:.0%} of the {region}: {ahead:.0%} ahead, {behind:.0%} behind"
    if share < _SCARCE:
        remedy = "the map is guessed where no camera looks: add cameras, or trust it only where they look"
        return Finding("ROI", WARN, reason, remedy)
    return Finding("ROI", OK, reason)


def _names(cameras: Sequence[RigCamera]) -> str:
    return ", ".join(camera.name for camera in cameras)


def _some(cameras: Sequence[RigCamera], told: Callable[[RigCamera], str], most: int = 2) -> str:
    rest = f"; likewise {_names(cameras[most:])}" if len(cameras) > most else ""
    return "; ".join(told(camera) for camera in cameras[:most]) + rest
