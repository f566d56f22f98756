"""A rig of any car as a trained model reads it: where its map frame lies, which cameras it is given.

Shapes: N cameras, P points on the ground.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mapllava.apis.inference import MapPredictor
from mapllava.errors import MapLLaVAError
from mapllava.geometry.lidar_frame import LIDAR_HEIGHT, frame_of_lidar
from mapllava.structures import MapSpec
from mapllava.structures.rig import Rig
from mapllava.visualization import on_ground

LOST_SHARE, SQUEEZE = 0.02, 1.5
"""Share of a camera's ground, and ratio of its two scales, from which one is told of it."""

_GROUND_STEP = 1.0  # metres between the places of the ground that are looked at
_NEAR = 0.5


@dataclass(frozen=True, eq=False)
class ModelView:
    """A rig in a model's frame.

    Attributes:
        order: Places in ``rig.cameras`` of the N cameras, as the model is given them.
        names: Their names, as the model knows them.
        cam2img: (N, 3, 3) pixels of the images as stored.
        lidar2cam: (N, 4, 4) metres in the map frame to the camera's.
        lidar2ego: (4, 4) of the LiDAR, real or virtual, from which the frame ``lidar`` counts.
        note: What a user should know of it; empty where nothing is out of the ordinary.
    """

    order: tuple[int, ...]
    names: tuple[str, ...]
    cam2img: np.ndarray
    lidar2cam: np.ndarray
    lidar2ego: np.ndarray
    note: str = ""


def view_of(rig: Rig, predictor: MapPredictor, camera_names: Mapping[str, str] | None = None) -> ModelView:
    """Put a rig into a model's frame.

    Args:
        rig: Of pinhole cameras.
        predictor: The model.
        camera_names: The rig's names to those of the training, where they differ.

    Raises:
        MapLLaVAError: If the rig has no camera, ``camera_names`` one that it lacks, or the model has
            weights of its own for each camera and cannot tell which is which; says what to do.
    """
    lidar2ego, note = frame_of_lidar(rig.lidar2ego, ground_height(predictor))
    order, names = _order(rig, predictor, camera_names or {})
    cameras = [rig.cameras[index] for index in order]
    frame2ego = lidar2ego
    if predictor.map_spec.frame == "ego":
        frame2ego, note = np.eye(4), ""  # its map counts from the car, wherever the LiDAR is
    ego2cam = [np.linalg.inv(np.asarray(camera.cam2ego, dtype=np.float64)) for camera in cameras]
    return ModelView(
        order,
        names,
        np.stack([np.asarray(camera.cam2img, dtype=np.float64) for camera in cameras]),
        np.stack([matrix @ frame2ego for matrix in ego2cam]),
        lidar2ego,
        note,
    )


def ground_height(predictor: MapPredictor) -> float:
    """Metres from the ground up to the origin of the model's ``lidar`` frame, as its neck takes it."""
    ground = getattr(getattr(predictor.model, "neck", None), "ground", None)
    known = predictor.map_spec.frame == "lidar" and ground is not None
    return -float(ground) if known and ground is not None else LIDAR_HEIGHT


def _order(
    rig: Rig, predictor: MapPredictor, renamed: Mapping[str, str]
) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """Which cameras, in which order: the training's where the names are its; else the rig's own."""
    own = [camera.name for camera in rig.cameras]
    what = f"rig '{rig.source}'" if rig.source else "the rig"
    if not own:
        raise MapLLaVAError(f"{what} has no camera")
    unknown = sorted(set(renamed) - set(own))
    if unknown:
        raise MapLLaVAError(f"camera_names has {', '.join(unknown)}; the cameras of {what}: {', '.join(own)}")
    names = [renamed.get(name, name) for name in own]
    trained = predictor.cameras
    if trained and sorted(names) == sorted(trained):
        return tuple(names.index(name) for name in trained), tuple(trained)
    if predictor.num_cameras is not None:
        neck, known = type(predictor.model.neck).__name__, trained or [f"{predictor.num_cameras} cameras"]
        raise MapLLaVAError(
            f"{what} has the cameras {', '.join(names)}; the model's {neck} has queries of its own for each "
            f"of {', '.join(known)}: say which is which (camera_names={{OWN: TRAINED}}, --camera-names "
            "OWN=TRAINED), or take a model with a BEVQFormerNeck, which draws maps from any cameras"
        )
    return tuple(range(len(own))), tuple(names)


def projections(rig: Rig, lidar2ego: np.ndarray, frame: str) -> np.ndarray:
    """From a map frame to the pixels of a rig's images as stored, (N, 4, 4), cameras in the rig's order.

    Args:
        rig: Of pinhole cameras.
        lidar2ego: (4, 4) from which ``lidar`` counts, metres.
        frame: ``lidar`` or ``ego``.
    """
    frame2ego = np.eye(4) if frame == "ego" else lidar2ego
    found = np.tile(np.eye(4), (len(rig.cameras), 1, 1))
    for matrix, camera in zip(found, rig.cameras, strict=True):
        matrix[:3, :3] = camera.cam2img
        matrix[:] = matrix @ np.linalg.inv(camera.cam2ego) @ frame2ego
    return found


def fit_notes(
    rig: Rig, view: ModelView, shape: tuple[int, int], lidar2img: np.ndarray, map_spec: MapSpec
) -> list[str]:
    """What a model's preprocessing takes from a rig's images that it did not take in training.

    Args:
        rig: The rig, with the sizes of its images as stored.
        view: It in the model's frame.
        shape: (H, W) of the model's input, pixels.
        lidar2img: (N, 4, 4) map frame to that input's pixels.
        map_spec: The model's.

    Returns:
        A sentence for each camera whose ground inside of the ROI is cut away, or that is squeezed.
    """
    ground = _ground(view, map_spec)
    notes = []
    for place, index in enumerate(view.order):
        camera = rig.cameras[index]
        stored = np.eye(4)
        stored[:3, :3] = view.cam2img[place]
        before = _seen(ground, stored @ view.lidar2cam[place], camera.size)
        after = _seen(ground, lidar2img[place], (shape[1], shape[0]))
        lost = float((before & ~after).sum() / max(1, before.sum()))
        if lost > LOST_SHARE:
            notes.append(
                f"camera {camera.name}: {lost:.0%} of the ground that it sees within the ROI is cropped away "
                "before the model (its test pipeline was made for another rig's horizon): crop the images "
                "yourself so that the horizon lies where the training's did, or mind what is missing"
            )
        ratio = _squeeze(view.cam2img[place], lidar2img[place] @ np.linalg.inv(view.lidar2cam[place]))
        if max(ratio, 1 / ratio) > SQUEEZE:
            notes.append(
                f"camera {camera.name}: its {camera.size[0]} x {camera.size[1]} pixels are squeezed by "
                f"{max(ratio, 1 / ratio):.1f} to the model's input; crop them to its shape for sharper lines"
            )
    return notes


def _ground(view: ModelView, map_spec: MapSpec) -> np.ndarray:
    """Places on the ground within the ROI, (P, 4), homogeneous in the map frame."""
    roi = map_spec.roi
    x = np.arange(roi.x_min + _GROUND_STEP / 2, roi.x_max, _GROUND_STEP)
    y = np.arange(roi.y_min + _GROUND_STEP / 2, roi.y_max, _GROUND_STEP)
    points = np.stack([grid.ravel() for grid in np.meshgrid(x, y)], axis=1)
    return np.column_stack([on_ground(points, view.lidar2ego, map_spec.frame), np.ones(len(points))])


def _seen(points: np.ndarray, lidar2img: np.ndarray, size: Sequence[int]) -> np.ndarray:
    projected = points @ np.asarray(lidar2img, dtype=np.float64).T
    depth = projected[:, 2]
    pixels = projected[:, :2] / np.where(depth > _NEAR, depth, 1.0)[:, None]
    inside = ((pixels >= -0.5) & (pixels <= np.array(size) - 0.5)).all(axis=1)
    return (depth > _NEAR) & inside


def _squeeze(stored: np.ndarray, network: np.ndarray) -> float:
    """How much more a camera's columns are scaled than its rows."""
    return float((network[0, 0] / stored[0, 0]) / (network[1, 1] / stored[1, 1]))
