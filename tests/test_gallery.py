"""docs/gallery.md: one command makes every picture it links, and it shows every figure."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from neurosim.plotting.names import NAMES

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "docs" / "gallery.md").read_text(encoding="utf-8")
LINKED = re.findall(r"!\[[^]]+\]\(gallery/([^)]+)\)", TEXT)
COMMANDS = re.findall(r"^`neurosim plot ([\w-]+) ([^`]+)`$", TEXT, re.M)


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("gallery")
    command = [sys.executable, "-W", "error", str(ROOT / "docs" / "make_gallery.py"), "--out", str(folder)]
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return folder


def test_the_command_makes_every_picture(made):
    assert sorted(path.name for path in made.iterdir()) == sorted(LINKED)
    for path in made.iterdir():
        assert path.read_bytes().startswith(b"\x89PNG")


def test_the_pictures_are_there_and_small():
    folder = ROOT / "docs" / "gallery"
    assert sorted(path.name for path in folder.iterdir()) == sorted(LINKED)
    assert sum(path.stat().st_size for path in folder.iterdir()) < 2e6


@pytest.mark.parametrize("name", NAMES)
def test_every_figure_is_in_the_gallery_with_its_command(name):
    files = [file for figure, named in COMMANDS if figure == name for file in named.split()]
    assert files, f"no command for {name}"
    assert all((ROOT / file).is_file() for file in files)


def test_the_commands_are_those_that_made_the_pictures():
    code = (ROOT / "docs" / "make_gallery.py").read_text(encoding="utf-8")
    pictures = re.findall(r'Picture\("[\w-]+", "([\w-]+)", \((.*?),?\)\)', code)
    drawn = [
        (figure, " ".join(f"results/{file}" for file in re.findall(r'"([^"]+)"', files))) for figure, files in pictures
    ]
    assert sorted(drawn) == sorted(COMMANDS) and len(drawn) == len(LINKED)
