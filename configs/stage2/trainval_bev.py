# The trainval recipe with 768 queries on the ground (48 x 16 over the ROI) instead of 128 per camera.
_base_ = ["./trainval.py"]

model = dict(
    neck=dict(
        _delete_=True,
        type="BEVQFormerNeck",
        bev_dims=256,
        cell=0.625,  # metres: 96 x 48 cells
        heights=[-1.84, -1.0],
        token_stride=[2, 3],
        dilations=[1, 1, 2, 2, 1],
        attention=dict(radius=6.0, pool=1),
        loss_bev=dict(bce=40.0, dice=10.0),
        qformer=_base_.model.neck.qformer,
    ),
)
