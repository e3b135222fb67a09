"""The architecture: imports go one way, and importing the package does nothing."""

import ast
import graphlib
from collections import Counter
from pathlib import Path

import runs

PACKAGE = Path(__file__).parent.parent / "fcclf"
ORDER = [  # a package may import from those before it; within one, modules import one way too
    {"errors"},
    {"system"},
    {"settings"},
    {"data", "network", "views"},
    {"learning"},
    {"sharded"},
    {"runs"},
    {"cluster"},
    {"serving"},
    {"estimator"},
    {"cli"},
]
MODULES = {path.relative_to(PACKAGE).with_suffix("").parts: path for path in PACKAGE.rglob("*.py")}


def imported(path):
    """The parts of the names of the package's modules that a file imports, at its top or inside a function."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module.split(".")[0] == "fcclf":
            parts = tuple(node.module.split(".")[1:])
            yield from ((*parts, alias.name) if (*parts, alias.name) in MODULES else parts for alias in node.names)


def test_packages_import_only_from_those_before_them():
    for number, packages in enumerate(ORDER):
        allowed = set().union(*ORDER[:number], {"__init__"})
        for module, path in MODULES.items():
            if module[0] in packages:
                others = {parts[0] for parts in imported(path) if parts} - {module[0]}
                assert others <= allowed, module


def test_modules_do_not_import_each_other_in_a_circle():
    modules = {module: {other for other in imported(path) if other in MODULES} for module, path in MODULES.items()}
    tuple(graphlib.TopologicalSorter(modules).static_order())


def test_no_folder_has_more_than_a_dozen_modules():
    folders = Counter(module[:-1] for module in MODULES if len(module) > 1 and module[-1] != "__init__")
    assert max(folders.values()) <= 12


def test_importing_the_package_has_no_side_effects():
    program = (
        "import os, sys; before = dict(os.environ); import fcclf\n"
        "print(dict(os.environ) == before, 'numpy' in sys.modules, 'tensorflow' in sys.modules)"
    )
    assert runs.python(program) == "True False False\n"


def test_every_package_lists_its_modules():
    for module in MODULES:
        if len(module) > 1 and module[-1] != "__init__":
            docstring = ast.get_docstring(ast.parse(MODULES[(*module[:-1], "__init__")].read_text()))
            assert module[-1] in [line.split(maxsplit=1)[0] for line in docstring.splitlines() if line], module


def test_the_readme_maps_every_package():
    readme = (PACKAGE.parent / "README.md").read_text()
    for package in {module[0] for module in MODULES if len(module) == 2}:
        assert f"`fcclf/{package}/`" in readme, package
