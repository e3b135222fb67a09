"""TensorBoard itself, in a real browser, over two runs: what its pages show."""

import contextlib
import io
import json
import shutil
import subprocess
import sys
import urllib.error
import urllib.request

import numpy as np
import pytest
import runs
from PIL import Image
from selenium import webdriver
from selenium.common.exceptions import TimeoutException
from selenium.webdriver.support.wait import WebDriverWait

from fcclf.runs import training

CHROMIUM, DRIVER = (shutil.which(name) for name in ("chromium", "chromedriver"))
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="needs Debian's packages chromium and chromium-driver"),
]
PATIENCE = 15  # seconds, for a page to show what it should
LOADS = 4  # of a page, for TensorBoard reads while it answers

# Everything that is written on the page, also inside the elements that hide their content from the document.
WRITTEN = """
const written = node => node.nodeType == Node.TEXT_NODE ? node.textContent
    : ["STYLE", "SCRIPT", "TEMPLATE"].includes(node.nodeName) ? ""
    : [...(node.shadowRoot ? [node.shadowRoot] : []), ...node.childNodes].map(written).join(" ");
return written(document.body).replace(/\\s+/g, " ");
"""
SHOWN_IMAGES = """
const within = node => [...(node.shadowRoot ? [node.shadowRoot] : []), ...node.children].flatMap(within)
    .concat(node.nodeName == "IMG" && node.naturalWidth ? [node.src] : []);
return within(document.body);
"""


@pytest.fixture(scope="module")
def logs(tmp_path_factory):
    """Two runs that differ in their noise, each trained in two starts."""
    path = tmp_path_factory.mktemp("logs")
    for noise in (0.1, 0.3):
        for epochs in (20, 40):
            config = runs.config(epochs=epochs, noise=noise, image_every=20, histogram_every=20)
            training.train(config, path / f"noise-{noise}")
    return path


@contextlib.contextmanager
def serving(logs, load_fast):
    """Where a TensorBoard that reads with the fast or the slow loader answers."""
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", logs, "--port", "0", "--load_fast", load_fast]
    server = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    try:
        line = next(line for line in server.stderr if "http://" in line)
        yield next(word for word in line.split() if word.startswith("http://")).rstrip("/")
    finally:
        server.kill()
        server.communicate()


@pytest.fixture(scope="module")
def address(logs):
    with serving(logs, "true") as address:
        yield address


@pytest.fixture(scope="module")
def browser():
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in ("headless=new", "no-sandbox", "disable-dev-shm-usage", "disable-gpu", "window-size=1400,1100"):
        options.add_argument(f"--{flag}")
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    yield driver
    driver.quit()


def shown(browser, address, tab, *words):
    """What is written on a tab, once all `words` are. Fails the test if they do not come."""
    for _ in range(LOADS):
        browser.get("about:blank")
        browser.get(f"{address}/#{tab}")
        with contextlib.suppress(TimeoutException):
            return WebDriverWait(browser, PATIENCE).until(lambda _: page_with(browser, words))
    page = browser.execute_script(WRITTEN)
    pytest.fail(f"{tab} lacks {[word for word in words if word not in page]}: {page}")


def page_with(browser, words):
    page = browser.execute_script(WRITTEN)
    return page if all(word in page for word in words) else None


def test_time_series_overlay_train_and_test_of_every_run(browser, address):
    page = shown(browser, address, "timeseries", "noise-0.1/train", "noise-0.3/test", "Run Smoothed Value Step")
    assert "accuracy" in page
    assert "loss 3 cards" in page
    assert "pictures 6 cards" in page


def test_scalars_have_loss_accuracy_and_how_training_goes(browser, address):
    shown(
        browser, address, "scalars", "tag: accuracy", "tag: loss", "tag: loss/penalty", "tag: loss/total", "training 3"
    )


def test_graphs_show_the_steps_in_boxes_of_their_own(browser, address):
    shown(browser, address, "graphs", "input", "full-connect-layer", "output", "loss", "train", "eval", "epoch-loop")


def test_distributions_show_activations_and_updates(browser, address):
    shown(browser, address, "distributions", "outputs/fc2/activation", "updates/fc1/bias", "variables 12")


def test_images_show_a_boundary_that_is_not_blank(browser, address):
    shown(browser, address, "images", "pictures/boundary", "pictures/units", "pictures/confusion", "step 40")
    WebDriverWait(browser, LOADS * PATIENCE).until(lambda _: len(browser.execute_script(SHOWN_IMAGES)) == 6)
    for source in browser.execute_script(SHOWN_IMAGES):
        with urllib.request.urlopen(source) as answer:
            pixels = np.asarray(Image.open(io.BytesIO(answer.read())).convert("RGB"))
        assert pixels.std() > 20


def test_pr_curves_are_named_by_data_and_class(browser, address):
    shown(browser, address, "pr_curves", "class 0", "tag: moons/class 1/pr_curves", "noise-0.3/test is at step 40")


def test_hparams_compare_the_runs(browser, address):
    shown(browser, address, "hparams", "Hyperparameters noise", "test.accuracy", "noise-0.1", "noise-0.3")


@pytest.mark.parametrize("load_fast", [runs.campaign("true"), runs.campaign("false")])
def test_both_loaders_show_every_epoch_once_after_a_second_start(browser, logs, load_fast):
    with serving(logs, load_fast) as address:
        url = f"{address}/data/plugin/scalars/scalars?run=noise-0.3%2Ftrain&tag=loss"
        points = WebDriverWait(browser, LOADS * PATIENCE).until(lambda _: points_at(url))
    assert [step for _, step, _ in points] == list(range(1, 41))


def points_at(url):
    """The scalars that TensorBoard has by now, None before it has read the last epoch."""
    with contextlib.suppress(urllib.error.HTTPError), urllib.request.urlopen(url) as answer:
        points = json.load(answer)
        return points if points[-1][1] == 40 else None
