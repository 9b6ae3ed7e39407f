"""A visitor's photograph from upload to download, without a page."""

import threading

import gradio as gr
import numpy as np
import pytest
import torch
from conftest import ROOT
from PIL import ExifTags, Image

import models
from inference import Colorizer
from inference.photo import from_image, read_photo
from utils.errors import InputError
from webapp.limits import Limits
from webapp.page import Page
from webapp.preview import PREVIEW, preview
from webapp.uploads import UploadStore
from webapp.visit_files import NOTHING
from webapp.visits import Visits

CAPTION = "a red ball on blue grass"


@pytest.fixture(scope="module")
def colorizer():
    return Colorizer.from_checkpoint(ROOT / "checkpoints" / "scenes.safetensors", device="cpu")


@pytest.fixture
def visits(colorizer, tmp_path):
    for name in ("originals", "pictures"):
        (tmp_path / name).mkdir()
    return Visits(colorizer, tmp_path / "originals", tmp_path / "pictures", most=2)


def smooth(width, height, mode="RGB", seed=0):
    noise = np.random.default_rng(seed).integers(0, 256, (4, 5, len(mode)), dtype=np.uint8).squeeze()
    return Image.fromarray(noise, mode).resize((width, height), Image.Resampling.BICUBIC)


@pytest.fixture
def photograph(tmp_path):
    """A JPEG of 1500x1100 pixels as stored, turned a quarter for the eye."""
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    smooth(1500, 1100).save(tmp_path / "upload", "JPEG", exif=exif)
    return tmp_path / "upload"


def files(folder):
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_the_preview_is_small_and_upright_and_the_download_is_what_the_library_makes(visits, photograph, colorizer):
    visit = visits.begin("a")
    visit.open(photograph, "Beach.JPG", 24)
    gray, colored, notes = visit.color(CAPTION, 0.7)
    assert visit.title == "Beach.JPG, 1100×1500 pixels" and notes == []
    size = round(1100 * PREVIEW / 1500), PREVIEW
    assert visit.preview_size == Image.open(gray).size == Image.open(colored).size == size
    assert Image.open(gray).mode == "L" and Image.open(colored).mode == "RGB"
    assert np.ptp(np.asarray(Image.open(colored)).astype(int), axis=2).mean() > 5  # it has colours

    whole, notes = visit.full_size()
    assert notes == []
    assert whole.name == "Beach_colored.JPG"
    assert Image.open(whole).size == (1500, 1100)
    assert Image.open(whole).getexif()[ExifTags.Base.Orientation] == 6
    expected = colorizer.colorize(colorizer.encode(read_photo(photograph)), [CAPTION], 0.7)[0]
    expected.photo.save(photograph.with_suffix(".jpg"))
    assert whole.read_bytes() == photograph.with_suffix(".jpg").read_bytes()


def test_what_the_format_cannot_hold_is_told_without_a_path_of_the_server(visits, tmp_path):
    clear = Image.merge("RGBA", [*smooth(80, 60).split(), Image.new("L", (80, 60), 100)])
    clear.save(tmp_path / "upload", "PNG")
    visit = visits.begin("a")
    visit.open(tmp_path / "upload", "glass.png", 24)
    visit.opened = visit.opened._replace(header=visit.opened.header._replace(format="JPEG"))  # whose ending is taken
    visit.color(CAPTION, 1.0)
    path, (note,) = visit.full_size()
    assert path.name == "glass_colored.png" and Image.open(path).mode == "RGBA"
    assert "transparency" in note and str(tmp_path) not in note and visit.files.size >= path.stat().st_size


def test_a_file_that_cannot_be_written_is_told_without_a_path_of_the_server(visits, photograph, tmp_path, monkeypatch):
    visit = visits.begin("a")
    visit.open(photograph, "a.jpg", 24)
    visit.color(CAPTION, 1.0)
    monkeypatch.setattr("inference.colored_photo.os.replace", lambda *paths: (_ for _ in ()).throw(OSError("no space")))
    with pytest.raises(InputError, match="no space") as told:
        visit.full_size()
    assert "a_colored.jpg" in str(told.value) and str(tmp_path) not in str(told.value)


def test_the_image_encoder_runs_once_for_a_photograph(visits, photograph, colorizer, monkeypatch):
    runs = []
    encode = colorizer._frozen._encode_image
    monkeypatch.setattr(colorizer._frozen, "_encode_image", lambda gray: runs.append(1) or encode(gray))
    visit = visits.begin("a")
    visit.open(photograph, "a.jpg", 24)
    for caption in (CAPTION, "a green ball"):
        visit.color(caption, 1.0)
    visit.explain()
    visit.full_size()
    assert len(runs) == 1


def test_an_explanation_is_found_once_for_a_caption(visits, photograph, colorizer, monkeypatch):
    asked = []
    colorize = colorizer.colorize

    def counting(encoded, captions, strength=1.0, explain_words=False, seed=None):
        asked.append(explain_words)
        return colorize(encoded, captions, strength, explain_words, seed)

    monkeypatch.setattr(colorizer, "colorize", counting)
    visit = visits.begin("a")
    visit.open(photograph, "a.jpg", 24)
    visit.color(CAPTION, 1.0)
    first, caption = visit.explain()
    visit.color(CAPTION, 0.3)
    assert visit.explain()[0] is first and caption == CAPTION and asked.count(True) == 1
    visit.color("a green ball", 0.3)
    second, caption = visit.explain()
    assert second is not first and caption == "a green ball"
    assert [caption[word.start : word.end] for word in second.words] == ["a", "green", "ball"]


def test_only_the_newest_files_are_kept(visits, photograph, tmp_path):
    visit = visits.begin("a")
    for _ in range(3):
        visit.open(photograph, "a.jpg", 24)
        shown = visit.color(CAPTION, 1.0)[:2]
        visit.full_size()
        visit.draw(lambda gray: gray)
    assert files(tmp_path / "originals") == ["original"]
    assert files(tmp_path / "pictures") == ["a_colored.jpg", "colored.jpg", "gray.jpg", "groups.jpg"]
    assert all(path.exists() for path in shown)


def test_what_cannot_be_taken_leaves_the_photograph_before(visits, photograph, tmp_path):
    visit = visits.begin("a")
    visit.open(photograph, "a.jpg", 24)
    visit.color(CAPTION, 1.0)
    (tmp_path / "broken").write_bytes(photograph.read_bytes()[:-9000])
    with pytest.raises(InputError, match=r"b\.jpg"):
        visit.open(tmp_path / "broken", "b.jpg", 24)
    with pytest.raises(InputError, match=r"up to 1\b"):
        visit.open(photograph, "b.jpg", 1)
    assert visit.full_size()[0].name == "a_colored.jpg"


def test_visitors_share_no_folder_and_their_names_cannot_be_guessed(visits, photograph, tmp_path):
    folders = []
    for owner in "ab":
        visit = visits.begin(owner)
        visit.open(photograph, "a.jpg", 24)
        folders.append({path.relative_to(tmp_path / "pictures").parts[0] for path in visit.color(CAPTION, 1.0)[:2]})
        assert tmp_path / "pictures" not in visit.opened.path.parents  # the upload itself is never served
    assert folders[0].isdisjoint(folders[1]) and all(len(name) >= 40 for (name,) in folders)


def test_who_did_nothing_for_the_longest_time_makes_room(visits, photograph, tmp_path):
    first, second = visits.begin("a"), visits.begin("b")
    for visit in (first, second):
        visit.open(photograph, "a.jpg", 24)
        visit.color(CAPTION, 1.0)
    first.color("a green ball", 1.0)
    visits.begin("c")
    assert len(visits) == 2 and second.ended and not first.ended
    assert files(tmp_path / "pictures") == ["colored.jpg", "gray.jpg"]
    with pytest.raises(InputError) as told:
        second.full_size()
    assert str(told.value) == NOTHING
    with pytest.raises(InputError):
        second.open(photograph, "a.jpg", 24)
    assert not second.files.pictures.exists() and not second.files.originals.exists()


def test_one_address_has_a_quarter_of_the_visits_and_of_their_bytes(colorizer, photograph, tmp_path):
    for name in ("originals", "pictures"):
        (tmp_path / name).mkdir()
    length = photograph.stat().st_size
    visits = Visits(colorizer, tmp_path / "originals", tmp_path / "pictures", most=12, size=9 * length)
    other = visits.begin("b")
    other.open(photograph, "a.jpg", 24)
    several = [visits.begin("a") for _ in range(4)]
    assert [visit.ended for visit in several] == [True, False, False, False] and not other.ended
    for visit in several[1:]:  # the third is more than a quarter of the bytes
        visit.open(photograph, "a.jpg", 24)
    assert several[1].ended and not several[3].ended and not other.ended
    assert len(files(tmp_path / "originals")) == len(visits) == 3


def test_a_visit_that_ends_while_a_file_is_written_leaves_nothing(visits, photograph, tmp_path):
    visit = visits.begin("a")
    visit.open(photograph, "a.jpg", 24)

    def draw(gray):
        visits.end(visit)
        visit.files.pictures.mkdir()
        return gray

    with pytest.raises(InputError):
        visit.draw(draw)
    assert not files(tmp_path / "pictures") and not files(tmp_path / "originals")


def test_whose_time_is_over_leaves_nothing(visits, photograph, tmp_path):
    visit = visits.begin("a")
    visit.open(photograph, "a.jpg", 24)
    visit.color(CAPTION, 1.0)
    visits.end(visit)
    visits.end(None)
    assert len(visits) == 0 and not files(tmp_path / "pictures") and not files(tmp_path / "originals")


def test_without_a_photograph_or_a_result_the_visitor_is_told(visits, photograph):
    visit = visits.begin("a")
    for ask in (
        lambda: visit.color(CAPTION, 1.0),
        visit.explain,
        visit.full_size,
        lambda: visit.draw(lambda gray: gray),
    ):
        with pytest.raises(InputError, match="upload one"):
            ask()
    visit.open(photograph, "a.jpg", 24)
    with pytest.raises(InputError, match="upload one"):
        visit.full_size()


def test_a_visitor_s_requests_wait_for_each_other(visits, photograph):
    visit = visits.begin("a")
    visit.open(photograph, "a.jpg", 24)
    captions = [f"a {color} ball" for color in ("red", "blue", "green", "pink")]
    threads = [threading.Thread(target=visit.color, args=(caption, 1.0)) for caption in captions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert files(visit.files.pictures) == ["colored.jpg", "gray.jpg"] and visit.shown.caption in captions


def test_the_preview_of_transparency_is_white_and_of_16_bits_the_same(tmp_path):
    image = smooth(8, 6, "L")
    clear = Image.merge("LA", [image, Image.new("L", image.size, 0)])
    assert (preview(from_image(clear)).pixels == 255).all()
    half = Image.merge("LA", [image, Image.new("L", image.size, 128)])
    expected = 255 - (255 - np.asarray(image).astype(float)) * 128 / 255
    np.testing.assert_allclose(preview(from_image(half)).pixels, expected, atol=0.51)
    deep = Image.fromarray(np.asarray(image).astype(np.uint16) * 257)
    assert (preview(from_image(deep)).pixels == np.asarray(image)).all()


@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (9000, 3)])
def test_odd_shapes_have_a_preview_and_a_note(visits, tmp_path, size):
    smooth(*size, "L").save(tmp_path / "odd.png")
    visit = visits.begin("a")
    visit.open(tmp_path / "odd.png", "odd.png", 24)
    _, colored, notes = visit.color("", 1.0)
    assert max(Image.open(colored).size) == min(max(size), PREVIEW)
    assert Image.open(visit.full_size()[0]).size == size
    assert "hardly anything" in notes[0] and "caption is empty" in notes[1]


def test_a_line_drawing_is_said_to_take_hardly_any_colour(visits, tmp_path):
    """By the whole of it: in the preview its lines are gray."""
    page = np.full((3000, 2000), 255, np.uint8)
    page[::10] = 0
    Image.fromarray(page).save(tmp_path / "drawing.png")
    visit = visits.begin("a")
    visit.open(tmp_path / "drawing.png", "drawing.png", 24)
    (note,) = visit.color(CAPTION, 1.0)[2]
    assert note == "100 % of the picture is black or white or nearly so: nearly nothing can take colour"


@pytest.fixture(scope="module")
def by_boxes():
    """InstColorization with its fusion, tiny, with weights at which boxes matter."""
    torch.manual_seed(0)
    system = models.create_model(models.INSTCOLORIZATION, stage="fusion", img_size=16, width=4)
    for tensor in system.state_dict().values():
        if tensor.is_floating_point() and tensor.ndim > 1:
            tensor.normal_(std=1.2 / np.sqrt(tensor[0].numel()))
    return Colorizer(system, "cpu", "none")


def test_two_clicks_are_a_box_whose_object_is_coloured_on_its_own(by_boxes, visits, photograph, tmp_path):
    visits.colorizer = by_boxes
    visit = visits.begin("a")
    visit.open(photograph, "Beach.JPG", 24)
    _, colored, notes = visit.color("", 1.0)
    whole = np.asarray(Image.open(colored))
    assert visit.boxes == [] and "is coloured as a whole" in notes[0]
    assert not visit.add_corner(0.75, 0.5) and visit.corner == (0.75, 0.5)
    assert visit.add_corner(0.25, 0.1) and visit.corner is None
    assert visit.boxes == [[0.25, 0.1, 0.75, 0.5]]
    _, colored, notes = visit.color("", 1.0)
    assert "1 objects, given, are coloured one by one" in notes[0]
    assert np.abs(np.asarray(Image.open(colored)).astype(int) - whole).max() > 8

    for x in np.linspace(0, 0.5, 9):  # more than the network takes: the last ones stay
        assert not visit.add_corner(float(x), 0.6)
        assert visit.add_corner(float(x) + 0.3, 0.9)
    assert len(visit.boxes) == 8 and visit.boxes[0][0] == 0.5 and [0.25, 0.1, 0.75, 0.5] not in visit.boxes
    visit.add_corner(0.5, 0.5)
    with pytest.raises(InputError, match="click them apart"):
        visit.add_corner(0.505, 0.9)
    assert visit.corner is None and len(visit.boxes) == 8
    visit.take_boxes([])
    _, colored, notes = visit.color("", 1.0)
    assert visit.boxes == [] and "0 objects, given" in notes[0]
    np.testing.assert_array_equal(np.asarray(Image.open(colored)), whole)


def test_the_page_of_a_system_that_colours_by_boxes_takes_clicks_and_no_caption(by_boxes, visits, photograph, tmp_path):
    visits.colorizer = by_boxes
    page = Page(visits, UploadStore(tmp_path / "uploads", 1000), tmp_path, Limits(), "about")
    assert page.caption.visible is False and page.panel.clear.visible and page.panel.map.label.startswith("Objects")
    visit = visits.begin("a")
    visit.open(photograph, "Beach.JPG", 24)
    width, height = visit.preview_size
    clicks = ([0.2 * width, 0.2 * height], [0.7 * width, 0.9 * height])
    first, second = (page.panel.add_corner("", 1, visit, gr.EventData(None, {"index": index})) for index in clicks)
    assert "opposite corner" in first[page.panel.words] and page.slider not in first
    assert page.slider in second and "1 objects, given" in second[page.notes]
    drawn = np.asarray(Image.open(second[page.panel.map])).astype(int)
    assert drawn.shape[:2] == (height, width)
    assert drawn[round(0.2 * height), width // 2, 0] - drawn[round(0.2 * height), width // 2, 2] > 100  # its frame
    assert "0 objects, given" in page.panel.clear_boxes("", 1, visit)[page.notes]
