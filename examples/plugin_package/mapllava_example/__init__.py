"""One component of every kind; importing the package registers them all."""

from mapllava_example.dataset import FirstScenesDataset
from mapllava_example.decoder import MeanSceneDecoder
from mapllava_example.head import OneShotHead
from mapllava_example.hook import LossLimitHook
from mapllava_example.loss import LengthLoss
from mapllava_example.metric import LineCountMetric
from mapllava_example.neck import PooledNeck
from mapllava_example.transform import GammaMultiView
from mapllava_example.vision_encoder import PatchMeanEncoder

__all__ = [
    "FirstScenesDataset",
    "GammaMultiView",
    "LengthLoss",
    "LineCountMetric",
    "LossLimitHook",
    "MeanSceneDecoder",
    "OneShotHead",
    "PatchMeanEncoder",
    "PooledNeck",
]
