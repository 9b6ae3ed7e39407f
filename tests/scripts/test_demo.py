"""scripts/demo.sh: what it says, and that its commands are ones that the programs take."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

import run_colorization
from scripts import colorize

# In the place of Python: notes the words, and makes what they name.
STUB = f"""#!{sys.executable}
import json, pathlib, sys
words = sys.argv[1:]
print("RUN", json.dumps(words), flush=True)
pathlib.Path(words[words.index("--output_dir" if "--output_dir" in words else "--output") + 1] if len(words) > 2
             else words[1]).mkdir(parents=True, exist_ok=True)
"""


@pytest.fixture(scope="module")
def said(tmp_path_factory) -> list[str]:
    """The lines of a demonstration whose programs do nothing."""
    root = tmp_path_factory.mktemp("demo")
    (root / "scripts").mkdir()
    shutil.copy(ROOT / "scripts" / "demo.sh", root / "scripts")
    (root / "scripts" / "environment.sh").write_text("environment() { echo INSTALL; export PATH=$PWD/bin:$PATH; }\n")
    (root / "bin").mkdir()
    (root / "bin" / "python").write_text(STUB)
    (root / "bin" / "python").chmod(0o755)
    done = subprocess.run(["bash", "scripts/demo.sh", "out"], cwd=root, capture_output=True, text=True, check=True)
    return done.stdout.replace(str(root), "ROOT").splitlines()


def test_it_says_first_what_it_does_and_how_long_each_part_takes(said):
    plan = said[: said.index("INSTALL")]
    assert "six minutes" in plan[0]
    parts = [line for line in plan if line.startswith("  ")]
    assert [line.split(".")[0].strip() for line in parts] == ["1", "2", "3", "4"]
    assert all("minute" in line for line in parts)


def test_the_photographs_come_first_and_the_paths_last(said):
    runs = [place for place, line in enumerate(said) if line.startswith("RUN")]
    assert all("scripts/colorize.py" in said[place] for place in runs[:2])
    shown = next(place for place, line in enumerate(said) if "camera_variants.png" in line)
    assert runs[1] < shown < runs[2]  # before anything else is begun
    last = said[runs[-1] + 1 :]
    for path in ("photos/camera_variants.png", "photos/astronaut_variants.png", "scenes/index.html", "sheet.png"):
        assert any(line.endswith(f"ROOT/out/{path}") for line in last), path
    assert last[-1].endswith("ROOT/out/test/index.html")


def test_its_commands_are_taken(said):
    for line in said:
        if line.startswith("RUN"):
            program, *words = json.loads(line.removeprefix("RUN "))
            assert (ROOT / program).is_file()
            if program == "run_colorization.py":
                run_colorization.parse([str(ROOT / word) if word.startswith("configs/") else word for word in words])
            elif program == "scripts/colorize.py":
                asked = colorize.parse(words)
                assert len(asked.captions_variants) == 3 and (ROOT / asked.photos[0]).is_file()
                assert os.path.normpath(asked.output) == str(Path("out") / "photos")
