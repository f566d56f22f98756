from types import SimpleNamespace

import numpy as np
import pytest
import torch

from mapllava.engine.hooks import AblationHook
from mapllava.errors import MapLLaVAError
from mapllava.models.data_preprocessor import MapDataPreprocessor
from mapllava.structures.map_data_sample import MapDataSample


class Scenes:
    """Eight samples of two scenes; a sample's images are its index, a camera's number added."""

    def __init__(self, scenes=("a", "b")):
        self.scenes = scenes

    def __len__(self):
        return 8

    def get_data_info(self, index):
        return {"sample_token": f"t{index}", "scene_token": self.scenes[index * len(self.scenes) // 8]}

    def __getitem__(self, index):
        img = torch.full((6, 3, 4, 4), 10 * index, dtype=torch.uint8) + torch.arange(
            6, dtype=torch.uint8
        ).view(6, 1, 1, 1)
        matrices = np.tile(np.eye(4, dtype=np.float32), (6, 1, 1))
        return {
            "inputs": {"img": img},
            "data_samples": MapDataSample(metainfo={**self.get_data_info(index), "lidar2img": matrices}),
        }


def batch(mode, scenes=("a", "b"), indices=(0, 5)):
    model = torch.nn.Module()
    model.data_preprocessor = MapDataPreprocessor(mean=[0.0] * 3, std=[1.0] * 3)
    data = Scenes(scenes)
    runner = SimpleNamespace(
        model=model,
        test_dataloader=SimpleNamespace(dataset=data),
        logger=SimpleNamespace(warning=lambda text: None),
    )
    samples = [data[index] for index in indices]
    collated = {
        "inputs": {"img": [s["inputs"]["img"] for s in samples]},
        "data_samples": [s["data_samples"] for s in samples],
    }
    hook = AblationHook(mode)
    hook.before_test(runner)
    altered = model.data_preprocessor(collated)["inputs"]
    hook.after_test(runner)
    return altered, model.data_preprocessor(collated)["inputs"]


def test_blank_images_are_all_the_same_and_cameras_stay():
    altered, plain = batch("blank")
    assert altered["img"].unique().tolist() == [0.0]
    assert torch.equal(altered["lidar2img"], plain["lidar2img"])


def test_every_camera_gets_another_ones_image():
    altered, plain = batch("shuffle-cameras")
    assert torch.equal(altered["img"].sort(dim=1).values, plain["img"].sort(dim=1).values)
    assert all(not torch.equal(altered["img"][:, i], plain["img"][:, i]) for i in range(6))
    assert torch.equal(altered["lidar2img"], plain["lidar2img"])


def test_extrinsics_turn_by_sixty_degrees_and_images_stay():
    altered, plain = batch("wrong-extrinsics")
    assert torch.equal(altered["img"], plain["img"])
    moved = altered["lidar2img"][0, 0] @ torch.tensor([1.0, 0.0, 0.0, 1.0])
    assert moved[:2].tolist() == pytest.approx([0.5, 0.8660254], abs=1e-6)


def test_images_come_from_another_scene_and_labels_stay():
    altered, _ = batch("other-sample", indices=(0, 3, 5))
    donors = (altered["img"][:, 0, 0, 0, 0] / 10).int().tolist()
    assert [donor // 4 for donor in donors] == [1, 1, 0]
    with pytest.raises(MapLLaVAError, match="two scenes"):
        batch("other-sample", scenes=("a",))


def test_unknown_ablation_is_refused():
    with pytest.raises(MapLLaVAError, match="shuffle-cameras"):
        AblationHook("dark")
