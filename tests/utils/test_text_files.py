"""utils/text_files.py, and every entry that takes a text file: marks, line ends, quoting, doubles, what is no text."""

import json

import pytest

import run_colorization
from datasets.pair_list import read_pairs
from datasets.regions import read_regions
from datasets.words import correspondence
from evaluation import comparison
from evaluation.user_study import votes as user_votes
from preparation.caption_lists import read_list
from preparation.data_checks import read_list as check_list
from preparation.multi_instance import read_mdetr, read_narratives
from scripts import caption_objects, check_data, colorize
from scripts.checkpoints import make_vocabulary
from utils import text_files
from utils.errors import InputError

ENCODINGS = (
    "utf-8",
    "utf-8-sig",
    "utf-16",
    "utf-16-le",
    "utf-16-be",
    "utf-32",
)  # those with -le, -be: with a mark here
LINE_ENDS = ("\n", "\r\n", "\r")
CAPTION = 'a "café au lait" coat, and\u2028a hat'  # U+2028 ends no line of a file


def encoded(text: str, encoding: str) -> bytes:
    mark = "\ufeff" if encoding.endswith(("-le", "-be")) else ""
    return (mark + text).encode(encoding)


@pytest.fixture(params=[(encoding, end) for encoding in ENCODINGS for end in LINE_ENDS], ids=str)
def write(request, tmp_path):
    encoding, end = request.param

    def write(name: str, text: str):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(encoded(text.replace("\n", end), encoding))
        return path

    return write


def test_every_list_of_captions_is_read_in_every_encoding(write, tmp_path):
    text = json.dumps([["a.jpg", CAPTION], ["b.jpg", "a red hat"]], indent=1, ensure_ascii=False)
    path = write("cap-img-pairs_train.json", text)
    pairs = [("a.jpg", CAPTION), ("b.jpg", "a red hat")]
    assert read_pairs(tmp_path, "train") == pairs
    assert check_list(tmp_path, "train") == (pairs, [])
    assert [tuple(pair) for pair in read_list(path)] == pairs
    assert [tuple(pair) for pair in make_vocabulary.read_captions(path)] == pairs
    assert colorize.read_captions(path) == {name: [caption] for name, caption in pairs}


def test_the_other_json_files_are_read_in_every_encoding(write):
    path = write("o.json", json.dumps({"a.jpg": [[[1, 2]]]}, indent=1))
    assert correspondence.read(path) == {"a.jpg": [[(1, 2)]]}
    path = write("regions_val.json", json.dumps({"a.jpg": {CAPTION: []}}, indent=1, ensure_ascii=False))
    assert read_regions(path.parent, "val") == {("a.jpg", CAPTION): ()}
    path = write("boxes.json", json.dumps({"caf\u00e9.jpg": [[0, 0, 1, 1, 0.9, 0]]}, indent=1, ensure_ascii=False))
    assert caption_objects.read_boxes(path) == {"caf\u00e9.jpg": [[0, 0, 1, 1, 0.9, 0]]}
    key = {"study": "s", "dataset": "d", "questions": {"q": {"experiment": "reality", "choices": {}}}}
    assert user_votes.read_keys([write("key.json", json.dumps(key, indent=1))]) == {"s": key}
    image = {"id": 1, "file_name": "a.jpg", "caption": CAPTION, "data_source": "coco"}
    path = write("big.json", json.dumps({"images": [image], "annotations": []}, indent=1, ensure_ascii=False))
    assert [pair.caption for pair, _ in read_mdetr(path)] == [" ".join(CAPTION.split())]


def test_json_lines_are_read_in_every_encoding(write):
    lines = [{"dataset_id": "coco", "image_id": str(i), "caption": CAPTION} for i in range(3)]
    path = write("n.jsonl", "\n".join(json.dumps(line, ensure_ascii=False) for line in lines) + "\n\n")
    assert [pair.image for pair, _ in read_narratives(path)] == [f"coco_{i:012d}.jpg" for i in range(3)]


def test_csv_is_read_in_every_encoding_by_rfc_4180(write):
    text = 'image,caption\n"a, b.jpg","say ""red""\nthen blue"\n\nc.jpg,  a hat\n'
    captions = colorize.read_captions(write("c.csv", text))
    assert list(captions) == ["a, b.jpg", "c.jpg"]
    assert captions["a, b.jpg"][0].splitlines() == ['say "red"', "then blue"]
    assert colorize.read_captions(write("c.CSV", f'a.jpg,"{CAPTION.replace(chr(34), chr(34) * 2)}"')) == {
        "a.jpg": [CAPTION]
    }


def test_tables_and_configs_are_read_in_every_encoding(write):
    path = write("per_image.csv", "index,name,output,caption\n0,a.jpg,a.png,café\n")
    assert comparison.read_rows(path) == [{"index": "0", "name": "a.jpg", "output": "a.png", "caption": "café"}]
    votes = write("v.csv", ",".join(user_votes.COLUMNS) + "\ns,p,q,c,0,1.5\n")
    keys = {"s": {"questions": {"q": {"choices": ["c"]}}}}
    assert user_votes.read_votes([votes], keys) == {"s": {"p": {"q": "c"}}}
    config = write("run.yaml", "# a run\nepochs: 7\noutput_dir: café\n")
    args = run_colorization.parse(["--config", str(config)])
    assert (args.epochs, args.output_dir) == (7, "café")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'[\n["a.jpg", "caf\xe9"]]', r"line 2 is no UTF-8 \(byte 0xe9, 'é' in Latin-1\); save it as UTF-8"),
        (b'[\r["a.jpg",\r"caf\x8e"]]', r"line 3 is no UTF-8 \(byte 0x8e"),
        ('[\n["a.jpg", "x"]]'.encode("utf-16-le"), "line 1 holds a NUL byte: UTF-16 without a byte order mark"),
        (b'[["a.jpg",\r\n"x\0"]]', "line 2 holds a NUL"),
        (b" " * 5000 + b'\n["\0"]', "line 2 holds a NUL"),
        (b"\xff\xfe[\0]", "no UTF-16"),
        (b"", r"not valid JSON .it is empty|empty \(0 bytes\); fetch it again"),
        (b"\xef\xbb\xbf \r\n", "not valid JSON .it is empty"),
        (b'[\r\n["a.jpg" "x"]]', r"not valid JSON \(line 2, column 10: Expecting ',' delimiter"),
        (b'[\r["a.jpg" "x"]]', r"not valid JSON \(line 2, column 10: "),
        (b'{"a.jpg": ["x"],\n"a.jpg": ["y"]}', "the key 'a.jpg' stands twice"),
        (b"[" * 100_000, "not valid JSON"),
        (b"9" * 5000, "not valid JSON"),
    ],
)
def test_a_list_that_is_none_is_named_with_its_line(tmp_path, content, message):
    path = tmp_path / "cap-img-pairs_val.json"
    path.write_bytes(content)
    readers = (lambda: read_pairs(tmp_path, "val"), lambda: colorize.read_captions(path))
    for reader in (*readers, lambda: list(make_vocabulary.read_captions(path))):
        with pytest.raises(InputError, match=message) as caught:
            reader()
        assert str(path) in str(caught.value) and "\n" not in str(caught.value)
    if b'a.jpg": [' not in content:  # a key that stands twice has its own check
        assert [finding.check for finding in check_list(tmp_path, "val")[1]] == ["bad_list"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'a.jpg,red\nb.jpg,"blue\nc.jpg,x\n', "record from line 2 on is no CSV"),
        (b'a.jpg,red\n"b.jpg" ,blue\n', "record from line 2 on is no CSV"),
        (b"a.jpg,red\nb.jpg\n", "line 2 is"),
        (b'"a\nb.jpg",red\nc.jpg\n', "line 3 is"),
        (b"a.jpg;red\nb.jpg;blue\n", "separated by ';'; save it with commas"),
        (b"a.jpg\tred\n", r"separated by '\\t'"),
        (b"a.jpg,caf\xe9\n", "line 1 is no UTF-8"),
        (b"", "names no image"),
        (b"image,caption\n", "names no image"),
    ],
)
def test_a_csv_that_is_none_is_named_with_its_line(tmp_path, content, message):
    path = tmp_path / "c.csv"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        colorize.read_captions(path)


def test_a_table_keeps_to_its_header(tmp_path):
    path = tmp_path / "t.csv"
    for text, message in (
        ("a,b\n1,2\n\n3\n", "row 4: has not the columns"),
        ("a,b\n1,2,3\n", "row 2: has not the columns"),
        ("a,a,b\n1,2,3\n", "the column 'a' twice"),
        ("a\n1\n", "no column 'b'"),
    ):
        path.write_text(text)
        with pytest.raises(InputError, match=message):
            text_files.read_table(path, ("a", "b"), "pass another")
    path.write_text('a,c,b\n1,,"2,\n3"\n,,\n')
    assert text_files.read_table(path, ("a", "b"), "pass another") == [{"a": "1", "c": "", "b": "2,\n3"}]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("epochs: 1\nlr: 1\nepochs: 2\n", "the key 'epochs' stands twice .*line 3"),
        ("epochs: [1\n", "cannot be read as YAML"),
        ("a: 2024-99-99\n", "cannot be read as YAML"),
    ],
)
def test_a_config_that_is_none_is_named(tmp_path, text, message):
    (tmp_path / "run.yaml").write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        run_colorization.parse(["--config", str(tmp_path / "run.yaml")])
    assert "\n" not in str(caught.value)


def test_a_large_file_in_another_encoding_is_named_with_its_line(tmp_path):
    entry = '{"dataset_id": "coco", "image_id": "1", "caption": "%s"}\n'
    path = tmp_path / "n.jsonl"
    path.write_bytes((entry % "red" * 5000).encode() + (entry % "café").encode("latin-1"))
    with pytest.raises(InputError, match="line 5001 is no UTF-8"):
        list(read_narratives(path))
    path.write_bytes(b'{"images": [' + b'{"id": 1},\n' * 30_000 + b'"caf\xe9"]}')
    with pytest.raises(InputError, match="line 30001 is no UTF-8"):
        list(read_mdetr(path))
    path.write_text('{"images": [{"id": 1, "id": 2}]}')
    with pytest.raises(InputError, match="the key 'id' stands twice"):
        list(read_mdetr(path))


def test_a_data_folder_with_marked_lists_is_checked_to_the_end(data, tmp_path, capsys):
    for path in data.glob("*.json"):
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    words = [str(data), "--output_dir", str(tmp_path / "o"), "--num_workers", "1"]
    assert check_data.main([*words, "--limit", "no_color=1", "--min_side", "0"]) == 0
    assert "bad_list" not in capsys.readouterr().out
