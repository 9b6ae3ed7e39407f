"""The user study: its captions, its page in a real browser, its table."""

import csv
import json
import re
import shutil
import tempfile
import time

import numpy as np
import pytest
from conftest import write_data
from PIL import Image

from datasets.pair_list import read_pairs
from datasets.words import color_words
from evaluation.table1.results import LISTING
from evaluation.user_study import votes as user_votes
from evaluation.user_study.page import TRUTH
from evaluation.user_study.votes import BOOTSTRAP, WILSON
from scripts import user_study

SYSTEMS = ("LBIE", "Secretive", "Ours")
SHADES = {"LBIE": (200, 60, 60), "Secretive": (60, 200, 60), "Ours": (60, 60, 200)}
SIDE = 24


def call(*words, status=0):
    assert user_study.main([str(word) for word in words]) == status


def refusal(capsys, *words) -> str:
    call(*words, status=2)
    return capsys.readouterr().err


def write_test(folder, pairs, shade, side=SIDE):
    """What --test leaves of a system that paints everything in one shade."""
    folder.mkdir(parents=True)
    with (folder / "per_image.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["index", "name", "output", "caption", "model_psnr"])
        for i, (name, caption) in enumerate(pairs):
            Image.new("RGB", (side, side), shade).save(folder / f"{i}.png")
            writer.writerow([i, name, f"{i}.png", caption, 20.0])
    return folder


@pytest.fixture(scope="module")
def tested(tmp_path_factory):
    """DATA, the folder with replaced captions, and every system's tests on both: words for `make`."""
    root = tmp_path_factory.mktemp("tested")
    data = write_data(root / "data", {"test": 7}, side=30)
    call("captions", data, root / "replaced", "--images", 3)
    words = {}
    for experiment, folder in (("reality", data), ("correspondence", root / "replaced")):
        pairs = read_pairs(folder, "test")
        words[experiment] = [f"{s}={write_test(root / experiment / s, pairs, SHADES[s])}" for s in SYSTEMS]
    return root, words


def make(tested, output, *more, reality=True, correspondence=True):
    """The key of a page in `output`."""
    root, words = tested
    parts = ["--data_path", root / "data", "--reality", *words["reality"]] if reality else []
    parts += ["--correspondence", *words["correspondence"]] if correspondence else []
    key = output.with_suffix(".json")
    call("make", output, "--key", key, "--images", 3, "--dataset", "Multi", *parts, *more)
    return json.loads(key.read_text())


# ---- captions


def test_captions_get_other_colours_and_their_images(tmp_path):
    data = write_data(tmp_path / "data", {"val": 8})
    call("captions", data, tmp_path / "new", "--split", "val", "--images", 5)
    pairs, original = read_pairs(tmp_path / "new", "test"), dict(read_pairs(data, "val"))
    assert len(pairs) == len({name for name, _ in pairs}) == 5
    for name, caption in pairs:
        old = original[name]
        assert (tmp_path / "new" / "test" / name).read_bytes() == (data / "val" / name).read_bytes()
        words = [[text[start:end] for start, end in color_words.find(text)] for text in (old, caption)]
        assert words[0] and all(a != b for a, b in zip(*words, strict=True))
    record = json.loads((tmp_path / "new" / "replaced_captions.json").read_text())
    assert [(r["image"], r["caption"]) for r in record] == pairs and all(
        r["original"] == original[r["image"]] for r in record
    )


def test_captions_are_the_same_for_the_same_seed(tmp_path):
    data = write_data(tmp_path / "data", {"test": 8})
    lists = []
    for seed, name in ((0, "a"), (0, "b"), (1, "c")):
        call("captions", data, tmp_path / name, "--images", 4, "--seed", seed)
        lists.append(read_pairs(tmp_path / name, "test"))
    assert lists[0] == lists[1] != lists[2]


def test_captions_refuse_what_they_cannot_do(tmp_path, capsys):
    data = write_data(tmp_path / "data", {"test": 8})
    assert "there are 6 images" in refusal(capsys, "captions", data, tmp_path / "new")  # "two dogs run" twice
    call("captions", data, tmp_path / "new", "--images", 0)
    assert "--overwrite" in refusal(capsys, "captions", data, tmp_path / "new", "--images", 2)
    assert "is the data folder itself" in refusal(capsys, "captions", data, data, "--overwrite")
    (data / "test" / "0.jpg").unlink()
    assert "0.jpg: missing" in refusal(capsys, "captions", data, tmp_path / "other", "--images", 0)


# ---- make


def test_every_question_shows_every_system_once_and_the_truth_in_reality(tested, tmp_path):
    key = make(tested, tmp_path / "page")
    kinds = [question["experiment"] for question in key["questions"].values()]
    assert sorted(kinds) == ["correspondence"] * 3 + ["reality"] * 3
    for question in key["questions"].values():
        truth = [TRUTH] if question["experiment"] == "reality" else []
        assert sorted(question["choices"].values()) == sorted([*SYSTEMS, *truth])
        for choice, system in question["choices"].items():
            picture = np.asarray(Image.open(tmp_path / "page" / "pictures" / f"{choice}.png"))
            assert picture.shape == (SIDE, SIDE, 3)
            if system in SHADES:
                assert (picture == SHADES[system]).all()
            else:
                photo = Image.open(tested[0] / "data" / "test" / question["name"]).convert("RGB")
                assert (picture == np.asarray(photo.resize((SIDE, SIDE), Image.Resampling.BILINEAR))).all()


def test_nothing_that_participants_get_names_a_system(tested, tmp_path):
    key = make(tested, tmp_path / "page")
    files = [path for path in (tmp_path / "page").rglob("*") if path.is_file()]
    assert len(files) == 1 + 3 * 4 + 3 * 3
    for path in files:
        content = path.read_bytes()
        assert not [word for word in (*SYSTEMS, TRUTH, "Multi") if word.encode() in content + path.name.encode()]
    ids = [choice for question in key["questions"].values() for choice in question["choices"]]
    assert len({*ids}) == len(ids)  # a system cannot be followed from question to question
    page = (tmp_path / "page" / "index.html").read_text()
    for question in key["questions"].values():  # in the order of the ids
        listed = re.findall(r"c\w{12}", page.split(question["id"])[1].split("]")[0])
        assert listed == sorted(question["choices"])
    order = sorted((tmp_path / "page" / "pictures").iterdir(), key=lambda path: path.stat().st_mtime_ns)
    assert order == sorted(order)


def test_the_page_is_the_same_for_the_same_seed_and_another_for_another(tested, tmp_path):
    keys = [make(tested, tmp_path / name, "--seed", seed) for name, seed in (("a", 3), ("b", 3), ("c", 4))]
    assert keys[0] == keys[1] and keys[0]["study"] != keys[2]["study"]
    pages = [(tmp_path / name / "index.html").read_bytes() for name in "abc"]
    assert pages[0] == pages[1] != pages[2]


def test_captions_cannot_end_the_script(tmp_path):
    pairs = [("0.jpg", "a red </script><b>car"), ("1.jpg", "blue <!-- sky")]
    words = [f"{s}={write_test(tmp_path / s, pairs, SHADES[s])}" for s in SYSTEMS]
    call("make", tmp_path / "page", "--key", tmp_path / "key", "--images", 0, "--correspondence", *words)
    page = (tmp_path / "page" / "index.html").read_text()
    assert page.count("</script>") == 1 and "<!-- sky" not in page and "<b>" not in page


def test_make_refuses_what_it_cannot_ask(tested, tmp_path, capsys):
    root, words = tested
    reality, other = ["--reality", *words["reality"]], ["--correspondence", *words["correspondence"]]
    start = ["make", tmp_path / "page", "--key", tmp_path / "key", "--images", 2]
    data = ["--data_path", root / "data"]
    assert "nothing to ask" in refusal(capsys, *start)
    assert "--data_path" in refusal(capsys, *start, *reality)
    assert "there are 7 images" in refusal(capsys, *start, *reality, *data, "--images", 8)
    assert "has its own caption" in refusal(capsys, *start, *reality, *data, "--correspondence", *words["reality"])
    assert "test both on the same list" in refusal(
        capsys, *start, *other, words["reality"][0].replace("LBIE", "New", 1)
    )
    assert "name each system once" in refusal(capsys, *start, *other, words["correspondence"][0])
    assert "none 'Ground truth'" in refusal(
        capsys, *start, *other, words["correspondence"][0].replace("LBIE", TRUTH, 1)
    )
    assert "1 pictures to choose from" in refusal(capsys, *start, *other[:2])
    assert "write NAME=FOLDER" in refusal(capsys, *start, *reality[:1], "Ours", *data)
    assert "nowhere/per_image.csv" in refusal(capsys, *start, *reality, "New=nowhere", *data)
    assert "participants never see it" in refusal(capsys, *start, *other, "--key", tmp_path / "page" / "key")
    small = write_test(tmp_path / "small", read_pairs(root / "replaced", "test"), (0, 0, 0), side=8)
    assert "24x24" in (said := refusal(capsys, *start, *other, f"Small={small}")) and "8x8" in said
    assert not (tmp_path / "page").exists()  # all of it before anything is written
    call(*start, *other, f"Small={small}", "--size", 40)
    assert {Image.open(path).size for path in (tmp_path / "page" / "pictures").iterdir()} == {(40, 40)}
    assert "--overwrite" in refusal(capsys, *start, *other)
    call(*start, *other, "--overwrite")
    assert len([*(tmp_path / "page" / "pictures").iterdir()]) == 2 * 3  # those of the first page are gone


def test_the_output_of_table1_stands_for_its_rows(tested, tmp_path, capsys):
    root, words = tested
    folders = {experiment: dict(word.split("=") for word in own) for experiment, own in words.items()}
    rows = [
        {"row": name.lower(), "title": name, "seed": 0, "test": folder, "replaced": folders["correspondence"][name]}
        for name, folder in folders["reality"].items()
    ]
    output = tmp_path / "table"
    output.mkdir()
    (output / LISTING).write_text(json.dumps({"scenes": [], "photos": rows}))
    key = make(tested, tmp_path / "words")
    start = ["--images", 3, "--dataset", "Multi", "--data_path", root / "data", "--reality", output]
    call("make", tmp_path / "one", "--key", tmp_path / "one.json", *start, "--correspondence", output)
    assert json.loads((tmp_path / "one.json").read_text()) == key
    call("make", tmp_path / "two", "--key", tmp_path / "two.json", *start, "--rows", "ours", "lbie")
    questions = json.loads((tmp_path / "two.json").read_text())["questions"].values()
    assert len(questions) == 3 and all(
        sorted(q["choices"].values()) == sorted(["LBIE", "Ours", TRUTH]) for q in questions
    )
    start = ["make", tmp_path / "three", "--key", tmp_path / "three.json", *start]
    assert "--rows xie2018" in refusal(capsys, *start, "--rows", "xie2018")
    del rows[1]["replaced"]
    (output / LISTING).write_text(json.dumps({"scenes": [], "photos": rows}))
    assert "secretive was not tested there; run scripts/table1.py with --replaced" in refusal(
        capsys, *start, "--correspondence", output
    )


# ---- table

REALITY = {
    f"q{i}": {"experiment": "reality", "choices": {f"c{i}a": "A", f"c{i}b": "B", f"c{i}t": TRUTH}} for i in range(4)
}
CORRESPONDENCE = {"q4": {"experiment": "correspondence", "choices": {"c4a": "A", "c4b": "B"}}}
KEY = {"study": "s1", "dataset": "Multi", "seed": 0, "questions": REALITY | CORRESPONDENCE}


def write_answers(folder, participant, votes, study="s1"):
    """votes: 'ABTTA': the system chosen in q0, q1, ..."""
    lines = [f"{study},{participant},q{i},c{i}{vote.lower()},1,2.5" for i, vote in enumerate(votes) if vote != "-"]
    file = folder / f"{participant}_{len(votes)}.csv"
    file.write_text("\n".join([",".join(user_votes.COLUMNS), *lines]) + "\n")
    return file


@pytest.fixture
def key(tmp_path):
    (tmp_path / "key.json").write_text(json.dumps(KEY))
    return tmp_path / "key.json"


def test_the_table_has_the_shares_worked_out_by_hand(tmp_path, key, capsys):
    answers = [write_answers(tmp_path, person, votes) for person, votes in (("p1", "ABTTA"), ("p2", "ATTTA"))]
    call("table", "--keys", key, "--answers", *answers, "--output", tmp_path / "out")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "| Method | Multi: Reality expt | Multi: Corresp expt |"
    assert lines[2].startswith("| A | 25.00 % [") and "| 100.00 % [34.24, 100.00] |" in lines[2]  # Wilson of 2 in 2
    assert lines[3].startswith("| B | 12.50 % [0.00, 25.00] | 0.00 %")  # 0 of 4 and 1 of 4
    assert lines[4].startswith(f"| {TRUTH} | 62.50 % [50.00, 75.00] | N/A |")
    assert lines[5] == "| votes (participants) | 8 (2) | 2 (2) |" and lines[6] == "| chance | 33.33 % | 50.00 % |"
    with (tmp_path / "out" / "table2.csv").open(newline="") as file:
        rows = {(row["experiment"], row["system"]): row for row in csv.DictReader(file)}
    truth = rows["reality", TRUTH]
    assert (truth["votes"], truth["total"], truth["mean"], truth["interval"]) == ("5", "8", "0.625", BOOTSTRAP)
    assert rows["correspondence", "A"]["interval"] == WILSON and len(rows) == 5
    assert "table2.md" in str([*(tmp_path / "out").iterdir()])
    assert "--overwrite" in refusal(capsys, "table", "--keys", key, "--answers", *answers, "--output", tmp_path / "out")


def test_the_interval_grows_with_how_much_participants_disagree():
    def width(*people):
        votes = [(i, vote) for i, person in enumerate(people) for vote in person]
        low, high = user_votes.share(votes, "A").interval[1:]
        return high - low

    agreeing, extreme = ["AB"] * 9 + ["AA", "BB"], ["AA", "BB"] * 5 + ["AB"]
    assert width(*extreme) > 1.5 * width(*agreeing)
    assert width("ABAB") == pytest.approx(0.7, abs=0.01)  # Wilson, 2 of 4: 0.15 to 0.85


def test_two_data_sets_stand_side_by_side(tmp_path, key, capsys):
    other = KEY | {"study": "s2", "dataset": "COCO"}
    (tmp_path / "key2.json").write_text(json.dumps(other))
    answers = [write_answers(tmp_path, "p1", "ABTTA"), write_answers(tmp_path, "p2", "BBBBB", "s2")]
    call("table", "--keys", key, tmp_path / "key2.json", "--answers", *answers)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].count("COCO") == lines[0].count("Multi") == 2
    assert [cell.split(" %")[0].strip() for cell in lines[3].split("|")[2:6]] == ["25.00", "0.00", "100.00", "100.00"]
    (tmp_path / "key2.json").write_text(json.dumps(other | {"dataset": "Multi"}))
    assert "another --dataset" in refusal(capsys, "table", "--keys", key, tmp_path / "key2.json", "--answers", *answers)


def test_answers_that_do_not_fit_are_refused_by_file_and_row(tmp_path, key, capsys):
    good = write_answers(tmp_path, "p1", "ABTTA")
    start = ["table", "--keys", key, "--answers"]

    def told(text: str) -> str:
        (tmp_path / "bad.csv").write_text(text)
        said = refusal(capsys, *start, tmp_path / "bad.csv")
        assert "bad.csv" in said
        return said

    text = good.read_text()
    assert "row 2" in (said := told(text.replace("s1", "s9"))) and "s9" in said
    assert "row 3: question 'q9'" in told(text.replace("q1", "q9"))
    assert "row 3: 'c0b' is no choice" in told(text.replace("c1b", "c0b"))
    assert "row 7: participant p1" in told(text + text.splitlines()[-1])
    assert "separated by ';'" in told(text.replace(",", ";"))
    assert "has not the columns" in told(text + "s1,p1\n")
    assert "holds no answer" in told(text.splitlines()[0])
    assert "pass each participant's file once" in refusal(
        capsys, *start, good, shutil.copy(good, tmp_path / "copy.csv")
    )
    assert "no.csv" in refusal(capsys, *start, tmp_path / "no.csv")
    assert "key.json" not in (said := refusal(capsys, "table", "--keys", good, "--answers", good)) and str(good) in said


def test_participants_who_left_questions_out_count_when_asked_to(tmp_path, key, capsys):
    answers = [write_answers(tmp_path, "p1", "ABTTA"), write_answers(tmp_path, "p2", "AB---")]
    assert "p2 answered 2 of 5" in refusal(capsys, "table", "--keys", key, "--answers", *answers)
    call("table", "--keys", key, "--answers", *answers, "--incomplete")
    assert "| votes (participants) | 6 (2) | 1 (1) |" in capsys.readouterr().out
    assert "nobody answered" in refusal(capsys, "table", "--keys", key, "--answers", answers[1], "--incomplete")


def test_a_spreadsheet_s_byte_order_mark_does_no_harm(tmp_path, key):
    file = write_answers(tmp_path, "p1", "ABTTA")
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes().replace(b"\n", b"\r\n"))
    call("table", "--keys", key, "--answers", file)


# ---- the page, in Chromium


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    programs = {name: shutil.which(name) for name in ("chromium", "chromedriver")}
    if None in programs.values():
        pytest.skip("needs a browser: install Debian's chromium and chromium-driver")
    from selenium import webdriver

    downloads = tmp_path_factory.mktemp("downloads")
    options = webdriver.ChromeOptions()
    options.binary_location = programs["chromium"]
    flags = (
        *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
        *("--disable-background-networking", "--disable-component-update", "--window-size=1280,800"),
        # A reloaded file:// page else gets a new process, which may read localStorage before the old one's last writes
        "--disable-features=RenderDocument",
    )
    for flag in flags:
        options.add_argument(flag)
    options.add_experimental_option("prefs", {"download.default_directory": str(downloads)})
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        options.add_argument(f"--user-data-dir={profile}")
        driver = webdriver.Chrome(options, webdriver.ChromeService(programs["chromedriver"]))
        driver.downloads = downloads
        yield driver
        driver.quit()


class Participant:
    """Somebody who knows the key, at the page."""

    def __init__(self, browser, key):
        self.browser, self.key = browser, key
        self.choices = {c: (q, s) for q, question in key["questions"].items() for c, s in question["choices"].items()}

    def find(self, selector):
        return self.browser.find_elements("css selector", selector)

    def press(self, *keys):
        from selenium.webdriver import ActionChains

        ActionChains(self.browser).send_keys(*keys).perform()

    def open(self, address):
        self.browser.get(address)
        self.wait_for_paint()

    def reload(self):
        """Under load the driver may return before the old document is gone."""
        self.browser.execute_script("window.old = true")
        self.browser.refresh()
        self.wait_for_paint()

    def wait_for_paint(self):
        """Chromium drops keys and clicks that come before a document's first paint."""
        painted = "performance.getEntriesByName('first-contentful-paint').length > 0"
        for _ in range(600):
            if self.browser.execute_script(f"return !window.old && document.readyState === 'complete' && {painted}"):
                return
            time.sleep(0.1)
        raise AssertionError("the page was not shown")

    def text(self, selector):
        return self.find(selector)[0].text

    def shown(self):
        """(question, systems in the order of the screen)."""
        seen = [self.choices[pick.get_attribute("data-choice")] for pick in self.find(".pick")]
        assert len({question for question, _ in seen}) == 1
        return seen[0][0], [system for _, system in seen]

    def chosen(self):
        return [self.choices[p.get_attribute("data-choice")][1] for p in self.find('.pick[aria-pressed="true"]')]

    def save(self):
        before = {*self.browser.downloads.iterdir()}
        self.find("#download")[0].click()
        for _ in range(600):
            new = [path for path in {*self.browser.downloads.iterdir()} - before if path.suffix == ".csv"]
            if new and new[0].stat().st_size:  # the browser keeps the name with an empty file first
                return new[0]
            time.sleep(0.1)
        raise AssertionError("no file was saved")


@pytest.fixture
def participant(browser, tested, tmp_path):
    key = make(tested, tmp_path / "page")
    someone = Participant(browser, key)
    someone.open((tmp_path / "page" / "index.html").as_uri())
    browser.execute_script("localStorage.clear()")
    someone.reload()
    return someone


ENTER, LEFT, RIGHT, ESCAPE = "\ue007", "\ue012", "\ue014", "\ue00c"


def test_the_page_is_answered_and_its_file_gives_the_known_table(participant, tmp_path, capsys):
    """By keys, with a change of mind and a reload on the way; then once more by mouse, by another participant."""
    wanted = {
        "p-one": iter(["Ours", TRUTH, "LBIE", "Ours", "Secretive", "Ours"]),
        "p-two": iter([TRUTH] * 3 + ["Ours"] * 3),
    }
    page, browser, files, orders = participant.browser.current_url, participant.browser, [], []
    for name, votes in wanted.items():
        participant.open(f"{page}?participant={name}")
        order = []
        participant.press(ENTER)
        while not participant.find("#download"):
            if not participant.find(".pick"):  # what the part asks for
                participant.press(ENTER)
                continue
            question, systems = participant.shown()
            order.append((question, systems))
            place = systems.index(next(votes))
            if name == "p-one":
                assert not participant.find("#next")[0].is_enabled()
                participant.press("2" if place == 0 else "1")
                participant.press(str(place + 1), ENTER)
            else:
                participant.find(".pick")[place].click()
                participant.find("#next")[0].click()
            if len(order) == 2:
                participant.reload()
        assert len(order) == 6 and participant.text("#progress") == "6 of 6 answered"
        orders.append(order)
        files.append(participant.save())
    assert orders[0] != orders[1] and sorted(q for q, _ in orders[0]) == sorted(q for q, _ in orders[1])
    call("table", "--keys", tmp_path / "page.json", "--answers", *files)
    lines = capsys.readouterr().out.splitlines()
    shares = {
        line.split("|")[1].strip(): [cell.split(" %")[0] for cell in line.split("| ")[2:4]] for line in lines[2:6]
    }
    assert shares == {
        "LBIE": ["16.67", "0.00"],
        "Secretive": ["0.00", "16.67"],
        "Ours": ["16.67", "83.33"],
        TRUTH: ["66.67", "N/A |"],
    }
    assert not [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]


def test_the_page_goes_back_and_keeps_what_was_chosen(participant):
    participant.press(ENTER, ENTER, "3", ENTER)
    second = participant.shown()
    participant.press("1", LEFT)
    first = participant.shown()
    assert first[0] != second[0] and participant.chosen() == [first[1][2]]
    participant.find("#back")[0].click()
    assert participant.text("h1") == "Part 1 of 2"
    participant.press(RIGHT, "2", RIGHT)
    assert participant.shown() == second and participant.chosen() == [second[1][0]]
    participant.reload()
    assert participant.shown() == second and participant.chosen() == [second[1][0]]
    assert participant.text("#progress") == "question 2 of 6"
    participant.press(LEFT)
    assert participant.chosen() == [first[1][1]]
    participant.press("4")
    participant.reload()  # without having gone on
    assert participant.chosen() == [first[1][3]]


def test_a_question_cannot_be_passed_unanswered(participant):
    participant.press(ENTER, ENTER)
    question = participant.shown()[0]
    participant.press(ENTER, RIGHT, "9", ENTER)  # there are four pictures
    assert participant.shown()[0] == question and participant.chosen() == []


def test_a_picture_can_be_enlarged_and_chosen_there(participant):
    participant.press(ENTER, ENTER, "z", RIGHT, RIGHT)
    assert participant.text("#largeNumber") == "picture 3 of 4"
    large = participant.find("#largePicture")[0]
    assert large.is_displayed() and large.size["height"] > 600
    participant.find("#largePick")[0].click()
    assert not large.is_displayed() and participant.chosen() == [participant.shown()[1][2]]
    participant.press("z", ESCAPE, ENTER)
    assert participant.text("#progress") == "question 2 of 6"


@pytest.mark.parametrize(
    ("width", "height", "rows", "side"), [(1280, 800, 1, 290), (800, 800, 2, 220), (400, 900, 2, 170)]
)
def test_pictures_are_large_and_all_in_sight(participant, width, height, rows, side):
    browser = participant.browser
    browser.set_window_size(width, height)
    participant.press(ENTER, ENTER)
    boxes = [pick.rect for pick in participant.find(".pick")]
    bottom = participant.find("footer")[0].rect["y"]
    assert len(boxes) == 4 and len({box["y"] for box in boxes}) == rows
    assert all(box["width"] == box["height"] > side and box["y"] + box["height"] <= bottom + 1 for box in boxes)
    screen = participant.find("#screen")[0]
    assert browser.execute_script("return arguments[0].scrollHeight - arguments[0].clientHeight", screen) == 0
    for image in participant.find(".pick img"):
        assert browser.execute_script("return arguments[0].naturalWidth", image) == SIDE
    browser.set_window_size(1280, 800)


def test_another_participant_starts_with_nothing(participant):
    participant.press(ENTER, ENTER)
    for _ in range(3):
        participant.press("1", ENTER)
    participant.press(ENTER)
    for _ in range(3):
        participant.press("1", ENTER)
    code = participant.save().stem
    participant.find("#again")[0].click()
    participant.browser.switch_to.alert.accept()
    assert participant.text("h1") == "Which picture?" and participant.text("code") not in code
    participant.reload()
    assert participant.text("code") not in code
    participant.press(ENTER, ENTER)
    assert participant.chosen() == []


def test_a_missing_picture_is_told(participant, tmp_path):
    for path in (tmp_path / "page" / "pictures").iterdir():
        path.rename(path.with_suffix(".gone"))
    participant.press(ENTER, ENTER)
    for _ in range(100):
        if "A picture is missing" in participant.text("#warning"):
            return
        time.sleep(0.1)
    raise AssertionError("no warning")
