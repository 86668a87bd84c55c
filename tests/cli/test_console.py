"""What is printed and how files are named may hold any sign, and a name any length."""

import io
import os
import sys

import numpy as np
import pytest
from PIL import Image

from bokehdepth_core.cli import main
from bokehdepth_core.files.atomic import whole_file


@pytest.fixture
def scene(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Image.fromarray(np.full((12, 16, 3), 90, np.uint8)).save("p.png")
    np.save("d.npy", np.linspace(1.5, 4, 16, dtype=np.float32)[None].repeat(12, 0))
    return tmp_path


@pytest.fixture
def console(monkeypatch):
    """Return what runs a command in a console of an encoding: exit code, and what it printed."""

    def run(encoding, *words):
        screen = io.BytesIO()
        with io.TextIOWrapper(screen, encoding) as stream:
            monkeypatch.setattr(sys, "stdout", stream)
            monkeypatch.setattr(sys, "stderr", stream)
            try:
                code = main(words)
            except SystemExit as ended:  # how the argument parser ends after its help
                code = ended.code
            stream.flush()
            return code, screen.getvalue()

    return run


@pytest.mark.parametrize("encoding", ["cp1252", "cp932", "cp437", "ascii", "latin-1", "utf-8"])
def test_every_console_takes_help_results_and_errors(scene, console, encoding):
    name = "выход 画像 \U0001f600.png"
    code, _ = console(encoding, "render", "p.png", "d.npy", "--strength", "2", "-o", name)
    assert code == 0
    assert (scene / name).exists()
    for command in ("depth", "render", "stack", "weights", "demo"):
        code, text = console(encoding, command, "--help")
        assert (code, b"usage:" in text) == (0, True)
    code, text = console(encoding, "render", "画像.png", "d.npy", "--strength", "2", "-o", "o.png")
    assert (code, text.count(b"\n")) == (2, 1)


def test_what_a_console_lacks_is_escaped(scene, console):
    _, text = console("cp1252", "render", "画像.png", "d.npy", "--strength", "2", "-o", "o.png")
    assert rb"\u753b\u50cf.png: no such" in text


@pytest.mark.parametrize("name", ["white%d.png", "a%03d b.png", "http:x.png", "-o.png", "#1?.png"])
@pytest.mark.parametrize("bits", ["8", "16"])
def test_signs_that_libraries_take_for_patterns_are_plain_letters(scene, name, bits):
    if os.name == "nt" and set(name) & set('<>:"|?*'):
        pytest.skip("Windows allows no such name")
    command = ["render", "p.png", "d.npy", "--strength", "2", "--bits", bits]
    assert main([*command, f"--output=./{name}"]) == 0
    assert (scene / name).exists()
    # And in again, as the photo.
    again = ["render", f"./{name}", "d.npy", "--strength", "2", "-o", "again.png"]
    assert main(again) == 0


@pytest.mark.skipif(os.name == "nt", reason="Windows limits the whole path, to 260 letters")
def test_a_name_may_have_the_255_bytes_that_folders_allow(scene):
    for name in ("n" * 251 + ".png", "画" * 83 + "xx.png", "s." + "x" * 253):
        assert len(os.fsencode(name)) == 255
        with whole_file(scene / name) as part:
            part.write_bytes(b"x")
            assert part.name.startswith(".")
            assert len(os.fsencode(part.name)) <= 255
        assert (scene / name).read_bytes() == b"x"


def test_a_full_disk_leaves_nothing_and_names_the_file(tmp_path):
    def write_to_a_full_disk():
        with whole_file(tmp_path / "a.png") as part:
            part.write_bytes(b"half")
            raise OSError(28, "No space left on device", str(part))

    with pytest.raises(OSError, match=r"a\.png: cannot be written \(No space left on device\)"):
        write_to_a_full_disk()
    assert not list(tmp_path.iterdir())
