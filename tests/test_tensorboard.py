"""TensorBoard itself, in a real browser, over two runs: what its pages show."""

import shutil
import subprocess
import sys

import pytest
import runs

from fcclf import training

webdriver = pytest.importorskip("selenium.webdriver")
CHROMIUM, DRIVER = (shutil.which(name) for name in ("chromium", "chromedriver"))
pytestmark = pytest.mark.skipif(
    not (CHROMIUM and DRIVER), reason="needs Debian's packages chromium and chromium-driver"
)
PATIENCE = 60  # seconds, for a page to show what it should

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
    """Two runs that differ in their noise."""
    path = tmp_path_factory.mktemp("logs")
    for noise in (0.1, 0.3):
        settings = {"noise": noise, "image_every": 20, "histogram_every": 20}
        training.train(runs.config(epochs=40, **settings), path / f"noise-{noise}")
    return path


@pytest.fixture(scope="module", params=["true", "false"], ids=["fast-loader", "slow-loader"])
def address(logs, request):
    """Where a TensorBoard that reads with the fast or the slow loader answers."""
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", logs, "--port", "0", "--load_fast", request.param]
    server = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    try:
        line = next(line for line in server.stderr if "http://" in line)
        yield next(word for word in line.split() if word.startswith("http://")).rstrip("/")
    finally:
        server.kill()
        server.communicate()


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
    from selenium.common.exceptions import TimeoutException
    from selenium.webdriver.support.wait import WebDriverWait

    browser.get("about:blank")
    browser.get(f"{address}/#{tab}")
    try:
        return WebDriverWait(browser, PATIENCE).until(lambda _: _if_has(browser.execute_script(WRITTEN), words))
    except TimeoutException:
        page = browser.execute_script(WRITTEN)
        pytest.fail(f"{tab} lacks {[word for word in words if word not in page]}: {page}")


def _if_has(page, words):
    return page if all(word in page for word in words) else None
