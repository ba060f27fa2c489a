"""The house stays small: sizes, names, one-way imports, one formatter for each thing."""

import ast
import re
from pathlib import Path
from statistics import median, quantiles

import pytest

ROOT = Path(__file__).parents[3]
TESTS = ROOT / "tests"
SOURCE_ROOTS = ("gateway", "drivers", "fusion", "firmware-sim")
SOURCES = sorted(p for root in SOURCE_ROOTS for p in (ROOT / root).rglob("*.py"))
FORBIDDEN_NAMES = {
    "data",
    "info",
    "manager",
    "handler",
    "helper",
    "helpers",
    "utils",
    "common",
    "value2",
}


def functions(tree: ast.AST) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    return [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]


def body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    body = function.body
    if ast.get_docstring(function) is not None:
        body = body[1:]
    return body[-1].end_lineno - body[0].lineno + 1 if body else 0


def percentile_95(figures: list[int]) -> float:
    return quantiles(figures, n=20)[-1]


def test_files_are_small():
    lines = [len(p.read_text().splitlines()) for p in SOURCES if p.name != "__init__.py"]
    assert max(lines) <= 600
    assert median(lines) <= 150
    assert percentile_95(lines) <= 400


def test_functions_are_short():
    lines = [body_lines(f) for p in SOURCES for f in functions(ast.parse(p.read_text()))]
    assert max(lines) <= 60
    assert median(lines) <= 10
    assert percentile_95(lines) <= 35


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_module_says_what_it_is_and_uses_no_empty_name(path):
    tree = ast.parse(path.read_text())
    assert ast.get_docstring(tree), "a module needs a docstring"
    assert path.stem not in FORBIDDEN_NAMES
    names = {f.name for f in functions(tree)} | {
        n.name for n in ast.walk(tree) if isinstance(n, ast.ClassDef)
    }
    assert not {name.lower() for name in names} & FORBIDDEN_NAMES


def test_the_house_is_named_after_what_lives_in_it():
    for root in SOURCE_ROOTS[1:]:
        assert (ROOT / root / "README.md").exists(), f"{root} needs a README"


def test_every_test_that_the_list_of_pains_names_is_there():
    named = re.findall(r"`([\w/]+(?:\.py)?)`", (TESTS / "PAINS.md").read_text().split("|---|")[1])
    paths = [name for name in named if "/" in name]
    assert len(paths) > 40
    assert [name for name in paths if not (TESTS / name).exists()] == []
