"""The documentation site: built as its readers build it, and then looked through."""

import importlib.util
import inspect
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

import fcclf
from fcclf import errors
from fcclf.settings import blocks, sources

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
# Public, though not in fcclf.HOMES.
OTHERS = {"TrainedRun", "Curve", "Tasks", "clear_programs", "kept_plans", "__version__"}


class Page(HTMLParser):
    """A page as read. ids: its places; links: where it leads; loaded: what a browser fetches to show it."""

    def __init__(self, path):
        super().__init__()
        self.ids, self.links, self.loaded = set(), [], []
        self.feed(path.read_text())

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.ids.add(given.get("id"))
        if tag == "a" and given.get("href"):
            self.links.append(given["href"])
        self.loaded += [given[name] for name in ("src", "href") if tag != "a" and given.get(name)]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The directory of the site, without running the examples."""
    return built(tmp_path_factory.mktemp("site"), "-D", "plot_gallery=0")


def built(copy, *options):
    """The directory of the site, built from a copy of docs/ in the directory `copy`."""
    shutil.copytree(DOCS, copy / "docs", ignore=shutil.ignore_patterns("_build", "gallery", "__pycache__"))
    shutil.copy(ROOT / "README.md", copy)
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", *options, "docs", "site"]
    finished = subprocess.run(command, cwd=copy, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr
    return copy / "site"


@pytest.fixture(scope="module")
def pages(site):
    """{path: `Page`} of every page."""
    return {path: Page(path) for path in site.rglob("*.html") if "_static" not in path.parts}


@pytest.fixture(scope="module")
def docstrings():
    """The extension that translates docstrings, as a module."""
    description = importlib.util.spec_from_file_location("docstrings", DOCS / "docstrings.py")
    module = importlib.util.module_from_spec(description)
    description.loader.exec_module(module)
    return module


def is_outside(link):
    return re.match(r"\w+:|//", link) is not None


def test_every_link_inside_the_site_leads_somewhere(pages):
    for path, page in pages.items():
        for link in page.links + page.loaded:
            if is_outside(link):
                continue
            file, _, place = link.partition("#")
            target = (path.parent / file.partition("?")[0]).resolve() if file else path
            assert target.is_file(), (path, link)
            assert not place or target not in pages or place in pages[target].ids, (path, link)


def test_pages_load_nothing_from_elsewhere(site, pages):
    for path, page in pages.items():
        assert not [each for each in page.loaded if is_outside(each) and not each.startswith("data:")], path
    for path in site.rglob("*.css"):
        assert not re.search(r"(@import|url\()\s*[\"']?(https?:)?//", path.read_text()), path


def test_every_public_name_is_in_the_reference(site, pages):
    ids = set().union(*(page.ids for path, page in pages.items() if path.parent == site / "reference"))
    assert {f"fcclf.{name}" for name in fcclf.__all__} <= ids
    assert public_classes() | OTHERS <= {(each or "").rpartition(".")[2] for each in ids}


def public_classes():
    """Names of every block, source and error."""
    kinds = blocks.Block, sources.Source, errors.ConfigError, errors.RunError
    found = [*vars(blocks).values(), *vars(errors).values(), *sources.SOURCES.values()]
    return {each.__name__ for each in found if inspect.isclass(each) and issubclass(each, kinds)}


def test_every_setting_is_in_the_reference(site):
    shown = (site / "reference" / "runs.html").read_text()
    for name in fcclf.Training.__dataclass_fields__:
        assert re.search(rf">{name}:</span>", shown), name


@pytest.mark.campaign
def test_every_example_runs_and_draws_a_picture(tmp_path):
    site = built(tmp_path)
    names = [path.stem for path in (DOCS / "examples").glob("plot_*.py")]
    assert 4 <= len(names) <= 7
    for name in names:
        assert f"sphx_glr_{name}_001.png" in (site / "gallery" / f"{name}.html").read_text()


def test_the_picture_of_the_architecture_has_every_package():
    packages = sorted(path.parent.name for path in (ROOT / "fcclf").glob("*/__init__.py"))
    shown = re.findall(r'class="name">(\w+)/<', (DOCS / "architecture.svg").read_text())
    assert sorted(shown) == packages


@pytest.mark.parametrize(
    ("prose", "expected"),
    [
        ("sum(|kernel|) * l1, classes_", r"sum(\|kernel\|) \* l1, classes\_"),
        ("as `fit` left it", "as ``fit`` left it"),
        ("a `TrainedRun`, two `Part`s", r"a :py:obj:`TrainedRun <.TrainedRun>`, two :py:obj:`Part <.Part>`\ s"),
        ("a `run_directory.Description`", "a :py:obj:`run_directory.Description <.Description>`"),
    ],
)
def test_prose_has_no_markup_but_backticks(docstrings, prose, expected):
    assert docstrings.marked(prose) == expected


def test_entries_of_a_section_go_on_over_lines(docstrings):
    body = "l1, l2 : add\n    penalties.\nclasses_, t_,\nloss_ : as in `MLPClassifier`."
    assert docstrings.entries(body) == [["l1, l2", "add penalties."], ["classes_, t_, loss_", "as in `MLPClassifier`."]]
