"""The sample that travels through pipeline, model and evaluator."""

from __future__ import annotations

from mmengine.structures import BaseDataElement, InstanceData, PixelData


class MapDataSample(BaseDataElement):
    """Ground truth, predictions and meta information of one moment.

    Fields:

    * ``gt_instances``: ``labels`` (G,) int64, ``points`` (G, P, 2) float32 metres, ``orders``
      (G, O, P, 2) float32 metres with all equivalent vertex orders, ``closed`` and ``directed``
      (G,) bool.
    * ``pred_instances``: ``points`` (K, P, 2) float32 metres, ``scores`` (K,), ``labels`` (K,).
    * ``gt_bev``: ``data`` (C, Y, X) uint8; row 0 is the ROI's ``y_min``, column 0 its ``x_min``.

    Setting a field to a value of another type raises ``AssertionError`` (MMEngine's convention).
    """

    @property
    def gt_instances(self) -> InstanceData:
        """Ground-truth lines; raises AttributeError when unset."""
        return self._gt_instances

    @gt_instances.setter
    def gt_instances(self, value: InstanceData) -> None:
        self.set_field(value, "_gt_instances", dtype=InstanceData)

    @gt_instances.deleter
    def gt_instances(self) -> None:
        del self._gt_instances

    @property
    def pred_instances(self) -> InstanceData:
        """Predicted lines; raises AttributeError when unset."""
        return self._pred_instances

    @pred_instances.setter
    def pred_instances(self, value: InstanceData) -> None:
        self.set_field(value, "_pred_instances", dtype=InstanceData)

    @pred_instances.deleter
    def pred_instances(self) -> None:
        del self._pred_instances

    @property
    def gt_bev(self) -> PixelData:
        """Rasterised ground truth; raises AttributeError when unset."""
        return self._gt_bev

    @gt_bev.setter
    def gt_bev(self, value: PixelData) -> None:
        self.set_field(value, "_gt_bev", dtype=PixelData)

    @gt_bev.deleter
    def gt_bev(self) -> None:
        del self._gt_bev
