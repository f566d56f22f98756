"""Transforms, one file each; every one lists the keys it requires, adds and modifies.

Pixel convention, kept by all of them: the centre of the top left pixel is (u, v) = (0, 0), so
its area is [-0.5, 0.5]². Scaling by s moves u to ``(u + 0.5) * s - 0.5``, cropping ``left``
columns moves it to ``u - left``, mirroring to ``W - 1 - u``; ``cam2img`` follows exactly.
"""

from mapllava.datasets.transforms.corruption import CORRUPTIONS, CameraDropout, CorruptMultiView
from mapllava.datasets.transforms.crop import CropMultiView
from mapllava.datasets.transforms.flip import RandomLateralFlip
from mapllava.datasets.transforms.formatting import PackMapInputs
from mapllava.datasets.transforms.loading import LoadMultiViewImages
from mapllava.datasets.transforms.photometric import PhotoMetricDistortionMultiView
from mapllava.datasets.transforms.rasterize import RasterizeBEV
from mapllava.datasets.transforms.resample import ResamplePolylines
from mapllava.datasets.transforms.resize import ResizeMultiView

__all__ = [
    "CORRUPTIONS",
    "CameraDropout",
    "CorruptMultiView",
    "CropMultiView",
    "LoadMultiViewImages",
    "PackMapInputs",
    "PhotoMetricDistortionMultiView",
    "RandomLateralFlip",
    "RasterizeBEV",
    "ResamplePolylines",
    "ResizeMultiView",
]
