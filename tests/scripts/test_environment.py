"""scripts/environment.sh: which Python makes .venv, and what is said where none can."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from conftest import ROOT

OWN = ".".join(map(str, sys.version_info[:3]))


def python(folder: Path, name: str, version: str, without: str = "") -> Path:
    """A program that says it is such a Python; without: the module that it cannot import."""
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(
        f'#!/bin/bash\ncase "$*" in\n*version_info*) echo {version} ;;\n'
        f'*{without or "no-such-module"}*) exit 1 ;;\n*-m\\ venv*) echo "{name} made it"; exit 7 ;;\nesac\n'
    )
    path.chmod(0o755)
    return path


def environment(tmp_path: Path, **variables: object) -> tuple[int, str]:
    for name in ("requirements.txt", "requirements-dev.txt"):
        (tmp_path / name).write_text("")
    command = f'set -euo pipefail; . {ROOT}/scripts/environment.sh; environment requirements-dev.txt; echo "$PATH"'
    kept = {name: value for name, value in os.environ.items() if name != "PYTHON"}
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=tmp_path,
        env=kept | {k: str(v) for k, v in variables.items()},
        capture_output=True,
        text=True,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("version", ["3.9.2", "3.10.12", "3.14.0", "4.0.0", "3.1.1"])
def test_a_python_that_is_too_old_or_new_is_named(tmp_path, version):
    own = python(tmp_path, "py", version)
    assert environment(tmp_path, PYTHON=own) == (
        1,
        f"{own} is Python {version}; 3.11, 3.12 or 3.13 is needed: pass PYTHON=/path/to/one\n",
    )


@pytest.mark.parametrize("version", ["3.11.2", "3.12.1", "3.13.0"])
def test_the_others_make_the_environment(tmp_path, version):
    assert environment(tmp_path, PYTHON=python(tmp_path, "py", version)) == (7, "py made it\n")
    range_of_versions = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"]
    low, high = (int(minor) for minor in re.fullmatch(r">=3\.(\d+),<3\.(\d+)", range_of_versions).groups())
    assert low <= int(version.split(".")[1]) < high and (low, high) == (11, 14)


def test_a_missing_module_is_told_with_debian_s_package(tmp_path):
    own = python(tmp_path, "py", "3.11.2", without="ensurepip")
    status, said = environment(tmp_path, PYTHON=own)
    assert status == 1 and "no ensurepip" in said and "apt-get install python3.11-venv" in said


def test_an_absent_python_is_no_other(tmp_path):
    status, said = environment(tmp_path, PYTHON=tmp_path / "absent")
    assert status == 1 and f"{tmp_path / 'absent'}: no such Python" in said


def test_the_first_fit_name_is_taken(tmp_path):
    for name, version in (("python3.12", "3.12.4"), ("python3.13", "3.13.0"), ("python3", "3.9.1")):
        python(tmp_path / "bin", name, version)
    for tool in ("bash", "cat", "sha256sum", "cut"):
        (tmp_path / "bin" / tool).symlink_to(f"/usr/bin/{tool}")
    assert environment(tmp_path, PATH=tmp_path / "bin") == (7, "python3.12 made it\n")


def test_an_environment_is_kept_and_not_changed_for_another_python(tmp_path):
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / ".venv")], check=True)
    broken = python(tmp_path, "py", "3.11.2")
    assert environment(tmp_path, PYTHON=broken) == (7, "py made it\n")  # an interrupted one is made anew
    (tmp_path / ".venv" / "bin" / "python").unlink()
    python(tmp_path / ".venv" / "bin", "python", OWN)  # answers "-m pip" with success
    assert environment(tmp_path)[0] == 0 and len([*(tmp_path / ".venv").glob(".installed-*")]) == 1
    status, said = environment(tmp_path, PYTHON=python(tmp_path, "py", "3.13.99"))
    assert status == 1 and f"is Python 3.13.99, .venv is {OWN}; remove .venv" in said
