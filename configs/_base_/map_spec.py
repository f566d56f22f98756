# The one place that says frame, region of interest and classes. Dataset, model and metric all
# receive it when the runner is built; override it on the command line with e.g.
# --cfg-options map_spec.roi="[-25.,-50.,25.,50.]"
map_spec = dict(
    frame="lidar",  # x right, y forward, metres, origin LIDAR_TOP
    roi=[-15.0, -30.0, 15.0, 30.0],  # x_min, y_min, x_max, y_max
    classes=["divider", "ped_crossing", "boundary"],
)
