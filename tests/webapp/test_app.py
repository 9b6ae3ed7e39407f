"""The web page in headless Chromium: scripts/app.py runs as a process, as it does for visitors."""

import contextlib
import http.client
import http.server
import json
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import urllib.request
from pathlib import Path
from urllib.parse import unquote, urlparse

import numpy as np
import odd_photos
import pytest
import torch
from conftest import ROOT
from PIL import Image

from datasets.scenes import COLORS, Scenes
from datasets.words.captions import LONGEST_CAPTION
from inference import Colorizer
from inference.photo import read_photo
from scripts import app
from utils import color
from utils.errors import InputError
from webapp import regions
from webapp.guard import API
from webapp.handling import FAULT

CASES = ROOT.parent / "shared" / "cases"  # files that people met elsewhere; most are generated below, too
SCREENSHOTS = ROOT / "output" / "app_screenshots"
PATIENCE = 120  # seconds for what takes one or two where the machine is idle
MEGABYTES = 1  # --max_megabytes of the server
SCENES = ROOT / "checkpoints" / "scenes.safetensors"
SIDE = 192  # of the scene that is uploaded
SCENE = 32  # of the split `clear`
CAPTION = "a large turquoise arrow and a small green box, on pink grass"  # its own


# ---- the server


class Page:
    """scripts/app.py on a free port, with a temporary folder of its own."""

    def __init__(self, folder, *flags):
        self.folder = folder / "temporary"
        self.folder.mkdir()
        self.log = folder / "stderr.txt"
        command = [sys.executable, "scripts/app.py", "--port", "0", "--device", "cpu", "--checkpoint", str(SCENES)]
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [*command, "--max_megabytes", str(MEGABYTES), *flags],
                cwd=ROOT,
                env=os.environ | {"TMPDIR": str(self.folder)},
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        ready, _, _ = select.select([self.process.stdout], [], [], 3 * PATIENCE)
        self.url = self.process.stdout.readline().strip() if ready else ""
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+", self.url), self.log.read_text()

    def get(self, path, method="GET", body=None, headers=None):
        """(status, content) of an address as it stands: '..' is not taken out of it."""
        connection = http.client.HTTPConnection(urlparse(self.url).netloc, timeout=PATIENCE)
        connection.request(method, path, body, headers or {})
        response = connection.getresponse()
        try:
            return response.status, response.read()
        finally:
            connection.close()

    def upload(self, path):
        """Past the page: where it lies."""
        body = (
            b"--x\r\ncontent-disposition: form-data; name=files; filename=a\r\n\r\n" + path.read_bytes() + b"\r\n--x--"
        )
        status, said = self.get(f"{API}/upload", "POST", body, {"content-type": "multipart/form-data; boundary=x"})
        assert status == 200
        return Path(json.loads(said)[0])

    def stop(self, number):
        """It ends well, and has removed what it wrote."""
        assert [*self.folder.iterdir()]
        self.process.send_signal(number)
        assert self.process.wait(PATIENCE) == 0
        assert not [*self.folder.iterdir()]
        log = self.log.read_text()
        assert not re.search("Traceback|Error|Cancel", log), log


class Proxy(http.server.ThreadingHTTPServer):
    """Shows a page at /color/ of its own address, as nginx or Apache do."""

    daemon_threads = True
    behind = ""  # the page's address
    takes_prefix_off = True
    tells_host = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Forwarding)
        self.url = f"http://127.0.0.1:{self.server_port}/color"
        threading.Thread(target=self.serve_forever).start()


class Forwarding(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if not self.path.startswith("/color/"):
            return self.send_error(404)
        path = self.path.removeprefix("/color") if self.server.takes_prefix_off else self.path
        headers = {name: value for name, value in self.headers.items() if name.lower() not in ("host", "connection")}
        if self.server.tells_host:
            headers["Host"] = self.headers["Host"]
        length = int(self.headers.get("content-length", 0))
        connection = http.client.HTTPConnection(urlparse(self.server.behind).netloc, timeout=PATIENCE)
        connection.request(self.command, path, self.rfile.read(length) if length else None, headers)
        answer = connection.getresponse()
        self.send_response_only(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("transfer-encoding", "connection"):
                self.send_header(name, value)
        self.send_header("Connection", "close")
        self.end_headers()
        with contextlib.suppress(http.client.IncompleteRead, OSError):  # one of them left
            while piece := answer.read1():  # as it comes: the page is told of events by a stream
                self.wfile.write(piece)

    do_POST = do_GET

    def log_message(self, *words):
        pass


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    running = Page(tmp_path_factory.mktemp("server"))
    yield running
    running.process.kill()
    running.process.wait()


# ---- the browser


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    programs = {name: shutil.which(name) for name in ("chromium", "chromedriver")}
    if None in programs.values():
        pytest.skip("needs a browser: install Debian's chromium and chromium-driver")
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = programs["chromium"]
    flags = (
        *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
        *("--disable-background-networking", "--disable-component-update", "--window-size=1280,1500"),
    )
    for flag in flags:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    downloads = tmp_path_factory.mktemp("downloads")
    options.add_experimental_option("prefs", {"download.default_directory": str(downloads)})
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        options.add_argument(f"--user-data-dir={profile}")
        driver = webdriver.Chrome(options, webdriver.ChromeService(programs["chromedriver"]))
        driver.set_page_load_timeout(PATIENCE)
        driver.downloads = downloads
        yield driver
        driver.quit()


class Visitor:
    """A tab of its own: to the server, somebody else."""

    def __init__(self, browser, page):
        self.browser = browser
        browser.switch_to.new_window("tab")
        self.tab = browser.current_window_handle
        browser.get(page.url)
        self.wait(lambda: len(self.find("#examples button img")) == 5 and self.find("#photograph input[type=file]"))

    def leave(self):
        self.browser.switch_to.window(self.tab)
        self.browser.close()
        self.browser.switch_to.window(self.browser.window_handles[0])

    def find(self, selector):
        self.browser.switch_to.window(self.tab)
        return self.browser.find_elements("css selector", selector)

    def wait(self, condition, message="what was waited for did not come"):
        from selenium.common.exceptions import StaleElementReferenceException
        from selenium.webdriver.support.ui import WebDriverWait

        wait = WebDriverWait(self.browser, PATIENCE, 0.2, ignored_exceptions=[StaleElementReferenceException])
        return wait.until(lambda _: condition(), message)

    def text(self, selector):
        return self.find(selector)[0].text

    def script(self, code, *arguments):
        self.browser.switch_to.window(self.tab)
        return self.browser.execute_script(code, *arguments)

    @property
    def caption(self):
        return self.find("#caption textarea")[0].get_attribute("value")

    def say(self, caption):
        """By the keyboard's event: the driver has no emoji and types long texts for minutes."""
        box = self.find("#caption textarea")[0]
        self.script("arguments[0].value = arguments[1]; arguments[0].dispatchEvent(new Event('input'))", box, caption)

    def upload(self, path):
        self.wait(lambda: self.find("#photograph input[type=file]"))
        self.find("#photograph input[type=file]")[0].send_keys(str(path))

    @property
    def shown(self):
        """Addresses of the gray and of the coloured picture, once both are loaded; none before."""
        images = self.find("#result img")
        loaded = [self.script("return arguments[0].complete && arguments[0].naturalWidth > 0", i) for i in images]
        return [image.get_attribute("src") for image in images] if len(images) == 2 and all(loaded) else []

    def result(self, act):
        """What `act` makes the page show: addresses as `shown`, all new."""
        before = self.shown
        act()
        return self.wait(lambda: (now := self.shown) and not set(now) & set(before) and now, "no result")

    def outcome(self, path):
        """What comes of an upload: addresses as `shown`, or what a message says."""
        before = self.shown
        self.upload(path)

        def either():
            now = self.shown
            return self.find(".toast-body") or (now and not set(now) & set(before) and now)

        got = self.wait(either, f"{path}: neither a picture nor a message")
        return self.told() if self.find(".toast-body") else got

    def close_messages(self):
        for button in self.find(".toast-close"):
            self.script("arguments[0].click()", button)

    def groups(self):
        """Address of the group map."""
        return self.wait(lambda: [image.get_attribute("src") for image in self.find("#groups img")], "no groups")[0]

    def told(self):
        """What a message says, which is then closed."""
        said = self.wait(lambda: [text for message in self.find(".toast-body") if (text := message.text)], "no message")
        self.screenshot("message")
        self.close_messages()
        self.wait(lambda: not self.find(".toast-body"))
        return " ".join(said)

    def download(self):
        self.wait(lambda: self.find("#download")[0].is_enabled())
        before = {*self.browser.downloads.iterdir()}
        self.find("#download")[0].click()

        def new():
            arrived = {*self.browser.downloads.iterdir()} - before
            return [f for f in arrived if f.suffix not in (".crdownload", ".tmp") and not f.name.startswith(".")]

        return self.wait(lambda: (files := new()) and files[0].stat().st_size and files[0], "no download")

    def screenshot(self, name):
        self.browser.switch_to.window(self.tab)
        self.browser.save_screenshot(str(SCREENSHOTS / f"{name}.png"))


@pytest.fixture
def arrive(browser, page):
    """Opens the page for one more visitor. All leave in the end: a browser has six connections to a server, and an open
    page keeps one."""
    visitors = []

    def one_more():
        visitors.append(Visitor(browser, page))
        return visitors[-1]

    yield one_more
    for visitor in visitors:
        visitor.leave()


@pytest.fixture
def visitor(arrive):
    return arrive()


# ---- pictures


@pytest.fixture(scope="module")
def scene():
    return Scenes("clear", SIDE, SCENE + 1).render([SCENE])


@pytest.fixture
def scene_file(scene, tmp_path):
    assert scene.captions == [CAPTION]
    rgb = Image.fromarray(scene.rgb[0].permute(1, 2, 0).numpy())
    rgb.convert("L").save(tmp_path / "my scene.png")
    return tmp_path / "my scene.png"


def picture(url):
    """What is served there, (H, W) or (H, W, 3)."""
    return np.array(Image.open(urllib.request.urlopen(url))).astype(int)


def lab(path):
    rgb = torch.from_numpy(np.array(Image.open(path).convert("RGB"))).permute(2, 0, 1)[None].double() / 255
    return color.rgb_to_lab(rgb)[0]  # (3, H, W)


def mask_of(scene, name):
    """(H, W) bool: the instance that has this colour."""
    return scene.masks[0, scene.colors[0].tolist().index(COLORS.index(name))]


def words_offered(visitor):
    return [label.text for label in visitor.find("#word label")]


# ---- the tests


def test_a_photograph_is_coloured_changed_explained_and_downloaded(visitor, page, scene, scene_file):
    visitor.screenshot("start")
    visitor.say(CAPTION)
    visitor.result(lambda: visitor.upload(scene_file))
    assert "my scene.png, 192×192 pixels" in visitor.text("#notes")
    visitor.wait(lambda: words_offered(visitor) == ["turquoise arrow", "green box", "pink grass"])
    visitor.groups()
    visitor.screenshot("result")

    first = visitor.download()
    assert first.name == "my scene_colored.png" and Image.open(first).size == (SIDE, SIDE)
    before = lab(first)
    assert (before[0] - lab(scene_file)[0]).abs().max() < 0.5  # L, of 100
    assert before[1:].norm(dim=0).mean() > 20  # it is no gray picture

    visitor.find("#word input")[1].click()
    visitor.result(visitor.find(".swatch.blue")[0].click)
    assert visitor.caption == "a large turquoise arrow and a small blue box, on pink grass"
    visitor.wait(lambda: words_offered(visitor)[1] == "blue box")
    visitor.screenshot("changed")
    change = (lab(visitor.download())[1:] - before[1:]).norm(dim=0)  # distance of ab
    box = mask_of(scene, "green")
    assert change[box].mean() > 40 and change[~box].mean() < 4

    urls = visitor.script("return performance.getEntriesByType('resource').map(entry => entry.name)")
    assert urls and all(url.startswith((page.url, "data:")) for url in urls)  # nothing from elsewhere
    assert not [entry for entry in visitor.browser.get_log("browser") if entry["level"] == "SEVERE"]


def test_a_click_on_the_groups_tells_the_words_and_outlines_the_region(visitor, scene, scene_file):
    from selenium.webdriver import ActionChains

    visitor.say(CAPTION)
    visitor.result(lambda: visitor.upload(scene_file))
    plain = visitor.groups()
    before = picture(plain)
    y, x = mask_of(scene, "green").nonzero().double().mean(dim=0).tolist()
    image = visitor.find("#groups img")[0]
    offset = [
        round((place / SIDE - 0.5) * side) for place, side in ((x, image.rect["width"]), (y, image.rect["height"]))
    ]
    ActionChains(visitor.browser).move_to_element_with_offset(image, *offset).click().perform()
    visitor.wait(lambda: visitor.find("#words table"))
    visitor.wait(lambda: visitor.groups() != plain)
    visitor.screenshot("region")

    colorizer = Colorizer.from_checkpoint(SCENES, device="cpu")
    colored = colorizer.colorize(colorizer.encode(read_photo(scene_file)), [CAPTION], explain_words=True)[0]
    region = regions.region_at(colored.explanation, CAPTION, x / SIDE, y / SIDE)
    said = [[cell.text for cell in row.find_elements("css selector", "td")] for row in visitor.find("#words tr")]
    assert [(word, float(change)) for word, _, change in said] == [
        (word, pytest.approx(change, abs=0.11)) for word, change in region.words[: len(said)]
    ]
    assert len(said) == 8
    assert f"Group {region.group + 1} of {len(colored.explanation.soft)}" in visitor.text("#words")

    after = picture(visitor.groups())
    outlined = (np.abs(after - before).max(axis=2) > 60).mean()
    assert after.shape == (SIDE, SIDE, 3) and 0.005 < outlined < 0.2


def test_two_visitors_at_once_see_their_own_photographs(arrive, browser, tmp_path):
    sizes = {"mountain": (400, 300), "harbour": (300, 420)}
    visitors = {name: arrive() for name in sizes}
    for number, (name, size) in enumerate(sizes.items()):
        noise = np.random.default_rng(number).integers(0, 256, (4, 4), dtype=np.uint8)
        Image.fromarray(noise).resize(size, Image.Resampling.BICUBIC).save(tmp_path / f"{name}.jpg", quality=95)
        visitors[name].say("a red sky over a blue sea")
    before = {name: visitor.shown for name, visitor in visitors.items()}
    for name, visitor in visitors.items():  # the second is asked before the first has an answer
        visitor.upload(tmp_path / f"{name}.jpg")
    seen = {}
    for name, visitor in visitors.items():
        seen[name] = visitor.wait(lambda visitor=visitor: visitor.shown, "no result")
        visitor.screenshot(f"visitor_{name}")
        photo = np.array(Image.open(tmp_path / f"{name}.jpg")).astype(int)
        gray = picture(seen[name][0])
        assert gray.shape == photo.shape and np.abs(gray - photo).mean() < 2
        result = visitor.download()
        assert result.name == f"{name}_colored.jpg" and Image.open(result).size == sizes[name]
        assert (lab(result)[0] - lab(tmp_path / f"{name}.jpg")[0]).abs().mean() < 1  # JPEG again
    assert not any(before.values())
    for name, other in (("mountain", "harbour"), ("harbour", "mountain")):
        folder = seen[other][0].split("/pictures/")[1].split("/")[0]
        assert len(folder) >= 40  # the random name that is the only way to the other's files
        visitor = visitors[name]
        visitor.find("body")
        assert other not in browser.page_source and folder not in browser.page_source
        assert name in browser.page_source


def test_bad_uploads_are_told_and_the_page_still_works(visitor, tmp_path):
    coffee = ROOT / "webapp" / "examples" / "coffee.jpg"
    (tmp_path / "long.png").write_bytes(bytes(MEGABYTES * 10**6 + 1))
    visitor.upload(tmp_path / "long.png")
    assert re.search("(?i)size", visitor.told())
    Image.new("1", (10_000, 10_000)).save(tmp_path / "wide.png")
    visitor.upload(tmp_path / "wide.png")
    assert "100 megapixels" in visitor.told()
    (tmp_path / "broken.jpg").write_bytes(coffee.read_bytes()[:20_000])
    visitor.upload(tmp_path / "broken.jpg")
    assert "broken.jpg" in visitor.told()
    (tmp_path / "letter.jpg").write_text("Dear page,")
    visitor.upload(tmp_path / "letter.jpg")
    assert "not a picture" in visitor.told()
    visitor.find("#colour")[0].click()
    assert "upload one" in visitor.told()
    assert not visitor.shown

    frames = [Image.open(coffee), Image.open(coffee).rotate(180)]
    frames[0].save(tmp_path / "dance.gif", save_all=True, append_images=frames[1:])
    visitor.say("")
    visitor.result(lambda: visitor.upload(tmp_path / "dance.gif"))
    assert "2 frames" in visitor.text("#notes") and "caption is empty" in visitor.text("#notes")
    visitor.screenshot("notes")
    assert visitor.download().name == "dance_colored.png"


def test_odd_captions_are_coloured_and_told(visitor):
    visitor.result(visitor.find("#examples button")[3].click)
    assert visitor.text("#notes") == "scene_leaf_and_hat.png, 384×384 pixels"
    for caption, told in (
        ("a striped leaf", "names no colour"),
        ("a red 🙂 собака <b>leaf</b>", "unknown words: 🙂"),
        ("a red leaf " * 900, "too long"),
        ("ж" * LONGEST_CAPTION, "unknown words: жж"),
    ):
        visitor.say(caption)
        visitor.result(visitor.find("#colour")[0].click)
        assert told in visitor.text("#notes")
        assert len(visitor.text("#notes")) < 1000
    before = visitor.shown
    for caption, told in (("ж" * (LONGEST_CAPTION + 1), "10,001 characters"), ("a red leaf " * 25_000, "longer than")):
        visitor.say(caption)
        assert told in visitor.told()
        visitor.find("#colour")[0].click()
        assert told in visitor.told()
    assert visitor.shown == before


def everything_that_people_upload(folder):
    """Files of all kinds: generated ones, what is no picture, and those that were collected, where they are."""
    files = [path for path in odd_photos.write(folder) if not re.fullmatch(r"turned_[1-578]\.jpg", path.name)]
    for name, content in (("cap.json", b"\xef\xbb\xbf[]"), ("._IMG_1.jpg", b"\0\5\x16\7" * 40), ("empty.png", b"")):
        (folder / name).write_bytes(content)
        files.append(folder / name)
    return files + sorted(path for path in CASES.rglob("*") if path.is_file())


def test_every_file_becomes_a_picture_or_a_message(visitor, page, tmp_path):
    """A picture where the library makes one, which can be downloaded; a message where it does not."""
    for path in everything_that_people_upload(tmp_path):
        got = visitor.outcome(path)
        try:
            expected = read_photo(path).size
        except InputError:
            assert isinstance(got, str) and path.name in got and FAULT not in got, (path, got)
            continue
        assert isinstance(got, list), (path, got)
        result = visitor.download()
        assert read_photo(result).size == expected, path
        result.unlink()
        visitor.close_messages()  # of what the file's format has no place for
    assert "Traceback" not in page.log.read_text()


@pytest.mark.parametrize("whole_address", [False, True])
def test_the_page_works_behind_a_proxy_at_a_path(browser, tmp_path, scene_file, whole_address):
    """By the path, where the proxy takes it off and tells its own name; by the whole address where it does neither."""
    proxy = Proxy()
    proxy.takes_prefix_off = proxy.tells_host = not whole_address
    page = Page(tmp_path, "--root_path", proxy.url if whole_address else "/color/")
    proxy.behind = page.url
    try:
        page.url = f"{proxy.url}/"
        browser.get_log("browser")
        visitor = Visitor(browser, page)
        visitor.say(CAPTION)
        shown = visitor.result(lambda: visitor.upload(scene_file))
        assert all(url.startswith(f"{proxy.url}/gradio_api/file=") for url in shown)
        visitor.groups()
        visitor.wait(lambda: words_offered(visitor) == ["turquoise arrow", "green box", "pink grass"])
        visitor.find("#word input")[1].click()
        visitor.result(visitor.find(".swatch.blue")[0].click)
        assert visitor.download().name.startswith("my scene_colored")
        visitor.screenshot(f"proxy_{whole_address}")
        urls = visitor.script("return performance.getEntriesByType('resource').map(entry => entry.name)")
        root = proxy.url.removesuffix("/color")  # where Gradio's page asks for its icon and manifest, needing neither
        unneeded = {f"{root}/manifest.json", f"{root}/favicon.ico"}
        assert urls and not [url for url in {*urls} - unneeded if not url.startswith((page.url, "data:"))]
        severe = [entry["message"] for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]
        assert not [message for message in severe if not re.search(r"/(manifest\.json|favicon\.ico)", message)]
        visitor.leave()
    finally:
        proxy.shutdown()
        page.process.kill()
        page.process.wait()


@pytest.mark.parametrize("root_path", ["color", "ftp://example.org/color", "/color?a=b", "//color", "/a//b"])
def test_a_root_path_that_is_none_is_told_at_the_start(root_path):
    from webapp.server import checked_root

    with pytest.raises(InputError, match="--root_path"):
        checked_root(root_path)
    assert checked_root("/") == "" and checked_root("https://example.org/color/") == "https://example.org/color"


@pytest.mark.parametrize("width", [400, 1280])
def test_the_page_fits_its_window(visitor, width):
    visitor.result(visitor.find("#examples button")[4].click)
    visitor.groups()
    try:
        visitor.browser.set_window_size(width, 2600)
        visitor.wait(lambda: visitor.script("return window.innerWidth") == width)
        assert visitor.script("return document.documentElement.scrollWidth") <= width
        right_ends = visitor.script(
            "return [...document.querySelectorAll('button, img, textarea')].map(e => e.getBoundingClientRect().right)"
        )
        assert max(right_ends) <= width
        visitor.screenshot(f"width_{width}")
    finally:
        visitor.browser.set_window_size(1280, 1500)


def test_files_are_found_by_their_random_names_alone(visitor, page, scene_file):
    upload = page.upload(scene_file)
    visitor.say(CAPTION)
    address = unquote(urlparse(visitor.result(lambda: visitor.upload(scene_file))[0]).path)
    assert {*page.folder.glob("lcoins-page-*/uploads/*/photograph")} == {upload}  # the page has taken the visitor's
    file, served = Path(address.split("file=")[1]), "/gradio_api/file="
    assert page.get(address)[0] == 200
    folder, pictures = file.parents[1], file.parents[2]
    original = next((pictures.parent.parent / "originals").glob(f"{folder.name}/*/original"))
    assert original.read_bytes() == upload.read_bytes() == scene_file.read_bytes()
    for path in (
        upload,
        original,
        folder,
        pictures,
        pictures / ("x" * len(folder.name)) / file.parent.name / file.name,
        ROOT / "README.md",
        Path("/etc/passwd"),
        f"{pictures}/../{upload.relative_to(pictures.parent)}",
        f"{pictures}/%2e%2e/{upload.parent.name}/photograph",
        f"{pictures}/../../../../../etc/passwd",
    ):
        assert page.get(f"{served}{path}".replace(" ", "%20"))[0] in (403, 404), path
    for path in ("/etc/passwd", str(original), "http://127.0.0.1/"):
        data = [{"path": path, "meta": {"_type": "gradio.FileData"}}, "", 1, None]
        body = json.dumps({"data": data, "fn_index": 0, "session_hash": "somebody"})
        assert page.get("/gradio_api/queue/join", "POST", body, {"content-type": "application/json"})[0] == 403, path
    status, told = page.get("/health")
    health = json.loads(told)
    assert status == 200 and health["status"] == "ok" and health["visitors"] >= 1


def test_it_ends_by_a_signal_though_a_visitor_is_there(page, arrive):
    arrive()
    page.stop(signal.SIGTERM)


def test_it_ends_by_the_keyboard(tmp_path):
    page = Page(tmp_path)
    assert page.get("/health")[0] == 200
    page.stop(signal.SIGINT)


def test_what_cannot_be_served_is_told_at_the_start(tmp_path, capsys, monkeypatch, page):
    monkeypatch.setattr(app.signal, "signal", lambda number, handler: None)  # pytest's own stay
    monkeypatch.setenv("GRADIO_TEMP_DIR", "")  # and what is written over it goes
    port = urlparse(page.url).port
    for words, told in (
        (["--checkpoint", str(tmp_path / "none.pth")], "none.pth"),
        (["--max_megapixels", "0"], "--max_megapixels 0"),
        (["--host", "203.0.113.9", "--port", str(port)], "cannot be listened to"),
    ):
        assert app.main(words) == 2
        assert told in capsys.readouterr().err
