"""The places of a caption's phrases: found again under other colours, drawn, given to the network."""

import gradio as gr
import numpy as np
import pytest
import torch
from conftest import ROOT
from PIL import Image
from tiny_networks import save_sam

import models
from datasets.masks import placed
from inference import Colorizer
from inference.photo import read_photo
from inference.segmentation import Segmenter
from models.text import CaptionTokenizer
from scripts import app
from utils.errors import InputError
from webapp import marks
from webapp.limits import Limits
from webapp.page import Page
from webapp.uploads import UploadStore
from webapp.visits import Visits

CAPTION = "a red car beside a blue car, under a pink sky"
OTHER_COLORS = "a green car beside a red car, under a gray sky"
SIDE = 16  # of the square that the network sees


# ---- phrases and masks


def test_phrases_that_are_alike_are_numbered():
    assert marks.labels("a red car and a Red hat and a red car") == ["red car (1)", "Red hat", "red car (2)"]
    assert marks.labels("two dogs") == []


def test_a_phrase_keeps_its_place_when_its_colour_changes():
    mask = np.ones((2, 2), bool)
    places = {[*marks.keyed(CAPTION)][1]: mask}
    for caption, phrase in ((CAPTION, "blue car"), (OTHER_COLORS, "red car")):
        ((start, end, held),) = placed(caption, marks.masks_of(caption, places))
        assert caption[start:end] == phrase and held.all()
    assert marks.masks_of("a red car", places) == []  # there is one car
    assert [mask is None for _, mask in marks.masks_of("a red car and a red car", places)] == [True, False]


def test_places_are_drawn_with_their_words_where_they_are():
    gray = np.full((200, 300, 3), 90, np.uint8)
    mask = np.zeros((200, 300), bool)
    mask[100:160, 200:260] = True
    keys = [*marks.keyed(CAPTION)]
    picture = marks.draw_places(gray, CAPTION, {keys[2]: mask, ("bus", 0): ~mask}, (0.1, 0.9))
    changed = np.nonzero((picture != gray).any(axis=2))
    y, x = changed[0][changed[1] > 100], changed[1][changed[1] > 100]
    assert 80 < y.min() < 100 and 155 < y.max() < 165 and x.min() > 150 and 255 < x.max() < 299
    assert (picture[130, 230] == 90).all() and (picture[130, 200] == 255).all()  # inside, and its edge
    assert (picture[180, 30] != 90).any() and (picture[20] == 90).all() and (gray == 90).all()
    without = marks.draw_places(gray, "a red hat", {keys[2]: mask}, None)
    assert (without == gray).all()


# ---- a visitor


@pytest.fixture(scope="module")
def colorizer():
    """L-CAD, tiny, with weights at which words and places matter."""
    torch.manual_seed(0)
    numbers = {"img_size": SIDE, "autoencoder_widths": (4, 8, 12), "unet_widths": (16, 24), "heads": 2}
    text = {"model_type": "bert", "vocab_size": 4096, "hidden_size": 8, "num_hidden_layers": 1}
    text |= {"num_attention_heads": 2, "intermediate_size": 16, "max_position_embeddings": 80}
    numbers |= {"norm_groups": 4, "steps": 2, "text_config": text, "instance_weight": 4.0}
    system = models.create_model(models.LCAD + "_small", CaptionTokenizer.from_vocabulary(), **numbers)
    with torch.no_grad():
        for parameter in system.parameters():
            if parameter.ndim > 1:
                parameter.normal_(std=1.5 / parameter[0].numel() ** 0.5)
    return Colorizer(system, "cpu", "none")


@pytest.fixture(scope="module")
def segmenter(tmp_path_factory):
    return Segmenter(str(save_sam(tmp_path_factory.mktemp("sam"))))


@pytest.fixture
def visits(colorizer, tmp_path):
    for name in ("originals", "pictures"):
        (tmp_path / name).mkdir()
    return Visits(colorizer, tmp_path / "originals", tmp_path / "pictures", most=4)


@pytest.fixture
def photograph(tmp_path):
    """A turned PNG: upright it is 80 wide and 120 high."""
    noise = np.random.default_rng(0).integers(0, 256, (4, 5, 3), dtype=np.uint8)
    exif = Image.Exif()
    exif[274] = 6
    Image.fromarray(noise).resize((120, 80), Image.Resampling.BICUBIC).save(tmp_path / "upload", "PNG", exif=exif)
    return tmp_path / "upload"


def colored(visit, caption=CAPTION) -> np.ndarray:
    return np.asarray(Image.open(visit.color(caption, 1.0)[1])).astype(int)


def held(visit):
    """The phrases that have a place, as the network was given them."""
    return [(phrase, mask) for phrase, mask in visit.shown.given.masks if mask is not None]


def distance(one: np.ndarray, other: np.ndarray) -> int:
    return int(np.abs(one - other).max())


def test_two_clicks_give_a_phrase_a_rough_place_and_the_network_gets_it(visits, photograph):
    visit = visits.begin("a")
    visit.open(photograph, "a.jpg", 24)
    plain = colored(visit)
    assert visit.shown.given.masks == ()
    assert not visit.place(CAPTION, 1, 0.5, 0.25) and visit.corner == (0.5, 0.25)
    assert visit.place(CAPTION, 1, 1.0, 0.75) and visit.corner is None
    guided = colored(visit)
    ((phrase, mask),) = held(visit)
    assert phrase == "blue car"
    assert mask.shape == (SIDE, SIDE) and mask[4:12, 8:].all() and mask.sum() == 8 * 8
    assert distance(guided, plain) > 4
    whole = np.asarray(Image.open(visit.full_size()[0])).astype(int)
    expected = visits.colorizer.encode(read_photo(photograph))
    expected = visits.colorizer.colorize(expected._replace(masks=visit.shown.given.masks), [CAPTION])[0].image
    assert distance(whole, np.asarray(expected).astype(int)) == 0

    changed = colored(visit, OTHER_COLORS)
    assert [phrase for phrase, _ in held(visit)] == ["red car"]
    visit.clear_places()
    assert distance(colored(visit, OTHER_COLORS), changed) > 4
    assert distance(colored(visit), plain) == 0


def test_a_click_is_an_object_where_a_segmenter_is(visits, photograph, segmenter, monkeypatch):
    visits.segmenter = segmenter
    visit = visits.begin("a")
    visit.open(photograph, "a.jpg", 24)
    reads, embed = [], segmenter.embed
    monkeypatch.setattr(segmenter, "embed", lambda pictures: reads.append(pictures[0].size) or embed(pictures))
    places = [(0.3, 0.4), (0.8, 0.9)]
    for number, place in enumerate(places):
        assert visit.place(CAPTION, number, *place)
    assert reads == [(80, 120)] and visit.corner is None
    for mask, place in zip(visit.places.values(), places, strict=True):
        expected = segmenter.at(embed([read_photo(photograph).upright()]), 0, *place)
        assert mask.shape == (120, 80) and (mask != expected).mean() < 0.02
    colored(visit)
    assert len(held(visit)) == 2
    visit.open(photograph, "b.jpg", 24)
    assert visit.places == {} and visit.place(CAPTION, 0, 0.3, 0.4) and len(reads) == 2
    monkeypatch.setattr(segmenter, "at", lambda *_: np.zeros((120, 80), bool))
    with pytest.raises(InputError, match="No object was found there"):
        visit.place(CAPTION, 1, 0.3, 0.4)
    speck = np.zeros((120, 80), bool)
    speck[1, 1] = True
    monkeypatch.setattr(segmenter, "at", lambda *_: speck)
    with pytest.raises(InputError, match="empty at 16 x 16"):
        visit.place(CAPTION, 1, 0.3, 0.4)
    assert len(visit.places) == 1


def test_a_system_without_places_refuses_them():
    colorizer = Colorizer.from_checkpoint(ROOT / "checkpoints" / "scenes.safetensors", device="cpu")
    with pytest.raises(InputError, match=r"masks: colorization_vit_pico.* reads none; leave them out"):
        colorizer(Image.new("L", (20, 20)), "a red car", masks=[("red car", np.ones((20, 20), bool))])
    with pytest.raises(InputError, match=r"--sam here/: colorization_vit_pico.* reads no masks; leave it out"):
        app.segmenter_for(colorizer, "here/")
    assert app.segmenter_for(colorizer, None) is None


def test_the_page_finds_objects_where_sam_is_given_or_cached(colorizer, tmp_path, monkeypatch):
    monkeypatch.setattr(app, "cached_folder", lambda name: None)
    assert app.segmenter_for(colorizer, None) is None
    folder = str(save_sam(tmp_path / "sam"))
    assert isinstance(app.segmenter_for(colorizer, folder), Segmenter)
    monkeypatch.setattr(app, "cached_folder", {app.SAM: folder}.get)
    assert isinstance(app.segmenter_for(colorizer, None), Segmenter)


def test_places_given_with_the_photograph_are_those_given_afterwards(colorizer, photograph):
    photo = read_photo(photograph)
    mask = np.zeros((120, 80), bool)
    mask[:60] = True
    one = colorizer.encode(photo, masks=[("red car", mask)])
    other = colorizer.with_masks(colorizer.encode(photo), marks.masks_of(CAPTION, {("car", 0): mask}))
    for encoded in (one, other):
        (fitted,) = (mask for _, mask in encoded.masks if mask is not None)
        assert fitted[:8].all() and fitted.sum() == 8 * SIDE
    with pytest.raises(InputError, match="is 120 x 80, its picture 80 x 120"):
        colorizer.with_masks(one, [("red car", mask.T)])


# ---- the page


@pytest.fixture
def page(visits, tmp_path):
    return Page(visits, UploadStore(tmp_path / "uploads", 1000), tmp_path, Limits(), "about")


@pytest.fixture
def said(monkeypatch):
    said = []
    monkeypatch.setattr(gr, "Warning", lambda message, duration: said.append(message))
    return said


def click(visit, x, y):
    width, height = visit.preview_size
    return gr.EventData(None, {"index": [x * width, y * height]})


def test_the_page_offers_phrases_and_takes_clicks_for_them(page, visits, photograph, said):
    panel = page.panel
    assert page.caption.visible and panel.clear.visible and panel.map.label == "Places of the phrases"
    assert "two opposite corners" in panel.hint
    listed = panel.list_phrases(CAPTION, 7)[panel.phrase]
    assert [label for label, _ in listed.choices] == ["red car", "blue car", "pink sky"]
    assert listed.value == 2 and listed.visible and not panel.list_phrases("two dogs", 0)[panel.phrase].visible
    visit = visits.begin("a")
    visit.open(photograph, "a.jpg", 24)
    assert page.explain(visit) == gr.skip()
    page.color(CAPTION, 1, visit)
    before = np.asarray(Image.open(page.explain(visit)[panel.map]))
    first = panel.place(2, CAPTION, 1, visit, click(visit, 0.25, 0.25))
    assert "opposite corner" in first[panel.words] and page.slider not in first
    second = panel.place(2, CAPTION, 1, visit, click(visit, 0.75, 0.75))
    assert page.slider in second and "Choose a phrase" in second[panel.words]
    assert [phrase for phrase, _ in held(visit)] == ["pink sky"]
    drawn = np.asarray(Image.open(second[panel.map])).astype(int)
    assert drawn.shape == before.shape and drawn[60, 20].min() > 200 and (drawn[60, 40] == before[60, 40]).all()
    cleared = panel.clear_places(CAPTION, 1, visit)
    assert page.slider in cleared and visit.places == {}
    assert distance(np.asarray(Image.open(cleared[panel.map])).astype(int), before.astype(int)) == 0
    assert not said


def test_variants_are_of_other_seeds_and_one_of_them_is_taken(page, visits, photograph, said):
    visit = visits.begin("a")
    visit.open(photograph, "a.jpg", 24)
    assert page.variants.visible and page.vary(3, visit)[page.drawn].visible is False
    visit.place(CAPTION, 0, 0.1, 0.1)
    visit.place(CAPTION, 0, 0.9, 0.4)
    page.color(CAPTION, 1, visit)
    first = colored(visit)
    answer = page.vary(2.0, visit)
    pictures = [np.asarray(Image.open(path)).astype(int) for path, _ in answer[page.gallery]]
    assert answer[page.drawn].visible and len(pictures) == 2
    assert [number for _, number in answer[page.seed].choices] == [0, 1] and answer[page.seed].value is None
    assert distance(pictures[0], first) == 0 and distance(*pictures) > 4
    assert page.vary(1, visit)[page.drawn].visible is False

    answer = page.take_variant(1, CAPTION, 1, visit)
    assert distance(np.asarray(Image.open(answer[page.slider][1])).astype(int), pictures[1]) == 0
    assert len(held(visit)) == 1
    (again,) = [np.asarray(Image.open(path)).astype(int) for path in visit.vary(1)]
    assert distance(again, first) == 0  # the seed that was taken changes none of the others
    page.color(CAPTION, 1, visit)
    assert visit.shown.seed == 1
    visit.open(photograph, "b.jpg", 24)
    assert distance(colored(visit), pictures[1]) > 0 and visit.seed is None
    for count in (0, 7, 1.5, None, "3", True):
        page.vary(count, visit)
    for seed in (None, 6, "1", -1, True):
        page.take_variant(seed, CAPTION, 1, visit)
    assert len(said) == 11


def test_a_system_that_draws_nothing_has_no_variants():
    colorizer = Colorizer.from_checkpoint(ROOT / "checkpoints" / "scenes.safetensors", device="cpu")
    with pytest.raises(InputError, match=r"seed 3: colorization_vit_pico.* draws no colours"):
        colorizer(Image.new("L", (20, 20)), seed=3)


def test_what_a_browser_should_not_send_is_told(page, visits, photograph, said, caplog):
    panel, visit = page.panel, visits.begin("a")
    panel.place(0, CAPTION, 1, None, None)
    visit.open(photograph, "a.jpg", 24)
    panel.place(0, "two dogs", 1, visit, click(visit, 0.5, 0.5))
    assert "upload one" in said[0] and "gives nothing a colour" in said[1]
    for number in (None, "1", -3, 99, True):
        panel.place(number, CAPTION, 1, visit, click(visit, 0.1, 0.1))
    assert len(said) == 4 and "click them apart" in said[2]  # each second click, of the five
    panel.place(0, None, 1, visit, click(visit, 0.5, 0.5))
    panel.place(0, CAPTION, 1, visit, gr.EventData(None, {"index": "ab"}))
    panel.list_phrases(7, 0)
    assert len(said) == 7 and not caplog.records and visit.places == {}
    visit.clear_places()  # and the corner of the fifth click
    for thing in range(20):
        for corner in (0.1, 0.9):
            assert visit.place(f"a red t{thing}x and a hat", 0, corner, corner) == (corner == 0.9)
    assert [noun for noun, _ in visit.places] == [f"t{thing}x" for thing in range(4, 20)]
    many = panel.list_phrases("a red car " * 900, 10**9)[panel.phrase]
    assert len(many.choices) == 40 and many.value == 39
