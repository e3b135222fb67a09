"""The docstrings on the reference pages: prose in which `backticks` are code, made into reStructuredText.

Nothing in a docstring but its backticks, its sections (Parameters, Attributes) and its empty lines is markup. A group
of settings is followed by its settings, from where they have their defaults, rules and help texts.
"""

import inspect
import re

from sphinx.util.typing import stringify_annotation

from fcclf.settings.fields import Section, plain, settings_of

HEADING = re.compile(r"^(\w+)\n-{3,}\n", re.MULTILINE)
MARKUP = re.compile(r"([\\*_|])")
NAME = re.compile(r"(?:[a-z_]+\.)*([A-Z]\w*(?:\.\w+)?)")  # of a class, or of a member of one


def setup(app):
    """Makes this an extension of Sphinx."""
    app.setup_extension("sphinx.ext.autodoc")
    app.connect("autodoc-process-docstring", translate)
    app.connect("autodoc-process-signature", without_types)
    app.connect("autodoc-skip-member", is_foreign)
    return {"parallel_read_safe": True}


def translate(app, what, name, documented, options, lines):
    """Puts reStructuredText in the place of the lines of a docstring. A field of a `NamedTuple` has none of its own."""
    if lines and lines[0].startswith("Alias for field number"):
        lines.clear()
    prose, *sections = HEADING.split("\n".join(lines))
    translated = [marked(prose)]
    for title, body in zip(sections[::2], sections[1::2], strict=True):
        translated += rubric(title, [(f"``{names}``", marked(text)) for names, text in entries(body)])
    if is_settings(documented):
        translated += rubric("Settings", map(described, settings_of(documented)))
    lines[:] = "\n".join(translated).splitlines()


def without_types(app, what, name, documented, options, signature, returned):
    """The signature of a group of settings names them alone: their types stand below."""
    if is_settings(documented):
        parameters = inspect.signature(documented).parameters.values()
        signature = f"({', '.join(str(each.replace(annotation=each.empty)) for each in parameters)})"
    return signature, returned


def is_foreign(app, what, name, member, skip, options):
    """Whether a member is left out, as one of a class of another project."""
    function = getattr(member, "fget", None) or getattr(member, "func", None) or member
    home = getattr(function, "__module__", None) or "fcclf"
    return skip or not home.startswith("fcclf")


def is_settings(documented) -> bool:
    """Whether it is a class with settings of its own."""
    return inspect.isclass(documented) and issubclass(documented, Section) and bool(settings_of(documented))


def marked(text: str) -> str:
    """Prose as reStructuredText."""
    pieces = [code(piece) if number % 2 else MARKUP.sub(r"\\\1", piece) for number, piece in enumerate(text.split("`"))]
    return re.sub(r"(`+)\x00(?=\w)", r"\1\\ ", "".join(pieces)).replace("\x00", "")


def code(text: str) -> str:
    """What stood in backticks: a link, where it may be on a page. The end of it is marked by a zero."""
    name = NAME.fullmatch(text)
    return f":py:obj:`{text} <.{name[1]}>`\x00" if name else f"``{text}``\x00"


def entries(body: str) -> list[list[str]]:
    """[names, text] of each entry of a section. Lines that are indented, or follow names without a text, go on."""
    found = []
    for line in filter(str.strip, body.splitlines()):
        if line[0].isspace() or (found and " : " not in found[-1]):
            found[-1] += f" {line.strip()}"
        else:
            found.append(line)
    return [entry.split(" : ", 1) for entry in found]


def rubric(title: str, described) -> list[str]:
    """A heading and a list of definitions, from (term, text) of each."""
    lines = ["", f".. rubric:: {title}", ""]
    for term, text in described:
        lines += [term, f"    {text}", ""]
    return lines


def described(item) -> tuple[str, str]:
    """(term, text) of a setting, a dataclass field."""
    kind = stringify_annotation(item.type, "smart").replace("~", "")
    default = "" if item.default is item.default_factory else f" = {item.default!r}"
    choices, bounds = item.metadata["choices"], item.metadata["bounds"].items()
    rules = [f"``{choice}``" for choice in choices or ()] + [f"{words} {plain(bound)}" for words, bound in bounds]
    rule = f" ({', '.join(rules)})" if rules else ""
    return f"``{item.name}: {kind}{default}``", f"{marked(item.metadata['help'])}{rule}"
