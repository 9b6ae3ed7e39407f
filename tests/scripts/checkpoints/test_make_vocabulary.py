"""The vocabulary of the small text encoder."""

import json

import pytest

from scripts.checkpoints import make_vocabulary


def test_a_vocabulary_is_made_from_every_form_of_captions(tmp_path):
    forms = {
        "pairs": [["a.jpg", "a zebra grazes"]],
        "object": {"a.jpg": ["a zebra runs", "a zebra sleeps"]},
        "coco": {
            "images": [{"id": 1, "file_name": "a.jpg"}],
            "annotations": [{"image_id": 1, "id": 1, "caption": "a zebra drinks"}],
        },
    }
    for name, content in forms.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    files = [tmp_path / f"{name}.json" for name in forms]
    words = [*map(str, files), "--size", "600", "--output", str(tmp_path / "vocabulary.txt")]
    assert make_vocabulary.main(words) == 0
    tokens = (tmp_path / "vocabulary.txt").read_text().splitlines()
    assert tokens[:5] == ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"] and len(set(tokens)) == len(tokens)
    assert {"zebra", "red", "left", "##z"} <= set(tokens)


@pytest.mark.parametrize("content", [[], {"a.jpg": [7]}, [["a.jpg", 3]], [["a.jpg"], []], "a zebra"])
def test_a_file_without_captions_is_refused(tmp_path, capsys, content):
    (tmp_path / "a.json").write_text(json.dumps(content))
    assert make_vocabulary.main([str(tmp_path / "a.json"), "--output", str(tmp_path / "v.txt")]) == 2
    assert "a.json: " in capsys.readouterr().err and not (tmp_path / "v.txt").exists()


def test_a_size_without_room_for_the_alphabet_is_refused(tmp_path, capsys):
    (tmp_path / "a.json").write_text(json.dumps([["a.jpg", "a zebra grazes"]]))
    assert make_vocabulary.main([str(tmp_path / "a.json"), "--size", "9", "--output", str(tmp_path / "v.txt")]) == 2
    assert "--size 9: the required tokens alone are" in capsys.readouterr().err
