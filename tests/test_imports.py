"""The rooms know only what lies below them, and starting up loads nothing heavy."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ALLOWED = {"app": {"app", "trainers", "toy", "lab"}, "trainers": {"trainers", "lab"}, "toy": {"toy", "lab"}, "lab": {"lab"}}
ROOMS = set(ALLOWED)
LIBRARIES_OF_LAB = {"torch", "numpy", "scipy", "ot", "torchdiffeq", "jaxtyping"}
NEVER_IN_A_ROOM = {"tests"}
HEAVY = ("ot", "torchdiffeq", "sklearn", "matplotlib", "scipy.optimize")


def imported(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """(line, module) of every import in the code, also inside functions, and of `importlib.import_module` or `__import__` with a text."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.module and not node.level:  # a relative import cannot leave its room
                yield node.lineno, node.module
        elif isinstance(node, ast.Call) and node.args:
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            first = node.args[0]
            if isinstance(first, ast.JoinedStr) and first.values:
                first = first.values[0]
            if name in ("import_module", "__import__") and isinstance(first, ast.Constant):
                yield node.lineno, str(first.value)


def wrong_imports(source: str, room: str) -> list[str]:
    """Imports of a file of `room` that its place in the house forbids."""
    found = []
    for line, module in imported(ast.parse(source)):
        top = module.split(".")[0]
        if top in (ROOMS - ALLOWED[room]) | NEVER_IN_A_ROOM:
            found.append(f"{line}: {module}")
        elif room == "lab" and top not in LIBRARIES_OF_LAB | ALLOWED[room] | set(sys.stdlib_module_names):
            found.append(f"{line}: {module} (lab may use {', '.join(sorted(LIBRARIES_OF_LAB))} and the standard library)")
    return found


@pytest.mark.parametrize("room", [r for r in ALLOWED if (ROOT / r).is_dir()])
def test_imports_go_downwards_only(room: str):
    files = sorted((ROOT / room).rglob("*.py"))
    assert files
    wrong = [f"{file.relative_to(ROOT)}:{each}" for file in files for each in wrong_imports(file.read_text(), room)]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    ("room", "line"),
    [
        ("lab", "import toy.field"),
        ("lab", "from toy import field"),
        ("lab", "import lab.paths, app"),
        ("lab", "import pandas"),
        ("lab", "def f():\n    from sklearn import cluster"),
        ("lab", "import importlib\nimportlib.import_module(f'toy.{1}')"),
        ("toy", "from trainers.loop import run"),
        ("toy", "import app.stage"),
        ("trainers", "from toy.mixtures import Mixture"),
        ("trainers", "if True:\n    import app"),
        ("app", "from tests.toy import scenes"),
    ],
)
def test_an_import_upwards_is_found(room: str, line: str):
    assert wrong_imports(line, room)


@pytest.mark.parametrize(
    ("room", "line"),
    [
        (
            "lab",
            "import math, torch\nfrom scipy.optimize import minimize\nimport ot, torchdiffeq, jaxtyping\nfrom lab import paths",
        ),
        ("toy", "import lab.paths\nimport matplotlib.pyplot as plt\nfrom toy.mixtures import Mixture"),
        ("trainers", "import diffusers\nfrom lab.paths import CondOT"),
        ("app", "import toy, trainers, lab, gradio"),
    ],
)
def test_an_import_downwards_is_allowed(room: str, line: str):
    assert not wrong_imports(line, room)


def test_starting_up_loads_nothing_heavy():
    """`import ot` alone costs a second; what a command needs is imported where it is used."""
    code = f"import sys, lab.paths, lab.solvers, toy.field; print([m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]", done.stdout
