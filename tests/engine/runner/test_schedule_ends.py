"""Schedules by epoch follow the number of epochs, which is written once."""

from mmengine.config import Config

from mapllava.config.resolve import inject_map_spec

SPEC = dict(frame="lidar", roi=[-15.0, -30.0, 15.0, 30.0], classes=["divider", "ped_crossing", "boundary"])


def test_an_open_end_becomes_the_number_of_epochs_and_others_stay():
    schedules = [
        dict(type="LinearLR", start_factor=0.1, end=500, by_epoch=False),
        dict(type="CosineAnnealingLR", by_epoch=True),
        dict(type="MultiStepLR", milestones=[1], by_epoch=True, end=3),
        dict(type="ConstantLR", by_epoch=False),
    ]
    cfg = Config(dict(map_spec=SPEC, train_cfg=dict(max_epochs=7), param_scheduler=schedules))
    inject_map_spec(cfg)
    assert [s.get("end") for s in cfg.param_scheduler] == [500, 7, 3, None]
