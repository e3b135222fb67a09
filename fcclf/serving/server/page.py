"""The page for people: what the model is, a form to ask it about one row, the boundary to click on.

Rendered by the server, without a build step, scripts or anything from other sites, which the Content-Security-Policy
forbids too. The markup is in `string.Template`s: every value is escaped when it is filled in, unless it is markup
itself. One page does not need a template language.
"""

import html
import json
import math
import shlex
from pathlib import Path
from string import Template
from typing import NamedTuple
from urllib.parse import parse_qsl, quote

import numpy as np

from fcclf.serving.server import pictures, rest
from fcclf.serving.server.model import Model
from fcclf.serving.server.rest import Question
from fcclf.serving.server.signatures import DEFAULT
from fcclf.serving.server.statuses import RequestError
from fcclf.settings.fields import brief
from fcclf.views.plots import COLORS

STYLE = Path(__file__).with_name("page.css").read_text(encoding="utf-8")
FRAME = Template(Path(__file__).with_name("page.html").read_text(encoding="utf-8"))
POLICY = "default-src 'none'; img-src 'self' data:; style-src 'self'; form-action 'self'; base-uri 'none'"
HEADERS = {
    "Content-Security-Policy": f"{POLICY}; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
SIZES = {"large": pictures.WIDTH, "small": 320}  # of the boundary; the style sheet shows the one that there is room for
MOST_FIELDS, MOST_BARS = 64, 10  # more features are written into one field; more classes are left out
TASKS = {"multilabel": "several labels", "regression": "numbers"}  # for people
MOST_POSTED, LONGEST_ANSWER = 200, 20_000  # fields, characters


class Html(str):
    """Text that is markup already."""


def _filled(template, **values):
    """A template with its values filled in, which are escaped unless they are markup."""
    ready = {name: each if isinstance(each, Html) else html.escape(str(each)) for name, each in values.items()}
    return Html(Template(template).substitute(ready))


def _all(parts):
    return Html("\n".join(parts))


# ---- what is asked ---------------------------------------------------------------------------------------------------


def fields(body: bytes) -> dict[str, str]:
    """The fields that a form has posted. Raises RequestError."""
    try:
        return dict(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=MOST_POSTED))
    except ValueError:
        raise RequestError("the body is not what the form of this page sends: go back to / and ask again.") from None


def question(model: Model, posted: dict[str, str]) -> Question | None:
    """What was asked on the page: the values of one row, a place in the boundary or an example; None if nothing was.
    Raises RequestError."""
    if not posted:
        return None
    if not model.notes:
        return rest.question(rest.parsed(posted.get("body", "").encode()), model.signatures)
    row = _row(model, posted)
    return rest.question({"instances": [row]}, model.signatures, tuple(model.notes.schema.names))


def _row(model, posted) -> list[float | None]:
    """The values of the row that was asked about; None for a missing one."""
    for size, width in SIZES.items():
        if f"{size}.x" in posted:
            return _clicked(model, posted, size, width)
    for name in posted:
        if name.startswith("example-") and name.endswith(".x"):
            return _example(model, name)
    if "row" in posted:
        return [_number(each, f"value {at + 1}") for at, each in enumerate(posted["row"].replace(",", " ").split())]
    texts = [posted.get(f"x{at}", "").strip() for at in range(model.notes.n_features)]
    may = model.notes.missing
    return [
        None if may and not text else _number(text, name) for text, name in zip(texts, _names(model.notes), strict=True)
    ]


def _clicked(model, posted, size, width):
    where = pictures.plane(model.notes)
    height = width * pictures.HEIGHT / pictures.WIDTH
    x, y = (_number(posted.get(f"{size}.{axis}", ""), axis) for axis in "xy")
    point = where and where.point(x / width, y / height)
    if point is None:
        raise RequestError("that place is outside the picture's axes: click inside them.")
    digits = [max(0, 3 - math.floor(math.log10(length))) for length in where.high - where.low]
    return [round(float(each), count) for each, count in zip(point, digits, strict=True)]


def _example(model, name):
    number, examples = name[len("example-") : -len(".x")], model.notes.examples
    if examples is None or not number.isdecimal() or int(number) >= len(examples):
        raise RequestError(f"there is no example {brief(number)}: choose one of those on the page.")
    return _given(examples[int(number)])


def _given(values):
    """Numbers as a list, None for a missing one."""
    return [None if math.isnan(each) else each for each in values.tolist()]


def _number(text, name):
    try:
        number = float(text)
    except ValueError:
        raise RequestError(f"{name} is {brief(text)}, but must be a number.") from None
    if not math.isfinite(number):
        raise RequestError(f"{name} is {brief(text)}, but must be a finite number.")
    return number


def _names(notes):
    return notes.schema.names or [f"feature {number + 1}" for number in range(notes.n_features)]


# ---- what is shown ---------------------------------------------------------------------------------------------------


class Shown(NamedTuple):
    """The page. posted: the fields of the form; host: of this server, as the client calls it; outputs: for what was
    asked, None if nothing was; wrong: the sentence if that was refused."""

    name: str
    model: Model
    posted: dict[str, str]
    host: str
    outputs: dict[str, np.ndarray] | None = None
    wrong: str | None = None

    def html(self) -> str:
        """The whole page as HTML."""
        return FRAME.substitute(
            title=html.escape(self.name),
            kind=html.escape(" · ".join(self._kind())),
            answer=self._answer(),
            ask=self._ask(),
            about=_about(self.model),
            request=self._request(),
            address=html.escape(f"/v1/models/{quote(self.name)}"),
        )

    def _kind(self):
        """What the model is, in a few words."""
        yield f"version {self.model.number}"
        if self.model.notes:
            yield TASKS.get(self.model.notes.task, self.model.notes.task)
            if isinstance(self.model.notes.note.get("epoch"), int):
                yield f"epoch {self.model.notes.note['epoch']}"

    def _answer(self):
        if self.wrong:
            return _filled('<p class="wrong" role="alert">$wrong</p>', wrong=self.wrong)
        if not self.outputs:
            return Html("")
        show = {"classification": _classes, "multilabel": _labels, "regression": _numbers}
        known = show.get(self.model.notes.task) if self.model.notes else None
        try:
            return known(self.model.notes, self.outputs) if known else self._json()
        except (KeyError, ValueError):  # the model's outputs are not what its notes say
            return self._json()

    def _json(self):
        values = {name: rest.plain_values(name, array) for name, array in self.outputs.items()}
        written = json.dumps(values, indent=1, ensure_ascii=False)
        return _filled("<pre>$values</pre>", values=written[:LONGEST_ANSWER])

    def _ask(self):
        notes = self.model.notes
        if not notes:
            return _filled(BODY, body=self.posted.get("body") or json.dumps(_zeros(self.model), indent=1))
        if notes.schema.image_shape and notes.examples is not None:
            return self._images()
        return _all([self._plane(), self._form()])

    def _images(self):
        height, width = self.model.notes.schema.image_shape
        count = len(self.model.notes.examples)
        chosen = [f"example-{row}.x" in self.posted for row in range(count)]
        shown = [
            _filled(EXAMPLE, row=row, number=row + 1, token=self.model.token, kind="chosen" if chosen[row] else "other")
            for row in range(count)
        ]
        return _filled(IMAGES, height=height, width=width, count=height * width, examples=_all(shown))

    def _plane(self):
        where = pictures.plane(self.model.notes)
        if not where:
            return Html("")
        height = {size: width * pictures.HEIGHT // pictures.WIDTH for size, width in SIZES.items()}
        buttons = [
            _filled(BOUNDARY, size=size, width=width, height=height[size], token=self.model.token, point=self._point())
            for size, width in SIZES.items()
        ]
        legend = [
            _filled("<li>$dot $name</li>", dot=_dot(COLORS[number]), name=name)
            for number, name in enumerate(self.model.notes.schema.classes)
        ]
        return _filled(PLANE, buttons=_all(buttons), legend=_all(legend))

    def _point(self):
        place = pictures.plane(self.model.notes).place(np.array(self._values(), float)) if self.outputs else None
        if place is None:
            return Html("")
        x, y = place * (pictures.WIDTH, pictures.HEIGHT)
        return _filled(POINT, x=round(float(x), 1), y=round(float(y), 1), W=pictures.WIDTH, H=pictures.HEIGHT)

    def _form(self):
        notes = self.model.notes
        if notes.n_features > MOST_FIELDS:
            row = self.posted.get("row") or ", ".join(map(_plain, self._values()))
            return _filled(ROW, count=notes.n_features, row=row)
        columns = notes.schema.columns or [None] * notes.n_features
        inputs = [
            _field(number, name, column.categories if column else (), value, notes.missing)
            for number, (name, column, value) in enumerate(zip(_names(notes), columns, self._texts(), strict=True))
        ]
        return _filled(FORM, fields=_all(inputs))

    def _values(self) -> list[float | None]:
        """The row that was asked about, else the first example, else zeros."""
        notes = self.model.notes
        if self.posted and not self.wrong:
            return _row(self.model, self.posted)
        return [0.0] * notes.n_features if notes.examples is None else _given(notes.examples[0])

    def _texts(self):
        """The texts in the fields: if something was wrong, those that were typed."""
        values = [*map(_plain, self._values())]
        return [self.posted.get(f"x{at}", value) for at, value in enumerate(values)] if self.wrong else values

    def _request(self):
        address = f"http://{self.host}/v1/models/{quote(self.name)}"
        if not self.model.notes or self.model.notes.n_features > MOST_FIELDS:
            return _filled(COMMAND, command=f"curl {shlex.quote(f'{address}/metadata')}")
        body = json.dumps(self._instances(), ensure_ascii=False)
        return _filled(COMMAND, command=f"curl -d {shlex.quote(body)} {shlex.quote(f'{address}:predict')}")

    def _instances(self):
        values, columns = self._values(), self.model.notes.schema.columns
        if "columns" not in self.model.signatures or not columns:
            return {"instances": [values]}
        texts = [_text(column, value) for column, value in zip(columns, values, strict=True)]
        return {"signature_name": "columns", "instances": [dict(zip(_names(self.model.notes), texts, strict=True))]}


def _text(column, value):
    """A value of a column, as the column's signature takes it."""
    if not column.categories:
        return value
    return column.categories[int(value)] if value in range(len(column.categories)) else "another"


def _plain(value):
    if value is None:
        return ""
    return f"{value:.7g}" if float(f"{value:.7g}") == np.float32(value) else repr(value)


def _shown(categories):
    """Texts of categories as people see them."""
    return [text or "(missing)" for text in categories]


def _field(number, name, categories, value, missing):
    if not categories:
        return _filled(NUMBER, name=name, at=number, value=value, required="" if missing else " required")
    options = [
        _filled(OPTION, place=place, text=text, selected=" selected" if str(place) == value else "")
        for place, text in enumerate((*_shown(categories), "(another)"))
    ]
    return _filled(CHOICE, name=name, at=number, options=_all(options))


def _zeros(model):
    """A body that the model may be able to answer, for people to change."""
    signature = model.signatures.get(DEFAULT) or next(iter(model.signatures.values()))
    values = {}
    for name, spec in signature.inputs.items():
        shape = [1 if length is None else min(length, MOST_FIELDS) for length in spec.shape or ()]
        values[name] = np.full(shape, "" if spec.is_text else 0, object).tolist()
    chosen = {} if signature.name == DEFAULT else {"signature_name": signature.name}
    return {**chosen, "inputs": values}


# ---- answers ---------------------------------------------------------------------------------------------------------


def _classes(notes, outputs):
    shares = outputs["probabilities"][0]
    order = np.argsort(-shares, kind="stable")[:MOST_BARS]
    bars = [_bar(notes.schema.classes[number], shares[number], number) for number in order]
    name = notes.schema.label or "class"
    return _filled(CLASSES, name=name, label=notes.schema.classes[order[0]], bars=_all(bars))


def _labels(notes, outputs):
    shares, chosen = outputs["probabilities"][0], outputs["class_ids"][0]
    order = np.argsort(-shares, kind="stable")[: 2 * MOST_BARS]
    bars = [_bar(notes.schema.classes[number], shares[number], number) for number in order]
    labels = [label for label, yes in zip(notes.schema.classes, chosen, strict=True) if yes]
    return _filled(CLASSES, name="labels", label=", ".join(labels) or "none", bars=_all(bars))


def _numbers(notes, outputs):
    values = np.atleast_1d(outputs["predictions"][0]).tolist()
    return _filled(VALUES, name=notes.schema.label or "predicted", values=", ".join(f"{each:.6g}" for each in values))


def _bar(name, share, number):
    bar = _filled(BAR, width=round(100 * float(share), 2), color=COLORS[number % len(COLORS)])
    return _filled(SHARE, name=name, bar=bar, share=f"{share:.1%}")


def _dot(color):
    return _filled('<svg class="dot" viewBox="0 0 2 2"><circle cx="1" cy="1" r="1" fill="$color"/></svg>', color=color)


# ---- the model -------------------------------------------------------------------------------------------------------


def _about(model):
    notes = model.notes
    if not notes:
        return _all(_signature(each) for each in model.signatures.values())
    parts = [("inputs", _inputs(notes))]
    if notes.schema.classes:
        parts.append(("classes", _filled("<p>$names</p>", names=", ".join(notes.schema.classes[: 10 * MOST_BARS]))))
    measured = [*_measured(notes.note.get("metrics"))]
    if measured:
        rows = [_filled("<tr><th>$name</th><td>$value</td></tr>", name=name, value=value) for name, value in measured]
        parts.append(("test metrics", _filled("<table>$rows</table>", rows=_all(rows))))
    parts.append(("layers", _filled('<pre class="layers">$layers</pre>', layers=notes.layers)))
    return _all(_filled("<section><h3>$title</h3>$part</section>", title=title, part=part) for title, part in parts)


def _inputs(notes):
    if not notes.schema.columns:
        shape = notes.schema.image_shape
        images = f", images of {shape[0]} x {shape[1]}" if shape else ""
        return _filled("<p>$count numbers$images</p>", count=notes.n_features, images=images)
    rows = []
    for at, column in enumerate(notes.schema.columns[:MOST_FIELDS]):
        seen = "" if notes.ranges is None else f"{notes.ranges[at][0]:.4g} to {notes.ranges[at][1]:.4g}"
        values = ", ".join(_shown(column.categories[:MOST_BARS])) if column.categories else seen
        rows.append(_filled("<tr><th>$name</th><td>$values</td></tr>", name=column.name, values=values))
    more = len(notes.schema.columns) - len(rows)
    rest_of_them = _filled("<tr><td>and $more more</td></tr>", more=more) if more else Html("")
    return _filled("<table>$rows$more</table>", rows=_all(rows), more=rest_of_them)


def _measured(metrics, before=""):
    """(name, value for people) of every number in nested metrics."""
    for name, value in metrics.items() if isinstance(metrics, dict) else ():
        if isinstance(value, dict):
            yield from _measured(value, f"{before}{name} ")
        elif isinstance(value, int | float):
            yield f"{before}{name}", f"{value:.4g}"


def _signature(signature):
    rows = [
        _filled(TENSOR, way=way, name=name, kind=spec.type_name, shape=_shape(spec.shape))
        for way, side in (("in", signature.inputs), ("out", signature.outputs))
        for name, spec in [*side.items()][:MOST_FIELDS]
    ]
    return _filled("<section><h3>$name</h3><table>$rows</table></section>", name=signature.name, rows=_all(rows))


def _shape(shape):
    return "any" if shape is None else f"[{', '.join('?' if each is None else str(each) for each in shape)}]"


# ---- markup ----------------------------------------------------------------------------------------------------------

BODY = """<form method="post" action="/#answer"><p>The body of a request to <code>:predict</code>:</p>
<textarea name="body" rows="10" spellcheck="false" aria-label="body">$body</textarea><button>Predict</button></form>"""
FORM = """<form method="post" action="/#answer"><div class="fields">$fields</div><button>Predict</button></form>"""
ROW = """<form method="post" action="/#answer"><label>$count numbers
<textarea name="row" rows="8" spellcheck="false">$row</textarea></label><button>Predict</button></form>"""
NUMBER = """<label>$name<input name="x$at" type="number" step="any"$required value="$value"></label>"""
CHOICE = """<label>$name<select name="x$at">$options</select></label>"""
OPTION = """<option value="$place"$selected>$text</option>"""
IMAGES = """<form method="post" action="/#answer"><p>A row is an image of $height x $width:
its $count brightnesses, line by line from the upper left. Choose one of these to ask about it:</p>
<div class="examples">$examples</div></form>"""
EXAMPLE = """<input type="image" name="example-$row" src="/example-$row.png?$token" class="$kind"
alt="example $number">"""
PLANE = """<form method="post" action="/#answer"><p>Click on a place to ask about it:</p>$buttons
<ul class="legend">$legend</ul></form>"""
BOUNDARY = """<div class="boundary $size"><input type="image" name="$size" src="/boundary.png?$token" width="$width"
height="$height" alt="the plane, divided between the classes">$point</div>"""
POINT = """<svg viewBox="0 0 $W $H" aria-hidden="true"><circle cx="$x" cy="$y" r="9"/></svg>"""
CLASSES = """<p class="found"><span>$name</span> <strong>$label</strong></p><table class="shares">$bars</table>"""
VALUES = """<p class="found"><span>$name</span> <strong>$values</strong></p>"""
SHARE = """<tr><th>$name</th><td>$bar</td><td class="share">$share</td></tr>"""
BAR = """<svg class="bar" viewBox="0 0 100 1" preserveAspectRatio="none" aria-hidden="true">
<rect width="$width" height="1" fill="$color"/></svg>"""
COMMAND = """<pre class="command">$command</pre>"""
TENSOR = """<tr><td>$way</td><th>$name</th><td>$kind $shape</td></tr>"""
