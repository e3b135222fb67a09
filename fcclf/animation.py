"""The decision boundary over training as an animated GIF, from the pictures in a run's event files.

They are image summaries with the tag `pictures/boundary`, PNGs that were recorded while it was trained.
"""

import io
from pathlib import Path

import tensorflow as tf

from fcclf import durable, summaries

TAG = "pictures/boundary"
MOST_FRAMES = 200  # more are thinned out evenly
PLAYED = 4000  # milliseconds in all, before the last frame
SHORTEST_FRAME, LONGEST_FRAME, LAST_FRAME = 40, 400, 2000  # milliseconds
COLORS = 255  # of a GIF's palette
SAMPLED_FRAMES = 8  # that the palette is made from


def recorded(run_path: Path) -> list[bytes]:
    """The pictures of a run as PNGs, in the order of their epochs."""
    with durable.explained("read the events of", run_path, tf.errors.OpError):
        values = summaries.read_values(run_path)
        pictures = {step: value.image.encoded_image_string for step, value in values if value.tag == TAG}
    return [picture for _, picture in sorted(pictures.items())]


def write(path: Path, pictures: list[bytes]):
    """Writes PNGs, one at least, as a GIF that starts over when it is at its end."""
    frames = [_opened(picture) for picture in _thinned(pictures, MOST_FRAMES)]
    palette = _side_by_side(frames).quantize(COLORS)  # one for all, or the colours would flicker
    frames = [frame.quantize(palette=palette, dither=0) for frame in frames]
    content = io.BytesIO()
    duration = min(max(PLAYED // len(frames), SHORTEST_FRAME), LONGEST_FRAME)
    durations = [duration] * (len(frames) - 1) + [LAST_FRAME]
    frames[0].save(content, "GIF", save_all=True, append_images=frames[1:], duration=durations, loop=0)
    durable.make_directory(path.parent)
    durable.replace_file(path, content.getvalue())


def _thinned(pictures, most):
    """At most `most` of them, the first and the last included."""
    count = min(len(pictures), most)
    return [pictures[number * (len(pictures) - 1) // max(count - 1, 1)] for number in range(count)]


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
    from PIL import Image

    with durable.explained("read", f"a picture with the tag {TAG!r}"):
        return Image.open(io.BytesIO(picture)).convert("RGB")
