"""What the vision transformers of transformers have in common here.

Shapes: B batch, N cameras, P = h*w patches (row-major), C channels.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn

from mapllava.checkpoint import KeyTable, WeightSource
from mapllava.errors import MapLLaVAError
from mapllava.models.backbones.hf_backbone import (
    RANDOM_STD,
    build_backbone,
    configure,
    keep_frozen,
    open_source,
    part_config,
    resolve_dtype,
    settle,
    without_dropout,
)
from mapllava.models.backbones.trainability import check_trainability
from mapllava.models.vision_encoders.position_embeddings import KeptPositionEmbeddings


class HFVisionEncoder(BaseModule):
    """A vision transformer's patch features, without its class token.

    Images of any size that is a multiple of the patch: position embeddings are interpolated
    (bicubic) from the square they were trained on, once per size where they are frozen.

    Args:
        pretrained: folder or hub id; its ``config.json`` decides the architecture.
        architecture: values of the config for a random start; ignored with ``pretrained``.
        frozen: keep the encoder's weights; without ``lora`` it then keeps no activations.
        gradient_checkpointing: recompute activations in the backward pass.
        dtype: the backbone's dtype, ``float32`` if None; features come out as float32.
        feature_layer: the layer whose features are given, counted from the end: -1 is the last, -2
            what LLaVA-1.5 reads of CLIP. Layers behind it are neither built nor loaded.
        lora: adapters that train on the frozen weights, ``dict(rank, alpha, targets, dropout)``.
        quantization: hold the frozen weights of linear layers packed, ``dict(bits=4)`` (NF4, optionally
            ``compute_dtype``) or ``dict(bits=8)``.

    Attributes:
        embed_dims: C.

    Raises:
        ValueError: if neither ``pretrained`` nor ``architecture`` is given, or one is wrong.
        MapLLaVAError: if the weights do not fit, or ``frozen``, ``lora`` and ``quantization`` contradict
            each other.
    """

    config_name: ClassVar[str]
    model_name: ClassVar[str]
    table: ClassVar[KeyTable]
    alike: ClassVar[tuple[str, ...]] = ()

    def __init__(
        self,
        pretrained: str | None = None,
        architecture: dict | None = None,
        frozen: bool = True,
        gradient_checkpointing: bool = False,
        dtype: str | None = None,
        feature_layer: int = -1,
        lora: dict | None = None,
        quantization: dict | None = None,
    ) -> None:
        super().__init__()
        check_trainability(type(self).__name__, frozen, lora, quantization)
        source = self._source(pretrained, architecture)
        config = self._config(source, architecture)
        table = self._cut(config, feature_layer)
        if frozen:
            without_dropout(config)
        torch_dtype = resolve_dtype(dtype)

        def construct() -> nn.Module:
            import transformers

            model_class = getattr(transformers, self.model_name)
            return model_class._from_config(config, dtype=torch_dtype, attn_implementation="sdpa")

        self.backbone: Any = build_backbone(construct, source, table, quantization)
        self.positions = KeptPositionEmbeddings(self.backbone.embeddings)
        self.backbone.embeddings.interpolate_pos_encoding = self.positions
        if source is not None:
            names = (name for name, p in self.backbone.named_parameters() if p is self.positions.weight)
            self.backbone.load_report.interpolated.extend(names)
        self.base_weights = None if source is None else source.describe()
        self.frozen = frozen
        settle(self.backbone, frozen, gradient_checkpointing, lora)
        self.embed_dims: int = config.hidden_size
        self.patch_size = int(config.patch_size)

    def _source(self, pretrained: str | None, architecture: dict | None) -> WeightSource | None:
        """Where the tower's weights are, or None for a random start."""
        return open_source(pretrained, architecture, type(self).__name__)

    def _cut(self, config: Any, feature_layer: int) -> KeyTable:
        """Take the layers behind the one that is read out of the config; the table drops theirs."""
        layers = config.num_hidden_layers
        if not -layers <= feature_layer <= -1:
            raise ValueError(
                f"{type(self).__name__}: feature_layer={feature_layer} is none of -1 (the last) to {-layers}"
            )
        config.num_hidden_layers = layers + feature_layer + 1
        unread = "|".join(map(str, range(config.num_hidden_layers, layers)))
        return self.table.without(rf".*encoder\.layers\.({unread})\.") if unread else self.table

    def _config(self, source: WeightSource | None, architecture: dict | None) -> Any:
        """The vision tower's config, from a folder of the tower alone or of the whole model."""
        import transformers

        config_class = getattr(transformers, self.config_name)
        name = type(self).__name__
        if source is None:
            return configure(config_class, {"initializer_range": RANDOM_STD, **(architecture or {})}, name)
        return part_config(source, "vision_config", config_class, name, self.alike)

    def train(self, mode: bool = True) -> HFVisionEncoder:
        """Set the mode; a frozen encoder stays in evaluation mode."""
        super().train(mode)
        self.positions.forget()
        if self.frozen:
            keep_frozen(self.backbone, mode)
        return self

    def grid_size(self, img_hw: tuple[int, int]) -> tuple[int, int]:
        """Patch grid (h, w) of images of (H, W) pixels.

        Raises:
            MapLLaVAError: if a side is no multiple of the patch: a cut-off rim would shift what the
                patches see against where their rays look.
        """
        patch = self.patch_size
        if img_hw[0] % patch or img_hw[1] % patch:
            fits = " x ".join(f"{max(1, round(side / patch)) * patch}" for side in img_hw)
            raise MapLLaVAError(
                f"images of {img_hw[0]} x {img_hw[1]} (H x W) are no multiple of the {patch}-pixel patch: "
                f"resize or crop them to {fits} in the data pipeline"
            )
        return img_hw[0] // patch, img_hw[1] // patch

    def forward(self, img: Tensor) -> Tensor:
        """Encode images (B, N, 3, H, W), normalised, into patch features (B, N, P, C) float32."""
        batch, views = img.shape[:2]
        self.grid_size((img.shape[-2], img.shape[-1]))
        learns = img.requires_grad or any(weight.requires_grad for weight in self.backbone.parameters())
        with torch.set_grad_enabled(torch.is_grad_enabled() and learns):
            output = self.backbone(pixel_values=img.flatten(0, 1), interpolate_pos_encoding=True)
        patches = output.last_hidden_state[:, 1:].float()
        return patches.unflatten(0, (batch, views))
