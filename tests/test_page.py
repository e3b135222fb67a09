"""The page for people: what it shows, what its forms answer, and that nothing written in it becomes markup."""

import io
import re
from html.parser import HTMLParser

import numpy as np
import pytest
import served
import tensorflow as tf
from PIL import Image

from fcclf.data.schema import Column, Schema
from fcclf.serving.server import page, pictures

tf1 = tf.compat.v1
NOTE = {"epoch": 50, "metrics": {"test": {"loss": 0.125, "accuracy": 0.97}}}


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "colours"
    served.write(path, note=NOTE, layers="fc1  dense 3 <elu>")
    with served.client(path) as client:
        yield client


def shown(client, **posted):
    """What is written on the page, after its form was sent if something is posted."""
    response = (
        client.post("/", data={name.replace("_", "."): value for name, value in posted.items()})
        if posted
        else client.get("/")
    )
    assert response.status_code == 200
    return Text(response.text).text


class Text(HTMLParser):
    """The text of a page, and the values of its fields."""

    def __init__(self, markup):
        super().__init__()
        self.text, self.values, self.tags = "", {}, []
        self.feed(markup)

    def handle_data(self, data):
        self.text = f"{self.text} {' '.join(data.split())}".strip()

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.tags.append((tag, found))
        if tag == "input" and "value" in found:
            self.values[found["name"]] = found["value"]


def test_it_shows_the_model(client):
    text = shown(client)
    for words in (
        "colours version 1 · classification · epoch 50",
        "width -2 to 2",
        "height -1 to 3",
        "red, green, blue",
    ):
        assert words in text
    for words in ("test loss 0.125", "test accuracy 0.97", "fc1 dense 3 <elu>"):
        assert words in text


def test_the_form_asks_about_a_row_and_keeps_it(client):
    text = shown(client, x0="1", x1="2.5")
    assert "colour green green 81.6% red 18.2% blue 0.2%" in text
    values = Text(client.post("/", data={"x0": "1", "x1": "2.5"}).text).values
    assert values == {"x0": "1", "x1": "2.5"}
    assert Text(client.get("/").text).values == {"x0": "1", "x1": "2"}  # the first example


def test_it_shows_the_request_that_asks_the_same(client):
    text = shown(client, x0="1", x1="2.5")
    body = '{"signature_name": "columns", "instances": [{"width": 1.0, "height": 2.5}]}'
    assert f"curl -d '{body}' http://testserver/v1/models/colours:predict" in text
    assert client.post("/v1/models/colours:predict", content=body).json()["predictions"][0]["classes"] == "green"


@pytest.mark.parametrize(
    ("posted", "sentence"),
    [
        ({"x0": "a", "x1": "2"}, "width is 'a', but must be a number."),
        ({"x0": "1"}, "height is '', but must be a number."),
        ({"x0": "nan", "x1": "1"}, "width is 'nan', but must be a finite number."),
        ({"x0": "1e300", "x1": "1"}, "instances[0][0] is 1e+300, which is too large for float32."),
        ({"large.x": "0", "large.y": "0"}, "that place is outside the picture's axes: click inside them."),
        ({"large.x": "0"}, "y is '', but must be a number."),
        ({"example-9.x": "0"}, "there is no example '9': choose one of those on the page."),
        ({"row": "1, 2, 3"}, "instances[0] is a list of 3 values, but a row of input X is a list of 2 numbers"),
    ],
)
def test_a_wrong_value_is_explained_and_kept(client, posted, sentence):
    response = client.post("/", data=posted)
    assert sentence in Text(response.text).text
    assert (
        Text(response.text).values.items()
        >= {name: each for name, each in posted.items() if name in ("x0", "x1")}.items()
    )


def test_a_place_in_the_boundary_is_asked_about_and_marked(client):
    plane = pictures.plane(client.server.versions.current.notes)
    x, y = plane.place(np.array([1.0, 2.0])) * (pictures.WIDTH, pictures.HEIGHT)
    for size, width in page.SIZES.items():
        scale = width / pictures.WIDTH
        markup = client.post("/", data={f"{size}.x": str(scale * x), f"{size}.y": str(scale * y)}).text
        assert Text(markup).values == {"x0": "1", "x1": "2"}
        assert "colour green" in Text(markup).text
        (circle,) = {
            found["cx"] + " " + found["cy"] for tag, found in Text(markup).tags if tag == "circle" and found["r"] == "9"
        }
        np.testing.assert_allclose([*map(float, circle.split())], [x, y], atol=0.1)


def test_the_boundary_is_drawn_once_from_the_models_own_answers(client, monkeypatch):
    response = client.get("/boundary.png")
    image = np.asarray(Image.open(io.BytesIO(response.content)).convert("RGB"))
    assert image.shape == (2 * pictures.HEIGHT, 2 * pictures.WIDTH, 3)
    plane = pictures.plane(client.server.versions.current.notes)
    for point, strongest in (
        ([-1.0, 2.5], 0),
        ([1.5, -0.5], 2),
        ([-1.0, -0.5], 1),
    ):  # green is orange, red blue, blue green
        x, y = plane.place(np.array(point)) * (image.shape[1], image.shape[0])
        assert image[int(y), int(x)].argmax() == strongest
    monkeypatch.setattr(pictures, "_boundary", None)
    assert client.get("/boundary.png").content == response.content


def test_places_and_points_are_each_others_inverse():
    plane = pictures.Plane(np.array([-2.0, 10.0]), np.array([3.0, 50.0]))
    np.testing.assert_allclose(plane.point(*plane.place(np.array([1.0, 20.0]))), [1, 20])
    assert plane.point(0, 0) is None
    assert plane.place(np.array([4.0, 20.0])) is None


@pytest.mark.slow
def test_a_column_of_categories_is_a_choice(tmp_path):
    schema = Schema((Column("size"), Column("shape", ("round", "<square>"))), True, "colour", served.CLASSES)
    served.write(tmp_path / "colours", schema=schema)
    with served.client(tmp_path / "colours") as client:
        markup = client.post("/", data={"x0": "5", "x1": "1"}).text
        assert '<option value="1" selected>&lt;square&gt;</option>' in markup
        assert "colour red" in Text(markup).text
        assert '"shape": "<square>"' in Text(markup).text
        assert "(another)" in shown(client)
        assert client.get("/boundary.png").status_code == 404


@pytest.mark.slow
def test_a_text_that_is_missing_has_a_word(tmp_path):
    schema = Schema((Column("size"), Column("shape", ("", "round"))), True, "colour", served.CLASSES)
    served.write(tmp_path / "colours", schema=schema)
    with served.client(tmp_path / "colours") as client:
        assert '<option value="0">(missing)</option>' in client.get("/").text
        assert "(missing), round" in shown(client)
        assert '"shape": ""' in Text(client.post("/", data={"x0": "5", "x1": "0"}).text).text


def test_a_number_that_is_missing_is_an_empty_field(tmp_path):
    served.write(tmp_path / "colours", missing=True, examples={"X": [[None, 2]]})
    with served.client(tmp_path / "colours") as client:
        page = Text(client.get("/").text)
        assert page.values == {"x0": "", "x1": "2"}
        assert not any("required" in found for tag, found in page.tags if tag == "input")
        assert '"width": null, "height": 2.0' in Text(client.post("/", data={"x0": "", "x1": "2"}).text).text


def test_images_are_explained_drawn_and_asked_about(tmp_path):
    schema = Schema((), False, None, ("dark", "bright", "other"), (1, 2))
    served.write(tmp_path / "colours", schema=schema)
    with served.client(tmp_path / "colours") as client:
        assert "A row is an image of 1 x 2: its 2 brightnesses" in shown(client)
        image = Image.open(io.BytesIO(client.get("/example-0.png").content))
        assert image.size == (140, 70)
        assert [image.getpixel((x, 35)) for x in (10, 130)] == [153, 204]  # of the ranges from -2 to 3
        assert client.get("/example-3.png").status_code == 404
        markup = client.post("/", data={"example-1.x": "3", "example-1.y": "4"}).text
        assert "class other other 71.5%" in Text(markup).text
        assert [found["name"] for tag, found in Text(markup).tags if found.get("class") == "chosen"] == ["example-1"]
        assert client.get("/boundary.png").status_code == 404


@pytest.mark.slow
def test_numbers_and_several_labels_are_answered(tmp_path):
    regression = Schema((Column("width"), Column("height")), True, "price", ())
    served.write(tmp_path / "prices", 3, regression, "regression")
    with served.client(tmp_path / "prices") as client:
        assert "price 3.75" in shown(client, x0="1.25", x1="2")
    served.write(tmp_path / "labels", 1, served.NAMED, "multilabel")
    with served.client(tmp_path / "labels") as client:
        assert "labels red, green green 95.3% red 73.1% blue 1.8%" in shown(client, x0="1", x1="3")


def test_without_notes_a_body_is_asked(tmp_path):
    def build():
        text = tf1.placeholder(tf.string, (None,))
        return {"serving_default": ({"text": text}, {"upper": tf.strings.upper(text)})}

    served.foreign(tmp_path / "foreign" / "1", build)
    with served.client(tmp_path / "foreign") as client:
        assert "in text string [?] out upper string [?]" in shown(client)
        assert '{ "inputs": { "text": [ "" ] } }' in re.sub(r"\s+", " ", shown(client))
        assert '"ABC"' in shown(client, body='{"inputs": ["abc"]}')
        assert "the body is not JSON" in shown(client, body="abc")


@pytest.mark.slow
def test_names_of_any_kind_stay_text(tmp_path):
    evil = '"><script>alert(1)</script>$title'
    schema = Schema((Column(evil), Column("'")), True, evil, (evil, "b", "c"))
    served.write(tmp_path / "x<b>", schema=schema, layers=evil, note={"metrics": {evil: 1}})
    with served.client(tmp_path / "x<b>") as client:
        for response in (
            client.get("/"),
            client.post("/", data={"x0": "9", "x1": "1"}),
            client.post("/", data={"x0": evil}),
        ):
            assert not {"script", "b"} & {tag for tag, _ in Text(response.text).tags}
            assert evil in Text(response.text).text


def test_the_page_needs_nothing_from_elsewhere_and_says_so(client):
    response = client.get("/")
    assert response.headers["content-security-policy"].startswith(
        "default-src 'none'; img-src 'self' data:; style-src 'self'"
    )
    assert not re.findall(r"(?:src|href)=\"(?:https?:)?//", response.text)
    assert " style=" not in response.text
    assert client.get("/page.css").headers["content-type"] == "text/css; charset=utf-8"


def test_a_form_of_hundreds_of_fields_is_refused(client):
    response = client.post("/", content="&".join(["a=1"] * 300))
    assert response.json() == {"error": "the body is not what the form of this page sends: go back to / and ask again."}
