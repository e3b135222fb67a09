"""How the documentation site is built: `sphinx-build -W -n docs docs/_build`.

Pages are Markdown, except for the reference, which is made of the docstrings, and the examples, which are programs that
run while the site is built. Nothing is fetched, neither by the build nor by a page.
"""

import os
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.append(str(Path(__file__).parent))  # docstrings.py

import fcclf

project = "fcclf"
version = release = fcclf.__version__
project_copyright = "the authors of fcclf, MIT license"

extensions = [
    "docstrings",
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["_build", "examples", "gallery/*.py", "gallery/*.ipynb"]
myst_heading_anchors = 3
myst_enable_extensions = ["colon_fence"]
highlight_language = "text"  # of blocks that do not say what they hold
copybutton_prompt_text = "$ "  # where a block has prompts, the commands alone are copied
copybutton_exclude = ".linenos, .gp, .go"

autosummary_generate = False
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
autodoc_typehints_format = "short"
python_use_unqualified_type_names = True
toc_object_entries_show_parents = "hide"

nitpicky = True
nitpick_ignore_regex = [
    (r"py:.*", r"(?!fcclf\b).*"),  # of other projects: their lists of names would have to be fetched
    (r"py:obj", r".*"),  # what docstrings have in backticks is code, which need not be a name
]

sphinx_gallery_conf = {
    "examples_dirs": "examples",
    "gallery_dirs": "gallery",
    "capture_repr": (),  # an example shows what it prints and draws
    "download_all_examples": False,
    "write_computation_times": False,
    "min_reported_time": 3600,  # seconds: how long it took says more of the machine than of the example
    "show_signature": False,
    "show_memory": False,
    "abort_on_example_error": True,
    "within_subsection_order": "FileNameSortKey",
    "remove_config_comments": True,
}

html_theme = "pydata_sphinx_theme"
html_title = "fcclf"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_copy_source = False
html_sidebars = {"index": [], "first_steps": [], "glossary": []}  # which have no pages below them
html_theme_options = {
    "logo": {"text": "fcclf"},
    "navbar_align": "left",
    "navbar_persistent": ["search-button"],
    "show_toc_level": 2,
    "footer_start": ["copyright"],
    "footer_end": [],
}
