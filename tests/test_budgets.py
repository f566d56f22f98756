"""Sizes and habits that keep the code readable; the limits are CONTRIBUTING.md's."""

import ast
import io
import statistics
import tokenize
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = sorted((ROOT / "mapllava").rglob("*.py"))
TOOLS = sorted((ROOT / "tools").glob("*.py"))
LEAVES = [path for path in sorted((ROOT / "configs").rglob("*.py")) if "_base_" not in path.parts]
EVERYTHING = [
    path
    for folder in ("mapllava", "tools", "tests", "configs")
    for path in sorted((ROOT / folder).rglob("*.py"))
]
FRAMEWORK_DEPTH = 1


def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def lines(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def functions(path: Path):
    for node in ast.walk(parse(path)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node, node.end_lineno - node.lineno + 1


def percentile(values: list[int], share: float) -> int:
    return sorted(values)[int(share * (len(values) - 1))]


def test_files_are_short():
    sizes = {name(path): lines(path) for path in PACKAGE if path.name != "__init__.py"}
    assert not {path: size for path, size in sizes.items() if size > 400}
    assert statistics.median(sizes.values()) <= 150
    assert percentile(list(sizes.values()), 0.9) <= 300


def test_functions_are_short():
    sizes = {f"{name(path)}:{node.name}": size for path in PACKAGE for node, size in functions(path)}
    assert not {where: size for where, size in sizes.items() if size > 80}
    assert percentile(list(sizes.values()), 0.9) <= 40


def test_constructors_take_at_most_ten_arguments():
    for path in PACKAGE:
        for node, _ in functions(path):
            if node.name == "__init__":
                args = node.args.posonlyargs + node.args.args + node.args.kwonlyargs
                assert len(args) - 1 <= 10, f"{name(path)}: a constructor takes {len(args) - 1} arguments"


def test_classes_inherit_at_most_one_level_above_the_framework():
    own = {
        node.name: node
        for path in PACKAGE
        for node in ast.walk(parse(path))
        if isinstance(node, ast.ClassDef)
    }

    def depth(node: ast.ClassDef) -> int:
        parents = [base.id for base in node.bases if isinstance(base, ast.Name) and base.id in own]
        return 1 + max((depth(own[parent]) for parent in parents), default=-1)

    assert not [cls for cls, node in own.items() if depth(node) > FRAMEWORK_DEPTH]


@pytest.mark.parametrize("path", TOOLS, ids=name)
def test_tools_are_thin(path):
    assert lines(path) <= 15


@pytest.mark.parametrize("path", LEAVES, ids=name)
def test_config_leaves_are_short(path):
    assert lines(path) <= 40


def is_public(node) -> bool:
    return not node.name.startswith("_")


def public_definitions(path: Path):
    tree = parse(path)
    yield path.stem, tree
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and is_public(node):
            yield node.name, node
        if isinstance(node, ast.ClassDef) and is_public(node):
            for child in node.body:
                if isinstance(child, ast.FunctionDef) and is_public(child):
                    yield f"{node.name}.{child.name}", child


@pytest.mark.parametrize("path", PACKAGE, ids=name)
def test_everything_public_has_a_docstring(path):
    overriding = ("setter", "deleter")
    missing = [
        where
        for where, node in public_definitions(path)
        if not ast.get_docstring(node)
        and not any(
            word in ast.unparse(dec) for dec in getattr(node, "decorator_list", []) for word in overriding
        )
    ]
    if path.name == "__init__.py" and lines(path) == 0:
        return
    assert not missing


@pytest.mark.parametrize("path", PACKAGE + TOOLS, ids=name)
def test_habits(path):
    """No print, bare except, assert, silenced warning, unchecked partial load or nan_to_num."""
    for node in ast.walk(parse(path)):
        where = f"{name(path)}:{getattr(node, 'lineno', 0)}"
        if isinstance(node, ast.ExceptHandler):
            assert node.type is not None, f"{where}: bare except"
        if isinstance(node, ast.Assert):
            raise AssertionError(
                f"{where}: assert is no check of what users give; raise an error that explains"
            )
        if not isinstance(node, ast.Call):
            continue
        call = ast.unparse(node.func)
        assert not (call == "print" and path in PACKAGE), f"{where}: print; use a logger"
        assert not call.endswith("nan_to_num"), f"{where}: nan_to_num hides what went wrong"
        assert not call.endswith(("filterwarnings", "simplefilter")), f"{where}: silenced warnings"
        for keyword in node.keywords:
            partial = keyword.arg == "strict" and ast.unparse(keyword.value) == "False"
            assert not (partial and call.endswith("load_state_dict")), f"{where}: unchecked strict=False"
            unsafe = keyword.arg == "weights_only" and ast.unparse(keyword.value) == "False"
            assert not unsafe, f"{where}: weights_only=False runs code from the file"


def looks_like_code(text: str) -> bool:
    text = text.strip("# \t")
    if not text.endswith((")", "]", "}", ":")) and " = " not in text:
        return False
    try:
        tree = ast.parse(text.rstrip(":") if text.startswith(("if ", "for ", "while ")) else text)
    except SyntaxError:
        return False
    return any(isinstance(node, (ast.Assign, ast.Call, ast.Return, ast.Import)) for node in ast.walk(tree))


@pytest.mark.parametrize("path", EVERYTHING, ids=name)
def test_no_commented_out_code(path):
    source = path.read_text(encoding="utf-8")
    comments = (
        token
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type == tokenize.COMMENT
    )
    found = [
        token.string
        for token in comments
        if token.line.strip().startswith("#") and looks_like_code(token.string)
    ]
    assert not found


def test_test_lines_keep_up_with_source_lines():
    source = sum(lines(path) for path in PACKAGE)
    tests = sum(lines(path) for path in (ROOT / "tests").rglob("*.py"))
    assert tests / source >= 0.4
