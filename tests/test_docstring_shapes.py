"""Public functions that take or give tensors say of which shapes."""

import ast
import re
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "mapllava"
ANY_SHAPE = {"checkpoint", "engine"}  # their tensors are weights and gradients
FILES = [
    path
    for path in sorted(PACKAGE.rglob("*.py"))
    if path.relative_to(PACKAGE).parts[0] not in ANY_SHAPE and "cost" not in path.parts
]
SIZE = r"(?:[A-Za-z][\w.]*|\d+|\.\.\.|…)(?:\s?[*+-]\s?(?:[A-Za-z][\w.]*|\d+))*'?"
SHAPE = re.compile(rf"\({SIZE}(?:,\s*{SIZE})+\)|\({SIZE},\)|\bscalars?\b|\bany shape\b")


def public_functions(tree: ast.Module):
    """Functions of a module and methods of its classes, those that the outside calls."""
    for node in tree.body:
        below = node.body if isinstance(node, ast.ClassDef) and not node.name.startswith("_") else [node]
        for child in below:
            if isinstance(child, ast.FunctionDef) and (child.name == "__call__" or child.name[0] != "_"):
                yield child


def of_tensors(node: ast.FunctionDef) -> bool:
    """Whether an argument or the result is annotated as a tensor or an array."""
    arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
    notes = [each.annotation for each in arguments] + [node.returns]
    return any(re.search(r"\b(Tensor|ndarray)\b", ast.unparse(note)) for note in notes if note is not None)


def test_docstrings_of_tensor_code_give_shapes():
    missing = [
        f"{path.relative_to(PACKAGE)}:{node.lineno} {node.name}"
        for path in FILES
        for node in public_functions(ast.parse(path.read_text(encoding="utf-8")))
        if of_tensors(node) and not SHAPE.search(ast.get_docstring(node) or "")
    ]
    assert not missing, "say the shapes of what comes and goes, for instance (B, I, P, 2)"


def test_what_is_a_shape():
    shapes = ["(B, N*P, C)", "(L, B, I, P, 2)", "(K,)", "(..., 4)", "(4, 4)", "(B, h * w, C)", "two scalars"]
    assert all(SHAPE.search(f"Gives {each}.") for each in shapes)
    for text in ("", "Patch features (of all cameras).", "Points (metres)", "see (1)"):
        assert not SHAPE.search(text)
