"""The detector: six cameras in, a scored vector map out.

Shapes: B batch, N cameras, P patches, S scene tokens, Q map-query tokens, D decoder channels.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from mmengine.logging import print_log
from mmengine.model import BaseModel
from torch import Tensor

from mapllava.checkpoint import initialise, keep_built, weight_summary
from mapllava.errors import MapLLaVAError
from mapllava.models.camera import Cameras
from mapllava.models.interface_checks import (
    check_attributes,
    check_grid,
    check_instances,
    check_layers,
    check_losses,
    check_map_queries,
    check_neck_output,
    check_split,
    check_tensor,
)
from mapllava.models.losses.reduction import as_part_of_update, avg_factor, update_avg_factors
from mapllava.models.necks.base import NeckOutput
from mapllava.models.vision_encoders.pixel_statistics import check_pixel_statistics
from mapllava.registry import MODELS
from mapllava.structures.frames import MapSpec
from mapllava.structures.map_data_sample import MapDataSample, prompts_of


@MODELS.register_module()
class MapLLaVA(BaseModel):
    """Vision encoder, Q-Former neck, map queries, map decoder and vector map head, one after the other.

    Each part tells the next its width when the model is built, so that no config states one twice.

    Args:
        vision_encoder: images (B, N, 3, H, W) to patch features.
        neck: patch features to scene tokens, and perhaps a BEV map.
        map_queries: the learned queries and the attention they are allowed.
        decoder: reads prompt and scene tokens, decodes the queries.
        head: decoded queries to scored polylines, with the losses.
        map_spec: ``dict(frame=…, roi=…, classes=…)``; written here from the config's top level.
        data_preprocessor: normalises images on the device.

    Raises:
        ValueError: if ``map_spec`` is missing.
    """

    def __init__(
        self,
        vision_encoder: dict,
        neck: dict,
        map_queries: dict,
        decoder: dict,
        head: dict,
        map_spec: dict | None = None,
        data_preprocessor: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        preprocessor = None if data_preprocessor is None else MODELS.build(data_preprocessor)
        super().__init__(preprocessor, init_cfg)
        if map_spec is None:
            raise ValueError(
                "model.map_spec is missing: build from mapllava.config.resolve.resolve(cfg), which writes "
                "the config's top-level map_spec into every component"
            )
        self._avg_factors: list[float] | None = None  # of head and neck, within an update
        self.map_spec = MapSpec.from_config(map_spec)
        self.vision_encoder = MODELS.build(vision_encoder)
        check_attributes(self.vision_encoder, {"embed_dims": 1})
        check_pixel_statistics(self.vision_encoder, preprocessor)
        self.neck = MODELS.build(
            dict(neck, in_channels=self.vision_encoder.embed_dims, map_spec=self.map_spec)
        )
        check_attributes(self.neck, {"embed_dims": 1, "bev_dims": 0})
        self.decoder = MODELS.build(dict(decoder, in_channels=self.neck.embed_dims))
        check_attributes(self.decoder, {"embed_dims": 1})
        self.map_queries = MODELS.build(self._layout(map_queries))
        check_map_queries(self.map_queries, self.decoder.embed_dims)
        self.head = MODELS.build(
            dict(
                head,
                in_channels=self.decoder.embed_dims,
                bev_dims=self.neck.bev_dims,
                num_instances=self.map_queries.num_instances,
                map_spec=self.map_spec,
            )
        )
        if getattr(self.map_queries, "scene", None) is not None and not hasattr(self.head, "references"):
            raise MapLLaVAError(
                f"model.map_queries.scene: {type(self.head).__name__} has no references (I, P, 2), where "
                "queries would read the scene: give it some, or set model.map_queries.scene=None"
            )
        summary = weight_summary(self)
        if summary:
            print_log(f"\n{summary}", logger="current")

    def _layout(self, map_queries: dict) -> dict:
        """Config of the map queries with what neck and decoder tell of themselves."""
        config = dict(map_queries, embed_dims=self.decoder.embed_dims)
        if config.get("scene") is None:
            return config
        grid = getattr(self.neck, "token_shape", None)
        if grid is None:
            raise MapLLaVAError(
                f"model.map_queries.scene: the scene tokens of {type(self.neck).__name__} have no place on "
                "the ground (token_shape): use BEVQFormerNeck, or set model.map_queries.scene=None"
            )
        return {**config, "scene": dict(config["scene"], in_channels=self.neck.embed_dims, grid=grid)}

    def init_weights(self) -> None:
        """Apply the parts' ``init_cfg``, once; everything else starts as it was built or loaded."""
        keep_built(self)
        initialise(self)

    def forward(
        self,
        inputs: dict[str, Tensor],
        data_samples: Sequence[MapDataSample] | None = None,
        mode: str = "tensor",
    ) -> dict[str, Tensor] | list[MapDataSample] | tuple[Tensor, Tensor]:
        """Losses, predictions or raw outputs, as MMEngine's ``mode`` says.

        Args:
            inputs: ``img`` (B, N, 3, H, W) normalised, ``lidar2img`` (B, N, 4, 4).
            data_samples: the samples; needed for ``loss`` and ``predict``. One with a ``prompt`` is decoded
                after that, the others after the decoder's own.
            mode: ``loss`` (dict of losses), ``predict`` (the samples with ``pred_instances``) or
                ``tensor`` (class logits and normalised points of every layer).

        Raises:
            ValueError: for another mode, or samples missing.
            MapLLaVAError: if predictions are not finite, in mode ``predict``.
        """
        if mode not in ("loss", "predict", "tensor"):
            raise ValueError(f"mode '{mode}' is not one of loss, predict, tensor")
        out = self.extract_features(inputs)
        logits, points = self.decode(out, prompts_of(data_samples))
        if mode == "tensor":
            return logits, points
        if data_samples is None:
            raise ValueError(f"mode '{mode}' needs data_samples")
        if mode == "loss":
            return self._losses(out, logits, points, data_samples)
        # (B,), one transfer for the whole batch
        finite = logits[-1].isfinite().flatten(1).all(1) & points[-1].isfinite().flatten(1).all(1)
        if not bool(finite.all()):
            broken = [s for s, good in zip(data_samples, finite.tolist(), strict=True) if not good]
            names = ", ".join(str(sample.get("sample_token", "unnamed")) for sample in broken)
            raise MapLLaVAError(
                f"predictions are not finite; samples: {names}. Either the weights hold NaN or infinity "
                "(take an earlier checkpoint), or activations overflow (float16: compute in bfloat16)"
            )
        found = check_instances(self.head, self.head.predict(logits, points), len(data_samples))
        for sample, instances in zip(data_samples, found, strict=True):
            sample.pred_instances = instances
        return list(data_samples)

    @contextmanager
    def one_update(self, batches: Sequence[Mapping[str, Any]]) -> Iterator[None]:
        """Within, batches have losses whose mean, over batches and processes, is that of one large batch.

        The losses of a part (head, neck) are means over its ``avg_factor(data_samples)``, or over samples
        where it has none: over matched elements in the head. Each batch is weighed by its share of those of
        the whole update. Outside, a batch is an update of its own, with those of the other processes.

        Args:
            batches: All that this process accumulates for an update, as the dataloader gives them.
        """
        samples = [batch["data_samples"] for batch in batches]
        self._avg_factors = update_avg_factors((self.head, self.neck), samples)
        try:
            yield
        finally:
            self._avg_factors = None

    def _losses(
        self, out: NeckOutput, logits: Tensor, points: Tensor, data_samples: Sequence[MapDataSample]
    ) -> dict[str, Tensor]:
        parts = (self.head, self.neck)
        means = self._avg_factors or update_avg_factors(parts, [data_samples])
        losses = check_losses(
            {
                self.head: self.head.loss(logits, points, data_samples, out.bev),
                self.neck: self.neck.loss(out, data_samples),
            }
        )
        weighed: dict[str, Tensor] = {}
        for part, found, mean in zip(parts, losses, means, strict=True):
            weighed |= as_part_of_update(found, avg_factor(part, data_samples), mean)
        return weighed

    def extract_features(self, inputs: dict[str, Tensor]) -> NeckOutput:
        """Images to scene tokens (B, S, D) and, where the neck gives one, a BEV map."""
        img = inputs["img"]
        img_hw = (img.shape[-2], img.shape[-1])
        rows, cols = grid = check_grid(self.vision_encoder, self.vision_encoder.grid_size(img_hw))
        shape = (*img.shape[:2], rows * cols, self.vision_encoder.embed_dims)
        feats = check_tensor(self.vision_encoder, "features", self.vision_encoder(img), shape, img)
        out = self.neck(feats, grid, Cameras(inputs["lidar2img"], img_hw))
        return check_neck_output(self.neck, out, len(img), feats)

    def decode(self, out: NeckOutput, prompts: Sequence[str | None] | None = None) -> tuple[Tensor, Tensor]:
        """Scene tokens to class logits (L, B, I, n_classes) and points (L, B, I, P, 2) in [0, 1].

        Args:
            out: what the neck gave.
            prompts: B texts, see :func:`~mapllava.structures.map_data_sample.prompts_of`.
        """
        instances, points = self.decode_queries(out, prompts)
        return check_layers(
            self.head, self.head(instances, points, out.bev), instances, len(self.map_spec.classes)
        )

    def decode_queries(
        self, out: NeckOutput, prompts: Sequence[str | None] | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """Scene tokens to decoded instances (B, I, D), and points (B, I, P, D) where the layout has some.

        Args:
            out: what the neck gave.
            prompts: B texts, see :func:`~mapllava.structures.map_data_sample.prompts_of`.
        """
        queries = self.map_queries
        if getattr(queries, "scene", None) is not None:
            queries = queries.of_scene(out.scene_tokens, self.head.references.sigmoid())
        hidden = self.decoder(out.scene_tokens, queries, prompts)
        shape = (len(out.scene_tokens), self.map_queries.num_tokens, self.decoder.embed_dims)
        check_tensor(self.decoder, "decoded queries", hidden, shape, out.scene_tokens)
        return check_split(self.map_queries, self.map_queries.split(hidden), hidden)
