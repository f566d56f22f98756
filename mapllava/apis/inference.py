"""A trained model from its file alone, and maps from camera images."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.dataset import Compose, pseudo_collate
from mmengine.registry import DefaultScope
from torch import nn

from mapllava.apis.asking import understand
from mapllava.checkpoint import ModelFile, read_model_file
from mapllava.checkpoint.model_loader import load_trained
from mapllava.checkpoint.self_description import inference_pipeline
from mapllava.config.trusted import check_components
from mapllava.config.walk import at
from mapllava.datasets.transforms.resize import ResizeMultiView
from mapllava.errors import MapLLaVAError
from mapllava.evaluation.answering import answer, cut_map
from mapllava.evaluation.sample_record import Display, display_from_json
from mapllava.language import Answer, Parsed, Parser
from mapllava.plugins import import_installed_plugins
from mapllava.registry import SCOPE, TRANSFORMS
from mapllava.structures import MapLines
from mapllava.structures.frames import MapSpec
from mapllava.visualization.from_data_sample import predicted_lines


def load_model(
    path: str | Path,
    device: str | torch.device | None = None,
    pretrained: Mapping[str, str | Path] | None = None,
    parser: str | Path | Parser | None = None,
) -> MapPredictor:
    """Build a trained model from its file, ready to predict.

    The config is the file's own. Base weights come from where they came from in training (of the
    same revision, where they are the hub's) and must be the same; every tensor is accounted for.

    Args:
        path: ``best_model.pth``, ``final_model.pth`` or a checkpoint of an epoch.
        device: where the model runs; the first GPU by default, or else the CPU.
        pretrained: folders of base weights that have moved, by component:
            ``{'decoder': '/weights/vicuna-7b-v1.5'}``.
        parser: turns sentences into requests, for prompts and questions in words: a trained parser's file, or
            what :func:`~mapllava.apis.load_parser` gave; without one they are canonical texts. From a file
            it shares the map decoder's language model where it can, see there.

    Returns:
        The model in evaluation mode with its preprocessing; the unwrapped model is its ``model``.

    Raises:
        MapLLaVAError: if the file is missing, damaged, foreign or of another format, names a
            component that is not registered, or its base weights are missing or differ.
    """
    import_installed_plugins()
    file = read_model_file(path)
    config = copy.deepcopy(file.meta["full_config"])
    place_bases(file, config["model"], pretrained or {})
    pipeline = inference_pipeline(config)
    if not pipeline:
        raise MapLLaVAError(f"'{file.path}': its config has no test data, so no preprocessing is known")
    check_components(config["model"], "model", str(path))
    check_components(pipeline, "pipeline", str(path))
    place_prompt(file, config["model"])
    example = dict.fromkeys(file.meta["base_weights"], "FOLDER")
    remedy = f"Where they lie elsewhere: mapllava.load_model({str(path)!r}, pretrained={example})"
    content = {"state_dict": file.state, "meta": file.meta}
    with DefaultScope.overwrite_default_scope(SCOPE):
        model = load_trained(config, content, path, device, remedy, same_precision=True)
        steps = Compose([TRANSFORMS.build(step) for step in pipeline])
    for step in steps.transforms:  # an upright camera is squeezed, its intrinsics with it
        resizer = step if isinstance(step, ResizeMultiView) else getattr(step, "resizer", None)
        if isinstance(resizer, ResizeMultiView):
            resizer.refuse_turned = False
    predictor = MapPredictor(model, steps, file)
    if isinstance(parser, (str, Path)):
        from mapllava.apis import load_parser  # here, because it is needed for a file alone

        parser = load_parser(parser, device, beside=predictor)
    predictor.parser = parser
    return predictor


class MapPredictor:
    """A trained model that predicts maps from camera images; :func:`load_model` makes it.

    Attributes:
        model: the detector, in evaluation mode.
        map_spec: frame, ROI and classes of what it predicts.
        cameras: names of the cameras in the order that it was trained with; None if not known.
        num_cameras: how many it takes, where its neck has weights for each of them; None for any number.
        meta: what the file says of itself; see :mod:`mapllava.checkpoint.model_file`.
        parser: turns sentences into requests; None where there is none.
        display: from which score on a line is there for prompts and questions, as in pictures: the file's;
            None takes the pictures' fallback. May be set, for instance to
            :data:`~mapllava.evaluation.formats.geojson.ALL_LINES`.
    """

    def __init__(
        self, model: nn.Module, pipeline: Compose, file: ModelFile, parser: Parser | None = None
    ) -> None:
        self.model = model
        self.pipeline = pipeline
        self.map_spec = MapSpec.from_config(file.meta["map_spec"])
        self.cameras: list[str] | None = file.meta["cameras"]
        self.num_cameras: int | None = getattr(getattr(model, "neck", None), "num_cameras", None)
        self.meta = file.description()
        self.parser = parser
        known = self.meta.get("display")
        self.display: Display | None = (
            None if known is None else display_from_json(known, self.map_spec.classes)
        )

    def predict(
        self,
        images: Sequence[str | Path | np.ndarray],
        cam2img: np.ndarray | None = None,
        lidar2cam: np.ndarray | None = None,
        lidar2img: np.ndarray | None = None,
        prompt: str | None = None,
    ) -> MapLines:
        """Draw the map around the car, or the part of it that is asked for.

        The images go through the transforms of the model's own test data: give them as the cameras
        store them, with the matrices that belong to those pixels. A model whose ``num_cameras`` is None takes
        any number of cameras in any order, others those of ``cameras``. For whole rigs and streams of samples
        see :class:`~mapllava.apis.map_inferencer.MapInferencer`.

        Args:
            images: N paths, or N arrays (H, W, 3) uint8 in BGR order.
            cam2img: (N, 3, 3) intrinsics in pixels, pixel centres at whole numbers.
            lidar2cam: (N, 4, 4) metres in the map frame (``map_spec.frame``; the LiDAR's for
                ``lidar``) to metres in the camera's, x right, y down, z forward.
            lidar2img: (N, 4, 4) in place of the other two: (x, y, z, 1) to (u d, v d, d, 1).
            prompt: what to draw: ``crossings and road edges within 20 m ahead``, or the canonical form of it.
                The whole map is predicted, and cut exactly: see :meth:`cut`. None: every line, any score.

        Returns:
            The lines, best first: ``points``, each (P, 2) metres in the map frame; ``labels`` (K,),
            places in ``map_spec.classes``; ``scores`` (K,) in [0, 1].

        Raises:
            ValueError: if the images or matrices are of another number or shape, or incomplete.
            MapLLaVAError: if an image cannot be read, or the prompt is not understood or a question.
        """
        asked = None if prompt is None else self.understand(prompt)
        lines = self._whole_map(images, cam2img, lidar2cam, lidar2img)
        return lines if asked is None else self.cut(lines, asked)

    def ask(
        self,
        images: Sequence[str | Path | np.ndarray],
        cam2img: np.ndarray | None = None,
        lidar2cam: np.ndarray | None = None,
        question: str = "",
        lidar2img: np.ndarray | None = None,
    ) -> list[Answer]:
        """Predict the map around the car and answer from it; images and matrices as in :meth:`predict`.

        Args:
            images: N images.
            cam2img: (N, 3, 3) pixels.
            lidar2cam: (N, 4, 4) metres.
            question: ``How far is the next crossing?``, or canonical: ``distance: ped_crossing; ahead``.
            lidar2img: (N, 4, 4) in place of the other two.

        Returns:
            As :meth:`answer`.
        """
        asked = self.understand(question)
        return self.answer(self._whole_map(images, cam2img, lidar2cam, lidar2img), asked)

    def understand(self, text: str) -> Parsed:
        """What a prompt or question asks; see :func:`mapllava.apis.asking.understand`."""
        return understand(text, self.map_spec.classes, self.parser)

    def answer(self, lines: MapLines, question: str | Parsed) -> list[Answer]:
        """Answer a question from a map that :meth:`predict` gave without a prompt.

        Args:
            lines: all of the map; those below ``display`` and near-duplicates count as not there.
            question: in words, canonical, or understood already.

        Returns:
            One for each request in the question: ``text``, ``value`` with its ``unit``, ``cited`` (places in
            ``lines``) with their ``scores``, and whether they are high enough to be ``certain``.

        Raises:
            MapLLaVAError: if the question is not understood.
        """
        asked = self.understand(question) if isinstance(question, str) else question
        return answer(lines, asked.requests, self.map_spec, self.display)

    def cut(self, lines: MapLines, prompt: str | Parsed) -> MapLines:
        """The part of a whole map that a prompt asks for, cut at the region's edges.

        Args:
            lines: all of the map; those below ``display`` and near-duplicates are left out, as in pictures.
            prompt: in words, canonical, or understood already.

        Raises:
            MapLLaVAError: if it is not understood, or a question.
        """
        asked = self.understand(prompt) if isinstance(prompt, str) else prompt
        return cut_map(lines, asked.requests, self.map_spec, self.display)

    def _whole_map(self, images: Sequence[Any], cam2img: Any, lidar2cam: Any, lidar2img: Any) -> MapLines:
        images = list(images)
        self._check_images(images)
        prepared = self.prepare(images, *_matrices(len(images), cam2img, lidar2cam, lidar2img))
        (lines,) = self.predict_prepared([prepared])
        return lines

    def prepare(
        self,
        images: Sequence[str | Path | np.ndarray],
        cam2img: np.ndarray,
        lidar2cam: np.ndarray,
        names: Sequence[str] | None = None,
        token: str = "",
    ) -> dict[str, Any]:
        """Read, scale and pack one sample, without the model; several threads may do so at once.

        Args:
            images: N, paths and arrays as in :meth:`predict`; kinds may be mixed.
            cam2img: (N, 3, 3) pixels.
            lidar2cam: (N, 4, 4) metres.
            names: of the cameras, for errors; by default those of the training.
            token: the sample's name, for errors.

        Returns:
            The sample as the model's test data would give it.

        Raises:
            MapLLaVAError: if an image cannot be read, or the pipeline asks for what is not given.
        """
        arrays = any(isinstance(image, np.ndarray) for image in images)
        sources = [image if isinstance(image, np.ndarray) else str(image) for image in images]
        known = self.cameras if self.cameras and len(self.cameras) == len(images) else None
        results = {
            "img" if arrays else "img_paths": sources,
            "cam2img": cam2img,
            "lidar2cam": lidar2cam,
            "cam_names": list(names or known or [f"CAM_{index}" for index in range(len(images))]),
            "map_spec": self.map_spec,
            "sample_idx": 0,
            "flip": False,
            **({"sample_token": token} if token else {}),
        }
        try:
            return self.pipeline(results)
        except KeyError as error:
            raise MapLLaVAError(
                f"the model's test pipeline asks for {error}, which images and matrices do not give: "
                "predict through its data set (mapllava test)"
            ) from error

    def predict_prepared(self, samples: Sequence[dict[str, Any]]) -> list[MapLines]:
        """Predict the maps of a batch.

        Args:
            samples: what :meth:`prepare` gave, all with the same number of cameras.

        Returns:
            The lines of each, best first; see :meth:`predict`.

        Raises:
            MapLLaVAError: if the model gives no predictions, or ones that are not finite.
        """
        with torch.inference_mode():
            predicted = self.model.test_step(pseudo_collate(list(samples)))  # type: ignore[operator]
        found = [predicted_lines(each) for each in predicted]
        if any(lines is None for lines in found):
            raise MapLLaVAError(f"{type(self.model).__name__} gave no pred_instances")
        return [lines for lines in found if lines is not None]

    def _check_images(self, images: list[Any]) -> None:
        if self.num_cameras is not None and len(images) != self.num_cameras:
            order = "" if self.cameras is None else f", in this order: {', '.join(self.cameras)}"
            raise ValueError(
                f"{len(images)} images given; the model was trained with {self.num_cameras} cameras{order}, "
                f"and its {type(self.model.neck).__name__} has queries for each of them"
            )
        if len({isinstance(image, np.ndarray) for image in images}) != 1:
            raise ValueError("some images are paths and some are arrays, or there are none: give one kind")


def _matrices(count: int, cam2img: Any, lidar2cam: Any, lidar2img: Any) -> tuple[np.ndarray, np.ndarray]:
    """Intrinsics (N, 3, 3) and extrinsics (N, 4, 4), float64.

    A projection needs no taking apart: transforms scale and crop it through unit intrinsics alike.
    """
    if (lidar2img is None) == (cam2img is None and lidar2cam is None):
        raise ValueError("give the cameras as cam2img and lidar2cam, or as lidar2img alone")
    if lidar2img is not None:
        cam2img, lidar2cam = np.tile(np.eye(3), (count, 1, 1)), lidar2img
    given = []
    for name, values, size in (("cam2img", cam2img, 3), ("lidar2cam", lidar2cam, 4)):
        name = "lidar2img" if lidar2img is not None and size == 4 else name
        matrix = np.array(np.nan if values is None else values, dtype=np.float64)
        if matrix.shape != (count, size, size) or not np.isfinite(matrix).all():
            found = "missing" if values is None else f"of shape {matrix.shape}, or not finite"
            raise ValueError(f"{name} is {found}: {count} images need ({count}, {size}, {size})")
        given.append(matrix)
    return given[0], given[1]


def place_bases(file: ModelFile, model_cfg: dict[str, Any], moved: Mapping[str, str | Path]) -> None:
    """Write into the config where each component's base weights are to be read."""
    unknown = sorted(set(moved) - set(file.meta["base_weights"]))
    if unknown:
        known = ", ".join(file.meta["base_weights"]) or "none"
        raise MapLLaVAError(
            f"'{file.path}': pretrained names {', '.join(unknown)}; its components with base weights: {known}"
        )
    for component, base in file.meta["base_weights"].items():
        node = at(model_cfg, component)
        if not isinstance(node, dict) or not node.get("pretrained"):
            continue
        revision, name = base.get("revision"), str(node["pretrained"])
        if component in moved:
            node["pretrained"] = str(moved[component])
        elif revision and "@" not in name:
            node["pretrained"] = f"{name}@{revision}"


def place_prompt(file: ModelFile, model_cfg: dict[str, Any]) -> None:
    """Write the prompt's ids into the config, so that no tokenizer need be at hand."""
    prompt, decoder = file.meta["prompt"], model_cfg.get("decoder")
    if prompt is not None and isinstance(decoder, dict) and "prompt" in decoder:
        recorded = {"ids": {prompt["text"]: prompt["ids"]}, "identity": prompt["tokenizer"]}
        decoder["tokenizer"] = {"type": "RecordedTokenizer", **recorded}
