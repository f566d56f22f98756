"""Base of the vision encoders that are vision transformers of the transformers library.

Shapes: B batch, N cameras, P = h*w patches (row-major), C channels.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from mmengine.model import BaseModule
from torch import Tensor

from mapllava.checkpoint import KeyTable
from mapllava.errors import MapLLaVAError
from mapllava.models.backbones.hf_backbone import HFBackbone, keep_frozen, takes_backbone
from mapllava.models.backbones.hf_config import RANDOM_STD, configure, part_config
from mapllava.models.vision_encoders.position_embeddings import KeptPositionEmbeddings


class HFVisionEncoder(BaseModule):
    """A vision transformer's patch features, without its class token, in float32.

    Images of any size that is a multiple of the patch: position embeddings are interpolated
    (bicubic) from the square they were trained on, once per size where they are frozen. A frozen
    encoder without ``lora`` keeps no activations.

    Args:
        feature_layer: the layer whose features are given, counted from the end: -1 is the last, -2
            what LLaVA-1.5 reads of CLIP. Layers behind it are neither built nor loaded.
        **backbone: the transformer, see :class:`~mapllava.models.backbones.hf_backbone.HFBackbone`.

    Attributes:
        embed_dims: C.

    Raises:
        ValueError: as :class:`HFBackbone`; if there is no such layer.
        MapLLaVAError: as :class:`HFBackbone`.
    """

    config_name: ClassVar[str]
    model_name: ClassVar[str]
    table: ClassVar[KeyTable]
    alike: ClassVar[tuple[str, ...]] = ()

    @takes_backbone
    def __init__(self, *, feature_layer: int = -1, **backbone: Any) -> None:
        super().__init__()
        import transformers

        hf = HFBackbone(type(self).__name__, **backbone)
        config = self._config(hf, getattr(transformers, self.config_name))
        table = self._cut(config, feature_layer)
        self.backbone: Any = hf.build(getattr(transformers, self.model_name), config, table)
        self.positions = KeptPositionEmbeddings(self.backbone.embeddings)
        self.backbone.embeddings.interpolate_pos_encoding = self.positions
        if hf.source is not None:
            names = (name for name, p in self.backbone.named_parameters() if p is self.positions.weight)
            self.backbone.load_report.interpolated.extend(names)
        self.base_weights = hf.describe()
        self.frozen = hf.frozen
        self.embed_dims: int = config.hidden_size
        self.patch_size = int(config.patch_size)

    def _config(self, hf: HFBackbone, config_class: Any) -> Any:
        """The vision tower's config, from a folder of the tower alone or of the whole model."""
        if hf.source is None:
            return configure(config_class, {"initializer_range": RANDOM_STD, **hf.architecture}, hf.component)
        return part_config(hf.source, "vision_config", config_class, hf.component, self.alike)

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
            MapLLaVAError: if a side is no multiple of the patch: a rim that is cut off would shift the
                patches against their viewing rays.
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
        # A frozen encoder behind images without a gradient: autograd would keep activations for nothing
        learns = img.requires_grad or any(weight.requires_grad for weight in self.backbone.parameters())
        with torch.set_grad_enabled(torch.is_grad_enabled() and learns):
            output = self.backbone(pixel_values=img.flatten(0, 1), interpolate_pos_encoding=True)
        patches = output.last_hidden_state[:, 1:].float()  # without the class token, (B*N, P, C)
        return patches.unflatten(0, (batch, views))
