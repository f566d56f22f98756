# The head, its matching and losses: MapTR's weights, shared by every model.
model = dict(
    head=dict(
        type="VectorMapHead",
        num_points=20,
        max_predictions=50,
        criterion=dict(
            type="MapCriterion",
            assigner=dict(
                type="HungarianMapAssigner",
                costs=[
                    dict(type="FocalClassCost", weight=2.0),
                    dict(type="OrderedPointsL1Cost", weight=5.0),
                ],
            ),
            # by name in the log; a leaf adds one under another name, dict(type=…)
            losses=dict(
                cls=dict(type="FocalClassLoss", weight=2.0, alpha=0.25, gamma=2.0),
                pts=dict(type="PointsL1Loss", weight=5.0),
                dir=dict(type="DirectionCosineLoss", weight=0.005),
            ),
        ),
    ),
)
