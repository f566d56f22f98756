"""What cameras' names say about where they look, against where they do."""

from __future__ import annotations

import re
from itertools import combinations

import numpy as np

from mapllava.finding import FAIL, WARN, Finding
from mapllava.geometry.rig_view import look_direction
from mapllava.structures.rig import Rig, RigSample

_FORWARD = {"front": 1.0, "forward": 1.0, "fwd": 1.0, "back": -1.0, "rear": -1.0, "backward": -1.0}
_SIDE = {"left": 1.0, "right": -1.0}
_SHORT = {
    "fl": (1.0, 1.0),
    "fr": (1.0, -1.0),
    "bl": (-1.0, 1.0),
    "br": (-1.0, -1.0),
    "rl": (-1.0, 1.0),
    "rr": (-1.0, -1.0),
}
_BETTER = 60.0
"""Degrees by which two directions must fit better exchanged, so that the cameras count as swapped."""
_ASTRAY = 100.0
_TURNED = 15.0, 45.0
"""Degrees by which a whole rig is turned, from which one is told of it, and from which it is refused."""


def named_direction(name: str) -> float | None:
    """Yaw, degrees, that a camera's name promises; None where it names no direction.

    ``CAM_FRONT_LEFT``, ``front-left``, ``frontLeft`` and ``cam_fl`` are all 45.
    """
    words = [word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+", name)]
    forward = [_FORWARD[word] for word in words if word in _FORWARD]
    side = [_SIDE[word] for word in words if word in _SIDE]
    short = [_SHORT[word] for word in words if word in _SHORT]
    if short and not forward and not side:
        forward, side = [short[0][0]], [short[0][1]]
    if not forward and not side:
        return None
    return float(np.degrees(np.arctan2(sum(side[:1]), sum(forward[:1]))))


def check_names(rig: Rig) -> list[Finding]:
    """Whether cameras look where their names say.

    Args:
        rig: Cameras with rigid poses.
    """
    promised = {c.name: d for c in rig.cameras if (d := named_direction(c.name)) is not None}
    actual = {c.name: look_direction(c.cam2ego)[0] for c in rig.cameras if c.name in promised}
    turned = _turned_together(promised, actual)
    if turned and turned.status == FAIL:
        return [turned]
    found = [turned] if turned else []
    swapped: set[str] = set()
    for one, other in combinations(promised, 2):
        now = _apart(actual[one], promised[one]) + _apart(actual[other], promised[other])
        exchanged = _apart(actual[one], promised[other]) + _apart(actual[other], promised[one])
        if now - exchanged > _BETTER and not swapped & {one, other}:
            swapped |= {one, other}
            reason = (
                f"{one} looks {_side(actual[one])} and {other} {_side(actual[other])}: the two are swapped"
            )
            found.append(Finding("swapped", FAIL, reason, "exchange the poses of the two, or their names"))
    for name in promised:
        if name not in swapped and _apart(actual[name], promised[name]) > _ASTRAY:
            reason = f"{name} looks {_side(actual[name])}, which its name does not say"
            found.append(Finding("name", WARN, reason, "check its pose, or name it for where it looks"))
    return found


def check_file_names(sample: RigSample) -> list[Finding]:
    """Whether an image's file bears the name of another camera.

    Args:
        sample: A moment; images that are arrays have no names.
    """
    names = [camera.name for camera in sample.rig.cameras]
    paths = [image for image in sample.images if not isinstance(image, np.ndarray)]
    shared = (
        {folder for folder in paths[0].parents if all(folder in path.parents for path in paths)}
        if paths
        else {}
    )
    found = []
    for name, image in zip(names, sample.images, strict=True):
        if isinstance(image, np.ndarray):
            continue
        # A folder that holds the images of all cameras is named after none of them.
        parts = [image.name, *(folder.name for folder in image.parents if folder not in shared)]
        if (borne := _borne(parts, name, names)) != name:
            reason = f"camera {name} is given the image '{image}', which bears the name of {borne}"
            found.append(
                Finding("swapped", FAIL, reason, "give each camera its own image, or rename the file")
            )
    return found


def _borne(parts: list[str], name: str, names: list[str]) -> str:
    """Whose name a path bears: of the file if of any camera, else of the folder next to it that has one."""
    for place, part in enumerate(parts):
        has = [other for other in names if _holds(part.lower(), other.lower(), whole=place > 0)]
        if not has:
            continue
        longest = max(has, key=len)  # CAM_FRONT is part of CAM_FRONT_LEFT
        own = name in has and name.lower() not in longest.lower()
        return name if own or len(longest) < 3 else longest
    return name


def _holds(part: str, name: str, whole: bool) -> bool:
    """Whether a part of a path has a name in it; as a word of its own where ``backup`` is not ``back``."""
    return bool(re.search(rf"(?<![a-z0-9]){re.escape(name)}(?![a-z0-9])", part)) if whole else name in part


def _turned_together(promised: dict[str, float], actual: dict[str, float]) -> Finding | None:
    """All of a rig's cameras are off by one and the same angle: the vehicle's axes are others."""
    if len(promised) < 3 or len({round(angle) for angle in promised.values()}) < 3:
        return None
    off = np.exp(1j * np.radians([actual[name] - promised[name] for name in promised]))
    angle = float(np.degrees(np.angle(off.mean())))
    if abs(off.mean()) < 0.9 or abs(angle) < _TURNED[0]:
        return None
    reason = f"every camera looks about {angle:+.0f}° away from what its name says: the vehicle's x "
    if abs(angle) < _TURNED[1]:
        reason += "may not point forward"
        remedy = "leave it if the names are rough; else turn the poses by that, the vehicle's x is forward"
        return Finding("vehicle axes", WARN, reason, remedy)
    reason += "does not point forward"
    remedy = 'name the axes ("vehicle_axes": "right-forward-up" for x right, y forward), or turn the poses'
    return Finding("vehicle axes", FAIL, reason, remedy)


def _apart(one: float, other: float) -> float:
    return abs((one - other + 180) % 360 - 180)


def _side(yaw: float) -> str:
    words = ("forward", "forward left", "left", "back left", "back", "back right", "right", "forward right")
    return f"{words[round(yaw / 45) % 8]} (yaw {yaw:.0f}°)"
