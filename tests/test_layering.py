"""Imports run one way, and heavy libraries stay where they belong."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "mapllava"
FILES = sorted(PACKAGE.rglob("*.py"))

# part of the package -> parts of it that it may import; root modules are free
ROOTS = {
    "registry",
    "progress",
    "errors",
    "version",
    "files",
    "claims",
    "startup",
    "resources",
    "plugins",
    "finding",
    "published",
}
LOWER = {"config", "structures", "geometry", "gt_cache", "checkpoint", "language"}
ALLOWED = {
    "config": {"structures"},
    "structures": set(),
    "geometry": {"structures"},
    "language": {"structures", "geometry"},
    "sources": {"structures", "geometry"},
    "gt_cache": {"structures", "geometry", "sources"},
    "synthetic": {"structures", "geometry", "sources", "gt_cache"},
    "datasets": {"structures", "geometry", "gt_cache", "language"},
    "checkpoint": {"config", "structures", "geometry"},
    "models": {"config", "structures", "geometry", "checkpoint", "language"},
    "evaluation": {"structures", "geometry", "gt_cache", "language"},
    "visualization": {"config", "structures", "geometry", "evaluation", "language"},
    "engine": LOWER | {"datasets", "evaluation", "visualization"},
    "apis": LOWER | {"datasets", "models", "evaluation", "visualization"},
    "analysis": LOWER | {"datasets", "models", "engine", "evaluation", "visualization"},
    "testing": LOWER | {"datasets", "models", "evaluation", "synthetic", "analysis"},
    "doctor": LOWER | {
        "sources", "datasets", "models", "engine", "evaluation", "visualization", "synthetic", "analysis",
    },
    "cli": LOWER | {
        "sources", "datasets", "models", "engine", "evaluation", "visualization", "synthetic", "apis",
        "analysis", "doctor",
    },
    "__main__": {"cli"},
}  # fmt: skip


def part_of(path: Path) -> str:
    relative = path.relative_to(PACKAGE)
    return relative.parts[0].removesuffix(".py")


def imports(path: Path, top_level: bool = False) -> list[str]:
    """Modules imported in a file, those below ``if TYPE_CHECKING`` left out."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            node.body = [ast.Pass()]
    found = []
    for node in tree.body if top_level else ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found += [str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)]
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.relative_to(PACKAGE).as_posix())
def test_imports_run_one_way(path):
    part = part_of(path)
    if part in ROOTS | {"__init__"}:
        return
    assert part in ALLOWED, f"say in this test what mapllava/{part} may import"
    used = {name.split(".")[1] for name in imports(path) if name.startswith("mapllava.")} - ROOTS
    used = {name for name in used if (PACKAGE / name).exists()}
    assert used <= ALLOWED[part] | {part}, f"{path.name} imports {sorted(used - ALLOWED[part] - {part})}"


@pytest.mark.parametrize("part", ["structures", "geometry"])
def test_the_ground_floor_needs_no_torch(part):
    allowed_torch = {"map_data_sample.py"}
    for path in (PACKAGE / part).rglob("*.py"):
        if path.name not in allowed_torch and path.name != "__init__.py":
            assert not [name for name in imports(path) if name.split(".")[0] in ("torch", "mmengine")], path


@pytest.mark.parametrize(("source", "devkit"), [("nuscenes", "nuscenes"), ("argoverse2", "av2")])
def test_only_its_source_imports_a_devkit_and_lazily(source, devkit):
    for path in FILES:
        used = [name for name in imports(path) if name.split(".")[0] == devkit]
        inside = path.is_relative_to(PACKAGE / "sources" / source)
        assert inside or not used, f"{path} imports {used}"
        assert not [name for name in imports(path, top_level=True) if name.split(".")[0] == devkit], path


def test_models_need_neither_mmcv_nor_the_map_libraries():
    for path in (PACKAGE / "models").rglob("*.py"):
        forbidden = {"mmcv", "nuscenes", "shapely", "cv2", "matplotlib"}
        assert not [name for name in imports(path) if name.split(".")[0] in forbidden], path


def test_nothing_in_the_package_imports_tools_or_tests():
    for path in FILES:
        assert not [
            name for name in imports(path) if name.split(".")[0] in ("tools", "tests", "configs", "unittest")
        ], path
