"""From where a model's ``lidar`` frame counts on a rig: its LiDAR, or a level one instead; numpy only."""

from __future__ import annotations

import numpy as np

from mapllava.geometry.rigid import rigid

LIDAR_HEIGHT, LIDAR_AHEAD = 1.84, 0.94
"""Where nuScenes mounts LIDAR_TOP: metres above the ground, and ahead of the ego origin."""
LEVEL_DEGREES, HEIGHT_ERROR = 3.0, 0.1
"""How far a rig's LiDAR may be from the mounting that a model knows, to be taken as it is."""

_AXES = np.array([[0.0, 1.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])  # x right, y forward, as LIDAR_TOP's


def virtual_lidar(height: float = LIDAR_HEIGHT, ahead: float = LIDAR_AHEAD) -> np.ndarray:
    """``lidar2ego`` (4, 4) of a level LiDAR mounted as nuScenes' is: x to the right, y forward."""
    return rigid(_AXES, (ahead, 0.0, height))


def frame_of_lidar(lidar2ego: np.ndarray | None, height: float = LIDAR_HEIGHT) -> tuple[np.ndarray, str]:
    """``lidar2ego`` (4, 4) from which a model's map counts on a rig.

    It is the rig's own LiDAR's where that is mounted as the model knows it: level, x to the right and y
    forward, at ``height`` above the ground. Any other would turn or lift the ROI, so that a virtual one takes
    its place; so it does where there is none.

    Args:
        lidar2ego: (4, 4) of the rig's LiDAR, None if it has none.
        height: Metres above the ground at which the model takes its LiDAR to be.

    Returns:
        The transform, and why it is not the rig's own although it has one.
    """
    if lidar2ego is None:
        return virtual_lidar(height), ""
    lidar2ego = np.asarray(lidar2ego, dtype=np.float64)
    cosine = (np.trace(_AXES.T @ lidar2ego[:3, :3]) - 1) / 2
    turned = float(np.degrees(np.arccos(np.clip(cosine, -1, 1))))
    above = float(lidar2ego[2, 3])
    if turned <= LEVEL_DEGREES and abs(above - height) <= HEIGHT_ERROR:
        return lidar2ego, ""
    return virtual_lidar(height), (
        f"the rig's LiDAR is {above:.2f} m above the ground and {turned:.0f} degrees from level, x right, y "
        f"forward; the model knows {height:.2f} m: the map counts from a virtual LiDAR, level at that "
        f"height, {LIDAR_AHEAD} m ahead of the ego origin (lidar2ego in the results)"
    )
