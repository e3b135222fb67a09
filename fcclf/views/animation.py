"""The decision boundary over training as an animated GIF, made of the PNGs that were recorded during training."""

import io
import warnings
from pathlib import Path

from fcclf.errors import RunError
from fcclf.system import durable

MOST_FRAMES = 200  # more are thinned out evenly
PLAYED = 4000  # milliseconds in all, before the last frame
SHORTEST_FRAME, LONGEST_FRAME, LAST_FRAME = 40, 400, 2000  # milliseconds
COLORS = 255  # of a GIF's palette
SAMPLED_FRAMES = 8  # that the palette is made from
MOST_PIXELS, LARGEST_PICTURE = 1_000_000, 4_000_000  # of a PNG, and its bytes; those recorded have a tenth


def write(path: Path, pictures: list[bytes]):
    """Writes PNGs, one at least, as a GIF that loops.

    Raises RunError if one is no PNG, is too large or has another size than the first.
    """
    frames = [_opened(picture) for picture in _thinned(pictures, MOST_FRAMES)]
    _check_sizes(frames)
    palette = _side_by_side(frames).quantize(COLORS)  # one for all, or the colours would flicker
    frames = [frame.quantize(palette=palette, dither=0) for frame in frames]
    content = io.BytesIO()
    duration = min(max(PLAYED // len(frames), SHORTEST_FRAME), LONGEST_FRAME)
    durations = [duration] * (len(frames) - 1) + [LAST_FRAME]
    frames[0].save(content, "GIF", save_all=True, append_images=frames[1:], duration=durations, loop=0)
    durable.make_directory(path.parent)
    durable.replace_file(path, content.getvalue())


def _thinned(pictures, most):
    """At most `most` of the pictures, evenly spaced, the first and the last included."""
    count = min(len(pictures), most)
    return [pictures[number * (len(pictures) - 1) // max(count - 1, 1)] for number in range(count)]


def _check_sizes(frames):
    first = frames[0].size
    for frame in frames:
        if frame.size != first:
            sizes = "it has {} x {} pixels, the first {} x {}".format(*frame.size, *first)
            raise RunError(f"cannot read a recorded picture: {sizes}.")


def _side_by_side(frames):
    from PIL import Image

    frames = _thinned(frames, SAMPLED_FRAMES)
    joined = Image.new("RGB", (sum(frame.width for frame in frames), max(frame.height for frame in frames)))
    left = 0
    for frame in frames:
        joined.paste(frame, (left, 0))
        left += frame.width
    return joined


def _opened(picture):
    """A PNG as an RGB image. Other formats, for which Pillow may start programs, and very large images are refused."""
    from PIL import Image

    errors = (*durable.MALFORMED, Image.DecompressionBombError)
    with durable.explained("read", "a recorded picture", *errors), warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        if len(picture) > LARGEST_PICTURE:
            raise ValueError(f"it has {len(picture)} bytes, more than {LARGEST_PICTURE}")
        image = Image.open(io.BytesIO(picture), formats=["PNG"])
        if image.width * image.height > MOST_PIXELS:
            raise ValueError(f"it has {image.width} x {image.height} pixels, more than {MOST_PIXELS}")
        return image.convert("RGB")
