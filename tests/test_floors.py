"""A file imports only from folders on lower floors, or from its own folder."""

import ast
from pathlib import Path

import pytest

FLOORS = [
    "functional plots",
    "kernels",
    "losses regularizers models operators initialization metrics datasets",
    "blocks",
    "data",
    "validation balancing",
    "problem",
    "iterations",
    "solvers unrolled",
    "separable dictionary diagnostics",
    "implicit",
    "training estimators",
    "rank",
    "applications",
    "report sklearn tensorly",
    "cli",
    "__main__ __init__",
]
FLOOR = {name: floor for floor, names in enumerate(FLOORS) for name in names.split()}
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def imported_names(node, package):
    """The absolute dotted names that an import statement in `package` brings in."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        above = package[: len(package) - node.level + 1] if node.level else []
        module = [*above, *([node.module] if node.module else [])]
        return [".".join([*module, alias.name]) for alias in node.names]
    return []


def complaints(root):
    """One line for each breach of the house rules in the package at `root`."""
    for path in sorted(root.rglob("*.py")):
        where = path.relative_to(root)
        home = where.parts[0].removesuffix(".py")
        if home not in FLOOR:
            yield f"{where} has no floor"
        if "utils" in where.with_suffix("").parts:
            yield f"{where} is named after nothing it does"
        tree = ast.parse(path.read_text(encoding="utf-8"))
        lazy = {n for f in ast.walk(tree) if isinstance(f, FUNCTIONS) for n in ast.walk(f)}
        for node in ast.walk(tree):
            at = f"{where}:{getattr(node, 'lineno', 0)}"
            if isinstance(node, ast.Call) and getattr(node.func, "attr", None) == "cuda":
                yield f"{at} moves data with .cuda()"
            for name in imported_names(node, [root.name, *where.parent.parts]):
                first, target, *_ = [*name.split("."), "__init__"]
                if first in ("lightning", "pytorch_lightning"):
                    if home != "training" and not (home == "cli" and node in lazy):
                        yield f"{at} imports {first} outside training"
                elif first == root.name and target != home:
                    if FLOOR.get(target, len(FLOORS)) >= FLOOR.get(home, 0):
                        yield f"{at} imports {target}, which is not on a lower floor"


def test_house_is_in_order():
    assert list(complaints(Path(__file__).parents[1] / "rlra_torch")) == []


@pytest.mark.parametrize(
    ("file", "source", "complaint"),
    [
        ("losses/a.py", "from rlra_torch.models import b", "imports models"),  # sideways
        ("losses/a.py", "from ..models import b", "imports models"),
        ("functional/a.py", "import rlra_torch.problem", "imports problem"),  # upwards
        ("problem.py", "def f():\n    from . import iterations", "imports iterations"),
        ("models/a.py", "from rlra_torch import nmf", "imports nmf"),  # the top-level faces
        ("solvers/a.py", "import pytorch_lightning", "outside training"),
        ("cli.py", "import lightning.pytorch", "outside training"),
        ("losses/utils.py", "", "named after nothing"),
        ("attic/a.py", "", "has no floor"),
        ("losses/a.py", "x.cuda()", "moves data"),
    ],
)
def test_each_rule_can_fail(tmp_path, file, source, complaint):
    path = tmp_path / "rlra_torch" / file
    path.parent.mkdir(parents=True)
    path.write_text(source)
    (line,) = complaints(tmp_path / "rlra_torch")
    assert complaint in line


@pytest.mark.parametrize(
    ("file", "source"),
    [
        ("losses/a.py", "from .b import c\nfrom ..functional import d\nimport torch.cuda"),
        ("cli.py", "def f():\n    import pytorch_lightning\n    from rlra_torch.report import g"),
        ("training/a.py", "import pytorch_lightning\nfrom rlra_torch.problem import Problem"),
        ("__init__.py", "from .estimators import nmf"),
    ],
)
def test_what_is_allowed_passes(tmp_path, file, source):
    path = tmp_path / "rlra_torch" / file
    path.parent.mkdir(parents=True)
    path.write_text(source)
    assert list(complaints(tmp_path / "rlra_torch")) == []
