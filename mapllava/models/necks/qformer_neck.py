"""BLIP-2's Q-Former over every camera, with the viewing rays of its patches.

Shapes: B batch, N cameras, P = h*w patches, C patch channels, K queries per camera,
S = N*K scene tokens, D token channels.
"""

from __future__ import annotations

from torch import Tensor, nn

from mapllava.errors import MapLLaVAError
from mapllava.models.camera import Cameras
from mapllava.models.necks.base import MapNeck, NeckOutput
from mapllava.models.necks.ray_encoding import RayEncoding
from mapllava.registry import MODELS
from mapllava.structures.frames import MapSpec


@MODELS.register_module()
class QFormerNeck(MapNeck):
    """Every camera's own queries read that camera's patches; the scene tokens are all of them.

    The Q-Former runs on one image at a time, as BLIP-2 trained it. What it cannot know from the
    image, where a patch looks, is added to the patch features: the position embedding of its viewing
    ray in the map frame. Queries are learned per camera and start from BLIP-2's 32 where its weights are
    loaded.

    Args:
        in_channels: C (given by the detector).
        map_spec: frame, ROI and classes (given by the detector; the rays are in that frame already).
        qformer: config of the Q-Former core, with ``pretrained`` or ``architecture``.
        num_cameras: N.
        num_queries: K.
        ray_encoding: config of the position embedding; ``RayEncoding`` with its defaults if None.
    """

    def __init__(
        self,
        in_channels: int,
        qformer: dict,
        map_spec: MapSpec | None = None,
        num_cameras: int = 6,
        num_queries: int = 128,
        ray_encoding: dict | None = None,
    ) -> None:
        super().__init__()
        self.num_cameras = num_cameras
        self.qformer = MODELS.build(dict(qformer, encoder_dims=in_channels))
        self.embed_dims: int = self.qformer.embed_dims
        rays = {"type": RayEncoding, **(ray_encoding or {})}
        self.ray_encoding = MODELS.build(dict(rays, out_channels=in_channels))
        initial = self.qformer.initial_queries(num_cameras * num_queries)
        self.query_tokens = nn.Parameter(initial.view(num_cameras, num_queries, self.embed_dims))

    def forward(self, feats: Tensor, grid: tuple[int, int], cameras: Cameras) -> NeckOutput:
        """Patch features (B, N, P, C) of a patch grid (h, w) to scene tokens (B, S, D).

        Raises:
            MapLLaVAError: if the number of cameras is another than the queries are for.
        """
        batch, views = feats.shape[:2]
        if views != len(self.query_tokens):
            raise MapLLaVAError(
                f"{views} cameras given, but the queries are for {len(self.query_tokens)}: set "
                "model.neck.num_cameras to the rig's"
            )
        states = feats + self.ray_encoding(cameras, grid).to(feats.dtype)
        # Cameras become batch entries, (B*N, K, D) and (B*N, P, C): the Q-Former sees one image at a time
        queries = self.query_tokens.expand(batch, -1, -1, -1)
        tokens = self.qformer(queries.flatten(0, 1), states.flatten(0, 1))
        return NeckOutput(tokens.reshape(batch, -1, self.embed_dims))
