# One query token for every point, 1,050 in all, instead of one for every instance.
_base_ = ["./synthetic.py"]

model = dict(map_queries=dict(type="PointMapQueries"))
