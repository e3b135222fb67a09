"""The page in a real browser: what it looks like, and that its forms work without scripts."""

import shutil

import numpy as np
import pytest
import served
from selenium import webdriver
from selenium.common.exceptions import WebDriverException
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.support.expected_conditions import staleness_of
from selenium.webdriver.support.wait import WebDriverWait
from test_serve import Running

from fcclf.data.schema import Column, Schema

CHROMIUM, DRIVER = (shutil.which(name) for name in ("chromium", "chromedriver"))
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="needs Debian's packages chromium and chromium-driver"),
]
PATIENCE = 15  # seconds, for a page to show what it should
SIZES = {"wide": (1280, 900), "narrow": (390, 844)}
WIDEST = "return document.documentElement.scrollWidth"
COLORS = "return [getComputedStyle(document.body).color, getComputedStyle(document.body).backgroundColor]"


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """Of a server of two-dimensional data."""
    path = tmp_path_factory.mktemp("models")
    layers = "layer                       output shape        parameters\n" + "-" * 58 + "\ndense 3"
    served.write(path / "colours", note={"metrics": {"test": {"loss": 0.125, "accuracy": 0.97}}}, layers=layers)
    server = Running(path, path / "colours")
    yield f"http://127.0.0.1:{server.port}/"
    server.process.kill()


@pytest.fixture(scope="module")
def scriptless():
    """A browser that runs no scripts of a page."""
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    options.add_experimental_option("prefs", {"profile.managed_default_content_settings.javascript": 2})
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    for flag in ("headless=new", "no-sandbox", "disable-dev-shm-usage", "disable-gpu"):
        options.add_argument(f"--{flag}")
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    yield driver
    driver.quit()


def opened(browser, address, size="wide", scheme="light"):
    width, height = SIZES[size]
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": size == "narrow"}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    browser.get(address)
    return browser


def shown(browser, selector):
    return [each for each in browser.find_elements(By.CSS_SELECTOR, selector) if each.is_displayed()]


def answer(browser, act):
    """What is answered after act(), which sends a form. While one page gives way to the next, the driver may err."""
    page = browser.find_element(By.TAG_NAME, "html")
    act()
    wait = WebDriverWait(browser, PATIENCE, ignored_exceptions=[WebDriverException])
    wait.until(staleness_of(page))
    return wait.until(lambda _: browser.find_element(By.CLASS_NAME, "answer").text)


@pytest.mark.parametrize("size", SIZES)
def test_one_clicks_into_the_plane_and_the_point_stands_where_one_clicked(scriptless, address, size):
    browser = opened(scriptless, address, size)
    (picture,) = shown(browser, ".boundary input")
    width, height = picture.size["width"], picture.size["height"]
    right, up = round(0.25 * width), round(0.3 * height)
    click = ActionChains(browser).move_to_element_with_offset(picture, right, -up).click
    assert answer(browser, lambda: click().perform()).startswith("colour green\ngreen\n78.1%")
    (circle,) = shown(browser, ".boundary circle")
    (picture,) = shown(browser, ".boundary input")
    middles = [
        (each.rect["x"] + each.rect["width"] / 2, each.rect["y"] + each.rect["height"] / 2)
        for each in (picture, circle)
    ]
    np.testing.assert_allclose(np.subtract(*middles[::-1]), [right, -up], atol=1.5)


def test_the_form_answers_and_explains(scriptless, address):
    browser = opened(scriptless, address)
    for value, label in (("9", "colour red"), ("-9", "colour blue")):
        field = browser.find_element(By.NAME, "x0")
        field.clear()
        field.send_keys(value)
        assert answer(browser, browser.find_element(By.TAG_NAME, "button").click).startswith(label)
        assert browser.find_element(By.NAME, "x0").get_attribute("value") == value


@pytest.mark.parametrize("size", SIZES)
def test_it_fits_the_window_and_complains_of_nothing(scriptless, address, size):
    browser = opened(scriptless, address, size)
    assert browser.execute_script(WIDEST) <= SIZES[size][0]
    assert len(shown(browser, ".boundary input")) == 1
    assert browser.get_log("browser") == []


def test_it_is_dark_where_the_reader_likes_it_dark(scriptless, address):
    for scheme, darker in (("light", 0), ("dark", 1)):
        colors = opened(scriptless, address, "wide", scheme).execute_script(COLORS)
        brightness = [sum(map(int, color[4:-1].split(","))) for color in colors]
        assert brightness.index(min(brightness)) == darker


def test_a_click_on_an_image_asks_about_it(scriptless, tmp_path):
    served.write(tmp_path / "images", schema=Schema((), False, None, ("dark", "bright", "other"), (1, 2)))
    server = Running(tmp_path, tmp_path / "images")
    browser = opened(scriptless, f"http://127.0.0.1:{server.port}/")
    pictures = shown(browser, ".examples input")
    assert [each.get_property("naturalWidth") or each.size["width"] > 0 for each in pictures] == [True] * 3
    assert answer(browser, pictures[1].click).startswith("class other")
    server.process.kill()


def test_a_text_is_chosen_from_its_categories(scriptless, tmp_path):
    schema = Schema((Column("size"), Column("shape", ("round", "square"))), True, "colour", served.CLASSES)
    served.write(tmp_path / "shapes", schema=schema)
    server = Running(tmp_path, tmp_path / "shapes")
    browser = opened(scriptless, f"http://127.0.0.1:{server.port}/")
    browser.find_element(By.XPATH, "//option[text()='square']").click()
    assert answer(browser, browser.find_element(By.TAG_NAME, "button").click).startswith("colour ")
    assert browser.find_element(By.XPATH, "//option[@selected]").text == "square"
    server.process.kill()
