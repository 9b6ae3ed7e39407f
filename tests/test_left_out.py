"""tests/left_out.py: what a run leaves out is said, by reason, and refused in CI."""

import os
import subprocess
import sys

import pytest
from conftest import ROOT

TESTS = """
import pytest
@pytest.mark.parametrize("n", [1, 2])
def test_gpu(n): pytest.skip("needs a GPU: none here")
def test_browser(): pytest.skip("needs a browser")
@pytest.mark.xfail(reason="known")
def test_known(): assert False
def test_fine(): pass
"""


@pytest.mark.parametrize("ci", [False, True])
def test_what_is_left_out_is_said_and_fails_in_ci(tmp_path, ci):
    (tmp_path / "test_some.py").write_text(TESTS)
    environment = {name: value for name, value in os.environ.items() if name != "CI"} | ({"CI": "1"} if ci else {})
    environment["PYTHONPATH"] = str(ROOT / "tests")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "left_out", "-p", "no:cacheprovider"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == ci and "2 left out: needs a GPU: none here" in done.stdout.splitlines()
    wanted = "left out, which CI forbids: needs a browser" if ci else "1 left out: needs a browser\n"
    assert wanted in done.stdout, done.stdout

    (tmp_path / "test_whole.py").write_text("import pytest\npytest.skip('needs the moon', allow_module_level=True)")
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    wanted = "left out, which CI forbids: needs the moon" if ci else "1 left out: needs the moon\n"
    assert wanted in done.stdout and done.returncode == (2 if ci else 0), done.stdout
