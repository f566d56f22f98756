import cv2
import numpy as np
import pytest

from mapllava.errors import MapLLaVAError
from mapllava.registry import VISUALIZERS
from mapllava.visualization import write_picture


def test_draws_records_and_writes(data_sample, tmp_path):
    visualizer = VISUALIZERS.build(
        {
            "type": "MapVisualizer",
            "name": "pictures",
            "save_dir": str(tmp_path),
            "vis_backends": [{"type": "LocalVisBackend"}],
        }
    )
    out = tmp_path / "deep" / "a.png"
    rgb = visualizer.add_datasample("val", None, data_sample, out_file=out, step=3)
    np.testing.assert_array_equal(cv2.imread(str(out))[..., ::-1], rgb)
    assert [path.name for path in tmp_path.rglob("vis_image/*")] == ["val_3.png"]
    bare = visualizer.add_datasample("val", None, data_sample, draw_gt=False, draw_pred=False)
    assert bare.shape[1] == rgb.shape[1]
    assert (bare != rgb[: bare.shape[0]]).any()


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(MapLLaVAError, match="cannot be written"):
        write_picture(tmp_path / "file" / "a.png", np.zeros((4, 4, 3), dtype=np.uint8))
