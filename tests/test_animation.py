"""The boundary over training: pictures out of event files, and a GIF of them."""

import io
import struct
import zlib

import pytest
import tensorflow as tf
from PIL import Image

from fcclf.errors import RunError
from fcclf.runs import events
from fcclf.views import animation

RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)


def png(color, size=(8, 6)):
    content = io.BytesIO()
    Image.new("RGB", size, color).save(content, "PNG")
    return content.getvalue()


def record(path, attempt, pictures):
    """Writes {epoch: PNG} into an event file of the run in `path`."""
    log = events.EventLog(path, attempt, first_step=1)
    for epoch, content in pictures.items():
        image = tf.compat.v1.Summary.Image(height=6, width=8, colorspace=3, encoded_image_string=content)
        value = tf.compat.v1.Summary.Value(tag="pictures/boundary", image=image)
        log.summary(epoch, tf.compat.v1.Summary(value=[value]).SerializeToString())
    log.close()


def test_the_pictures_of_all_starts_are_found_in_the_order_of_their_epochs(tmp_path):
    record(tmp_path, 1, {0: png(RED), 10: png(GREEN)})
    record(tmp_path, 2, {20: png(BLUE)})
    assert events.read_pictures(tmp_path, "pictures/boundary") == [png(RED), png(GREEN), png(BLUE)]


def test_other_events_are_no_pictures(finished_run):
    assert events.read_pictures(finished_run, "pictures/boundary") == []


def test_the_gif_shows_every_picture_the_last_one_longer_and_starts_over(tmp_path):
    animation.write(tmp_path / "figures" / "boundary.gif", [png(RED), png(GREEN), png(BLUE)])
    with Image.open(tmp_path / "figures" / "boundary.gif") as gif:
        assert (gif.n_frames, gif.info["loop"]) == (3, 0)
        shown = []
        for number in range(3):
            gif.seek(number)
            shown.append((gif.convert("RGB").getpixel((3, 3)), gif.info["duration"]))
    (first, short), (second, _), (last, long) = shown
    assert (short, long) == (400, 2000)
    assert [first, second, last] == [RED, GREEN, BLUE]


def test_many_pictures_are_thinned_out_from_the_first_to_the_last():
    pictures = [bytes([number % 256, number // 256]) for number in range(1001)]
    thinned = animation._thinned(pictures, 200)
    assert len(thinned) == 200
    assert (thinned[0], thinned[-1]) == (pictures[0], pictures[-1])


def test_a_damaged_picture_is_one_sentence(tmp_path):
    with pytest.raises(RunError, match="cannot read a recorded picture"):
        animation.write(tmp_path / "boundary.gif", [b"no PNG"])


def chunk(kind, content):
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def head(width, height):
    return chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))


def png_of(*chunks):
    """A PNG of these chunks that holds a few black pixels only, whatever they say."""
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks) + chunk(b"IDAT", zlib.compress(bytes(100)))


@pytest.mark.parametrize(
    "picture",
    [
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n(gs) print\n%%EOF\n",
        png(RED)[:45],
        png_of(head(60_000, 60_000)),
        png_of(head(10_000, 10_000)),
        png_of(head(2000, 1000), head(12_000, 12_000)),
        png_of(head(0, 0)),
        png_of(head(8, 6), chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(100_000_000)))),
        png_of(chunk(b"IHDR", b"")),
        b"",
    ],
    ids=["EPS", "cut", "bomb", "large", "two heads", "empty", "text bomb", "short head", "nothing"],
)
@pytest.mark.filterwarnings("error")
def test_a_picture_that_is_no_small_png_is_one_sentence_and_starts_no_other_program(tmp_path, monkeypatch, picture):
    monkeypatch.setattr("subprocess.Popen", None)
    monkeypatch.setattr("subprocess.check_call", None)
    with pytest.raises(RunError, match=r"^cannot read a recorded picture: "):
        animation.write(tmp_path / "boundary.gif", [png(RED), picture])


def test_pictures_of_different_sizes_are_refused(tmp_path):
    with pytest.raises(RunError, match=r"^cannot read a recorded picture: it has 12 x 6 pixels, the first 8 x 6"):
        animation.write(tmp_path / "boundary.gif", [png(RED), png(BLUE, (12, 6))])
