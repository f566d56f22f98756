"""A folder of one's own: ``rig.json`` and images, sub-folders of them, a list of frames, or videos."""

from mapllava.sources.folder.folder_input import open_input
from mapllava.structures.rig import RigInput

__all__ = ["RigInput", "open_input"]
