"""Where a rig's cameras and its LiDAR stand: units that are not metres, and places that no car has."""

from __future__ import annotations

import numpy as np

from mapllava.finding import FAIL, WARN, Finding
from mapllava.geometry.lidar_frame import frame_of_lidar
from mapllava.geometry.rig_faults import FAR, HEIGHTS
from mapllava.structures.rig import Rig

REACH = 10.0
"""Metres along the ground from the car's origin beyond which a camera or a LiDAR is seldom mounted."""
_UNITS = {"centimetres": 100, "millimetres": 1000}


def check_distances(rig: Rig) -> list[Finding]:
    """Cameras that are farther from the car's origin than any car carries one.

    All of a rig's cameras are in other units where all, divided, stand as cameras do; else those that are
    far are named, for a mistake of their own.

    Args:
        rig: Cameras with rigid poses.
    """
    places = {camera.name: camera.cam2ego[:3, 3] for camera in rig.cameras}
    far = {name: place for name, place in places.items() if np.linalg.norm(place) > FAR}
    if not far:
        return []
    name, (x, y, z) = next(iter(far.items()))
    away = max(float(np.linalg.norm(place)) for place in far.values())
    reason = (
        f"{', '.join(far)}: the first is at ({x:.0f}, {y:.0f}, {z:.0f}), {away:.0f} m from the car's origin"
    )
    for unit, factor in _UNITS.items():
        if all(_mounted(place / factor) for place in places.values()):
            remedy = f"write metres: divide every translation by {factor}"
            return [Finding(unit, FAIL, f"{reason}: these are {unit}", remedy)]
    found = []
    for name, (x, y, z) in far.items():
        units = [unit for unit, factor in _UNITS.items() if _mounted(places[name] / factor)]
        reason = f"{name} is at ({x:.2f}, {y:.2f}, {z:.2f}) m, no car reaches that far"
        reason += f"; it fits {' or '.join(units)}" if units else ""
        remedy = f"correct the translation of {name} alone: a typo, or not in metres"
        found.append(Finding("far from the car", FAIL, reason, remedy))
    return found


def check_reach(rig: Rig) -> list[Finding]:
    """Cameras that stand farther out than most, and a LiDAR that cannot be, or that no model counts from.

    Args:
        rig: Cameras with rigid poses that are not far from the car.
    """
    found = []
    for camera in rig.cameras:
        x, y, _ = camera.cam2ego[:3, 3]
        if np.hypot(x, y) > REACH:
            reason = f"{camera.name} is at ({x:.2f}, {y:.2f}), {np.hypot(x, y):.0f} m from the car's origin"
            remedy = "leave it on a bus or lorry; else check its translation, in metres from the rear axle"
            found.append(Finding("far from the car", WARN, reason, remedy))
    return found + _lidar(rig.lidar2ego)


def _lidar(lidar2ego: np.ndarray | None) -> list[Finding]:
    if lidar2ego is None:
        return []
    x, y, z = (float(value) for value in lidar2ego[:3, 3])
    if np.hypot(x, y) > FAR or not 0 < z <= FAR:
        reason = f"the LiDAR is at ({x:.2f}, {y:.2f}, {z:.2f}) m: no car carries one there"
        remedy = "check lidar_to_vehicle: metres, from the LiDAR to the vehicle (not the other way round)"
        return [Finding("LiDAR", FAIL, reason, remedy)]
    note = frame_of_lidar(lidar2ego)[1]
    if np.hypot(x, y) > REACH or not HEIGHTS[0] <= z <= HEIGHTS[1] or note:
        reason = note or f"the LiDAR is at ({x:.2f}, {y:.2f}, {z:.2f}) m, farther than cars carry one"
        remedy = "leave it if it is mounted so; else check lidar_to_vehicle"
        return [Finding("LiDAR", WARN, reason, remedy)]
    return []


def _mounted(place: np.ndarray) -> bool:
    """Whether a camera is usually mounted at a place (3,), metres."""
    return bool(np.hypot(place[0], place[1]) < REACH and HEIGHTS[0] <= place[2] <= HEIGHTS[1])
