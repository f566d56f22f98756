"""What a synthetic city is made from, and which scenes that gives."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from mapllava.errors import MapLLaVAError
from mapllava.synthetic.scene import SceneKey

GENERATOR = 2
"""Changes whenever the same options would give different data."""
VERSIONS = {"v1.0-mini": ("mini_train", "mini_val"), "v1.0-trainval": ("train", "val")}


@dataclass(frozen=True)
class CityOptions:
    """Options of a city; see :func:`mapllava.synthetic.create_city`."""

    version: str = "v1.0-mini"
    num_train_scenes: int | None = None
    num_val_scenes: int | None = None
    samples_per_scene: int | None = None
    image_size: tuple[int, int] = (1600, 900)
    seed: int = 0
    images: bool = True

    def check(self) -> None:
        """Refuse what cannot be made.

        Raises:
            MapLLaVAError: Naming the option, its value and what is possible.
        """
        if self.version not in VERSIONS:
            raise MapLLaVAError(f"version is '{self.version}'; possible are {', '.join(VERSIONS)}")
        width, height = self.image_size
        if not (32 <= width <= 4096 and 18 <= height <= 4096):
            raise MapLLaVAError(f"image_size is {width}x{height}; possible are 32x18 to 4096x4096 pixels")
        if self.samples_per_scene is not None and not 1 <= self.samples_per_scene <= 400:
            raise MapLLaVAError(f"samples_per_scene is {self.samples_per_scene}; possible are 1 to 400")
        if self.seed < 0:
            raise MapLLaVAError(f"seed is {self.seed}; it must not be negative")

    def to_dict(self) -> dict[str, Any]:
        """All options and the generator's number, as JSON stores them."""
        return {"generator": GENERATOR, **asdict(self), "image_size": list(self.image_size)}

    def scene_keys(self) -> list[SceneKey]:
        """The scenes, training scenes first, picked evenly from the official lists.

        Raises:
            MapLLaVAError: If more scenes are wanted than the official split has.
        """
        from mapllava.sources.nuscenes.splits import official_scene_names

        keys = []
        wishes = (self.num_train_scenes, self.num_val_scenes)
        for split, official, wish in zip(("train", "val"), VERSIONS[self.version], wishes, strict=True):
            names = official_scene_names(official)
            count = len(names) if wish is None else wish
            if not 0 <= count <= len(names):
                raise MapLLaVAError(
                    f"num_{split}_scenes is {count}, but {self.version} has {len(names)} {split} scenes: "
                    f"give 0 to {len(names)}, or another version ({', '.join(VERSIONS)})"
                )
            for index in range(count):
                samples = self.samples_per_scene or 40 + (index % 3 == 1)
                name = names[index * len(names) // count]
                keys.append(SceneKey(name, split, samples, self.image_size, self.seed))
        if not keys:
            raise MapLLaVAError(
                "num_train_scenes and num_val_scenes are both 0: a city needs at least one scene"
            )
        return keys
