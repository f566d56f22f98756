import cv2
import numpy as np

from mapllava.registry import VISUALIZERS


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
