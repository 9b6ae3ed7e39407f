"""The page of a system that reads phrases with masks and draws what it paints, in headless Chromium."""

import numpy as np
import pytest
import torch
from PIL import Image
from test_app import Page, Visitor, browser, picture  # noqa: F401  a fixture
from test_places import CAPTION, colorizer  # noqa: F401  a fixture

SIZE = 240, 180  # of the photograph


@pytest.fixture(scope="module")
def page(colorizer, tmp_path_factory):  # noqa: F811
    folder = tmp_path_factory.mktemp("server")
    torch.save(colorizer.system.content() | {"ema": None}, folder / "tiny.pth")
    running = Page(folder, "--checkpoint", str(folder / "tiny.pth"), "--amp", "none")
    yield running
    running.process.kill()
    running.process.wait()


@pytest.fixture
def visitor(browser, page):  # noqa: F811
    one = Visitor(browser, page)
    yield one
    one.leave()


def click(visitor, x, y):
    """At a place of the map, in [0, 1]; there may be room beside it."""
    from selenium.webdriver import ActionChains

    image = visitor.find("#groups img")[0]
    scale = min(image.rect["width"] / SIZE[0], image.rect["height"] / SIZE[1])
    offset = [round((place - 0.5) * scale * side) for place, side in zip((x, y), SIZE, strict=True)]
    ActionChains(visitor.browser).move_to_element_with_offset(image, *offset).click().perform()


def drawn(visitor, act):
    """The map that `act` brings."""
    before = visitor.groups()
    act()
    visitor.wait(lambda: visitor.groups() != before)
    return picture(visitor.groups())


def test_a_phrase_is_placed_by_two_clicks_and_a_variant_taken(visitor, page, tmp_path):
    noise = np.random.default_rng(0).integers(60, 160, (4, 5), dtype=np.uint8)
    Image.fromarray(noise).resize(SIZE, Image.Resampling.BICUBIC).save(tmp_path / "street.png")
    visitor.say(CAPTION)
    visitor.result(lambda: visitor.upload(tmp_path / "street.png"))
    visitor.groups()
    visitor.wait(lambda: [e.text for e in visitor.find("#phrase label")] == ["red car", "blue car", "pink sky"])
    visitor.find("#phrase input")[2].click()
    plain = picture(visitor.groups())
    drawn(visitor, lambda: click(visitor, 0.25, 0.25))
    assert "opposite corner" in visitor.text("#words")
    placed = picture(visitor.result(lambda: click(visitor, 0.75, 0.75))[1])
    visitor.wait(lambda: "Choose a phrase" in visitor.text("#words"))
    visitor.screenshot("place")
    outlined = picture(visitor.groups())
    assert outlined.shape == plain.shape == (180, 240, 3) and outlined[90, 57:64].max() > 200
    assert (outlined[90, 120] == plain[90, 120]).all()

    many = visitor.find("#variants input[type=number]")[0]
    visitor.script("arguments[0].value = 3; arguments[0].dispatchEvent(new Event('input'))", many)
    visitor.script("arguments[0].focus(); arguments[0].blur()", many)
    visitor.wait(lambda: len(visitor.find("#gallery img")) == 3)
    addresses = [image.get_attribute("src") for image in visitor.find("#gallery img")]
    visitor.screenshot("variants")
    taken = visitor.result(visitor.find("#seed input")[1].click)
    assert (picture(taken[1]) == picture(addresses[1])).all() and (picture(taken[1]) != placed).any()
    visitor.result(visitor.find("#clear")[0].click)
    visitor.wait(lambda: (picture(visitor.groups()) == plain).all())
    assert "Traceback" not in page.log.read_text()
    assert not [entry for entry in visitor.browser.get_log("browser") if entry["level"] == "SEVERE"]
