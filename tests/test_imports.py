"""The architecture: imports go one way, and importing the package does nothing."""

import ast
from pathlib import Path

import runs

PACKAGE = Path(__file__).parent.parent / "fcclf"
LEVELS = [  # a module may import from the levels above its own, and nothing else of the package
    {"__init__", "errors"},
    {"settings", "durable", "interrupts", "terminal"},
    {"sources", "blocks"},
    {"presets"},
    {"model"},
    {"config", "fit_config"},
    {"flags", "advice", "idx", "table", "layers", "evaluation", "history", "summaries"},
    {"data"},
    {"plots", "animation"},
    {"diagnostics", "frames"},
    {"state", "network", "checkpoint", "record", "run_directory"},
    {"epoch_loop", "dashboard"},
    {"graph"},
    {"trainer"},
    {"training", "inference", "verification"},
    {"estimator.samples", "estimator.fit_loop", "estimator.callbacks"},
    {"estimator.program"},
    {"estimator.parameters", "estimator.fit_run"},
    {"estimator.fitting"},
    {"estimator.classifier"},
    {"figures", "overview", "estimator"},
    {"commands"},
    {"cli"},
    {"__main__"},
]


MODULES = {  # name: file; a package goes by its own name
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__"): path
    for path in PACKAGE.rglob("*.py")
}


def imported(module):
    """The package's modules that `module` imports."""
    for node in ast.walk(ast.parse(MODULES[module].read_text())):
        if isinstance(node, ast.ImportFrom) and f"{node.module}.".startswith("fcclf."):
            package = node.module.removeprefix("fcclf").removeprefix(".")
            names = (f"{package}.{alias.name}".removeprefix(".") for alias in node.names)
            yield from (name if name in MODULES else package or "__init__" for name in names)
        elif isinstance(node, ast.Import):
            yield from (alias.name.removeprefix("fcclf.") for alias in node.names if alias.name.startswith("fcclf"))


def test_every_module_has_a_level():
    assert MODULES.keys() == set().union(*LEVELS)


def test_imports_go_one_way():
    for number, level in enumerate(LEVELS):
        lower = set().union(*LEVELS[:number])
        for module in level:
            assert set(imported(module)) <= lower, module


def test_importing_the_package_has_no_side_effects():
    program = (
        "import os, sys; before = dict(os.environ); import fcclf\n"
        "print(dict(os.environ) == before, 'numpy' in sys.modules, 'tensorflow' in sys.modules)"
    )
    assert runs.python(program) == "True False False\n"


def test_the_readme_maps_every_module():
    readme = (PACKAGE.parent / "README.md").read_text()
    for path in PACKAGE.rglob("*.py"):
        if not path.stem.startswith("__"):
            assert f"`fcclf/{path.relative_to(PACKAGE)}`" in readme, path
