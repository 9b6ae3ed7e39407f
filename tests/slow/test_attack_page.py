"""The attack on the web page, for a few seconds: its bounds hold, and where they do not it says so."""

import re

import attack_page
import page_attacks
import pytest
from conftest import ROOT

SMALL = ["--max_megapixels", "1", "--max_megabytes", "2", "--checkpoint", str(ROOT / "checkpoints/scenes.safetensors")]


@pytest.fixture
def patient(monkeypatch):
    """Other work beside the test is no fault of the page."""
    monkeypatch.setattr(attack_page, "SLOWEST", 5.0)


def test_the_page_withstands_and_the_next_visitor_is_served(capsys, patient):
    assert attack_page.main([*SMALL, "--seconds", "6"]) == 0
    said = capsys.readouterr().out
    for attack in page_attacks.ATTACKS:
        assert re.search(rf"[1-9]\d* {attack.__name__}", said), attack
    assert int(re.search(r"(\d+) answers", said)[1]) > 5
    assert int(re.search(r"memory: (\d+) MB", said)[1]) > 100 and int(re.search(r"disk: (\d+) MB", said)[1]) > 0
    assert "every bound held" in said


def test_a_broken_bound_is_told_and_is_the_status(capsys, monkeypatch, patient):
    monkeypatch.setattr(attack_page, "ATTACKS", ())
    monkeypatch.setattr(attack_page, "LONGEST_LOG", -1)
    monkeypatch.setattr(attack_page.Client, "color", lambda *asked: [])
    assert attack_page.main([*SMALL, "--seconds", "0", "--most_memory", "1"]) == 1
    said = capsys.readouterr().out
    assert "memory: more than 1 MB" in said and "log: more than" in said and "the next visitor gets no pictures" in said
    assert "every bound held" not in said
