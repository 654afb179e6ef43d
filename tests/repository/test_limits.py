"""Files and functions stay short enough to be read at once."""

import ast
from pathlib import Path

import pytest

from tests.repository.tree import handwritten, name_of

FILE_LINES = 400
FUNCTION_LINES = 50

# What is longer, with its lines: `path`, or `path::function`. The list may only shrink: nothing is added, no number
# is raised, and one that fell is lowered here.
EXCEPTIONS: dict[str, int] = {}


def too_long(name: str, source: str) -> dict[str, int]:
    """Return the lines of the file and of each function in it that exceed their limit."""
    lines = len(source.splitlines())
    found = {name: lines} if lines > FILE_LINES else {}
    if name.endswith(".py"):
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or node.lineno) - node.lineno + 1
                if length > FUNCTION_LINES:
                    found[f"{name}::{node.name}"] = length
    return found


def test_no_file_or_function_is_longer_than_its_limit() -> None:
    found: dict[str, int] = {}
    for path in handwritten(".py", ".proto", ".sh", ".ts", ".go", ".java", ".rs", ".cc", ".h", ".rb"):
        found |= too_long(name_of(path), path.read_text(encoding="utf-8"))
    assert found == EXCEPTIONS


@pytest.mark.parametrize(
    ("lines", "expected"), [(FUNCTION_LINES, {}), (FUNCTION_LINES + 1, {"x.py::f": FUNCTION_LINES + 1})]
)
def test_the_lines_of_a_function_count_from_its_def_to_its_end(lines: int, expected: dict[str, int]) -> None:
    assert too_long("x.py", "def f():\n" + "    pass\n" * (lines - 1)) == expected


def test_every_abstract_method_has_a_docstring() -> None:
    bare = [f"{name_of(path)}:{line}" for path in handwritten(".py") for line in _bare_abstract_methods(path)]
    assert bare == []


def _bare_abstract_methods(path: Path) -> list[int]:
    return [
        node.lineno
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and any("abstractmethod" in ast.unparse(decorator) for decorator in node.decorator_list)
        and ast.get_docstring(node) is None
    ]
