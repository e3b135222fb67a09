"""IDX files: what is read, and what is refused with a sentence that names the file."""

import gzip
import os
import random
import struct
from pathlib import Path

import numpy as np
import pytest
import runs

from fcclf.data import idx, loading
from fcclf.errors import ConfigError, RunError
from fcclf.settings.config import Config, Training
from fcclf.settings.sources import FASHION_MNIST, Images
from fcclf.system import memory


def idx_bytes(array):
    """A uint8 array as the content of an IDX file."""
    return struct.pack(f">{1 + array.ndim}I", 0x800 + array.ndim, *array.shape) + array.tobytes()


@pytest.fixture
def directory(tmp_path):
    """Four files: 6 training and 3 test images of 2 x 3 pixels, the test part packed."""
    for part, size, pack, suffix in (("train", 6, bytes, ""), ("t10k", 3, gzip.compress, ".gz")):
        images = np.arange(size * 6, dtype=np.uint8).reshape(size, 2, 3)
        (tmp_path / f"{part}-images-idx3-ubyte{suffix}").write_bytes(pack(idx_bytes(images)))
        (tmp_path / f"{part}-labels-idx1-ubyte{suffix}").write_bytes(
            pack(idx_bytes(np.arange(size, dtype=np.uint8) % 3))
        )
    return tmp_path


def load(directory):
    return loading.load(Config(Images(str(directory)), training=Training(batch_size=2)))


def test_images_are_rows_of_pixels_from_0_to_1(directory):
    dataset = load(directory)
    np.testing.assert_array_equal(dataset.train.X, np.arange(36, dtype=np.float32).reshape(6, 6) / np.float32(255))
    np.testing.assert_array_equal(dataset.test.y, [0, 1, 2])
    assert dataset.test.X.dtype == np.float32
    assert dataset.train.y.dtype == np.int32
    assert (dataset.n_classes, dataset.classes) == (3, ["0", "1", "2"])


@pytest.mark.parametrize(
    ("file", "content", "words"),
    [
        ("train-images-idx3-ubyte", b"", "does not begin with 0x00000803"),
        ("train-images-idx3-ubyte", idx_bytes(np.zeros(6, np.uint8)), "does not begin with 0x00000803"),
        ("train-images-idx3-ubyte", idx_bytes(np.zeros((6, 2, 3), np.uint8))[:-1], "has 35 bytes after its head"),
        ("train-labels-idx1-ubyte", idx_bytes(np.zeros(5, np.uint8)), "has 5 labels: download both again"),
        (
            "t10k-labels-idx1-ubyte.gz",
            gzip.compress(idx_bytes(np.zeros(99, np.uint8)), mtime=0)[:-9],
            "cannot be unpacked",
        ),
        ("t10k-labels-idx1-ubyte.gz", idx_bytes(np.full(3, 9, np.uint8)), "do not belong together"),
        ("t10k-images-idx3-ubyte.gz", idx_bytes(np.zeros((3, 3, 3), np.uint8)), "do not belong together"),
    ],
    ids=["empty", "other dimensions", "cut", "too few", "damaged gzip", "unknown label", "other size"],
)
def test_a_damaged_file_is_refused(directory, file, content, words):
    (directory / file).write_bytes(content)
    with pytest.raises(RunError, match=words):
        load(directory)


def test_missing_files_are_told_with_what_to_install_or_download(tmp_path):
    with pytest.raises(RunError) as error:
        load(tmp_path)
    assert f"there is no train-images-idx3-ubyte, also not with .gz, in {tmp_path}" in str(error.value)
    assert "install Debian's package dataset-fashion-mnist, or download the four files" in str(error.value)


@pytest.mark.slow
@pytest.mark.skipif(not Path(FASHION_MNIST).is_dir(), reason="Debian's package dataset-fashion-mnist is not installed")
def test_fashion_mnist_is_read_with_the_names_of_its_classes():
    dataset = loading.load(Config(Images()))
    assert (dataset.train.X.shape, dataset.test.X.shape) == ((60000, 784), (10000, 784))
    np.testing.assert_array_equal(np.bincount(dataset.test.y), 10 * [1000])
    assert dataset.classes[dataset.test.y[0]] == "Ankle boot"
    assert 0.28 < dataset.train.X.mean() < 0.29


def test_the_parts_are_found_with_and_without_gz(directory):
    for part, size in (("train", 6), ("test", 3)):
        images, labels = idx.read_part(directory, part)
        assert (len(images), len(labels)) == (size, size)


def test_a_small_file_that_unpacks_to_gigabytes_is_not_unpacked(directory):
    chunk = gzip.compress(bytes(1 << 27))
    bomb = gzip.compress(struct.pack(">4I", 0x803, 6, 2, 3)) + 64 * chunk  # several members, 8 GB in all
    (directory / "train-images-idx3-ubyte").write_bytes(bomb)
    with pytest.raises(RunError, match="more bytes after its head, but its head declares 6 x 2 x 3: download it"):
        load(directory)


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
@pytest.mark.parametrize("shape", [(2**32 - 1, 2**32 - 1, 2**32 - 1), (6, 100_000, 1000)])
def test_a_head_that_tells_of_more_than_the_file_can_hold_is_refused(directory, pack, shape):
    (directory / "train-images-idx3-ubyte").write_bytes(pack(struct.pack(">4I", 0x803, *shape) + bytes(36)))
    declared = " x ".join(map(str, shape))
    with pytest.raises(RunError, match=f"is too short for {declared} bytes, as its head declares"):
        load(directory)


def test_images_larger_than_the_memory_are_refused_before_they_are_unpacked(directory, monkeypatch):
    monkeypatch.setattr(memory, "available_memory", lambda: 100)
    with pytest.raises(
        RunError, match=r"^reading .* needs about 1 MB of memory, but 1 MB are available: take fewer samples"
    ):
        load(directory)


def test_rubbish_behind_packed_images_is_noticed(directory):
    file = directory / "t10k-labels-idx1-ubyte.gz"
    file.write_bytes(file.read_bytes() + b"rubbish")
    with pytest.raises(RunError, match="cannot be unpacked"):
        load(directory)


def crafted(chance):
    """The bytes of an IDX file whose head may say anything, packed or not."""
    dimensions = chance.choice([0, 1, 2, 3, 3, 3, 255])
    sizes = [chance.choice([0, 1, 2, 3, 6, 7, 28, 2**16, 2**31, 2**32 - 1]) for _ in range(dimensions)]
    kind = chance.choice([0x800, 0x800, 0x800, 0xD00, 0, 2**31])
    head = struct.pack(f">{1 + dimensions}I", kind + dimensions, *sizes)
    content = head[: chance.choice([len(head), 3])] + chance.randbytes(chance.choice([0, 1, 6, 36, 5000]))
    packed = gzip.compress(content)
    return chance.choice([content, packed, packed[:-5], packed + packed, packed + b"rubbish"])


@pytest.mark.parametrize("count", [30, runs.campaign(3000)])
def test_crafted_images_are_read_or_refused_in_one_sentence(directory, count):
    for number in range(count):
        chance = random.Random(number)
        file = directory / chance.choice(["train-images-idx3-ubyte", "train-labels-idx1-ubyte"])
        sound = file.read_bytes()
        file.write_bytes(crafted(chance))
        try:
            load(directory)
        except (RunError, ConfigError) as error:
            runs.assert_one_sentence(error)
        file.write_bytes(sound)


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda path: os.symlink("/dev/zero", path)])
def test_what_is_no_file_is_as_if_it_were_missing(tmp_path, make):
    make(tmp_path / "train-images-idx3-ubyte")
    with pytest.raises(RunError, match="there is no train-images-idx3-ubyte, also"):
        load(tmp_path)


@pytest.mark.parametrize("directory", ["/dev/zero", "/proc/self/mem", "/nowhere"])
def test_a_directory_that_is_none_has_no_images(directory):
    with pytest.raises(RunError, match=f"there is no train-images-idx3-ubyte, also not with .gz, in {directory}"):
        load(directory)
