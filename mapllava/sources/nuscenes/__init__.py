"""nuScenes: tables, map expansion and splits. The only place that imports the devkit, and only when used."""
