"""Linear light and transparency from file to file on the command line."""

import numpy as np
import pytest
import torch
from PIL import Image

from bokehdepth_core.cli import main
from bokehdepth_core.datatypes import DepthMap
from bokehdepth_core.files.depth_maps import write_depth
from bokehdepth_core.files.exr import read_exr
from bokehdepth_core.files.pictures.images import read_image, read_photo, write_image

HEIGHT, WIDTH = 24, 32


@pytest.fixture
def scene(tmp_path, monkeypatch):
    """A wall at 4 m with a lamp of 500, and a card at 1 m."""
    monkeypatch.chdir(tmp_path)
    light = torch.full((HEIGHT, WIDTH, 3), 0.18)
    light[:, 24:] = 500.0
    light[8:16, 4:12] = torch.tensor([0.4, 0.2, 0.1])
    write_image("photo.exr", light, color_space="linear Rec.709")
    depth = torch.full((1, HEIGHT, WIDTH), 4.0)
    depth[:, 8:16, 4:12] = 1.0
    write_depth("depth.npz", DepthMap(depth))
    return light


def render(*words):
    return main(["render", "photo.exr", "depth.npz", "--strength", "4", *words])


def test_an_exr_photo_comes_out_as_exr_with_its_lamp(scene):
    assert render("--focus-distance", "4", "-o", "out.exr") == 0
    photo = read_photo("out.exr")
    assert photo.color_space == "linear Rec.709"
    torch.testing.assert_close(photo.image[:, 24:], scene[:, 24:], rtol=1e-6, atol=0)
    assert render("--focus-distance", "1", "-o", "blurred.exr") == 0
    torch.testing.assert_close(
        read_photo("blurred.exr").image[:, 30:], scene[:, 30:], rtol=1e-6, atol=0
    )


def test_another_space_is_taken_at_its_word(scene):
    assert render("--focus-distance", "4", "--color-space", "ACEScg", "-o", "out.exr") == 0
    photo = read_photo("out.exr")
    assert photo.color_space == "ACEScg"
    torch.testing.assert_close(photo.image[:, 24:], scene[:, 24:], rtol=1e-6, atol=0)


def test_light_that_a_kind_cannot_keep_is_told(scene, capsys):
    assert render("--focus-distance", "4", "-o", "out.png") == 0
    assert f"{8 * HEIGHT} pixels are brighter than white" in capsys.readouterr().err
    # 0.18 is the code 117.6 of 8 bits.
    assert float(read_image("out.png")[0, 0, 0]) * 255 == pytest.approx(118)


def test_the_stack_of_an_exr_photo_keeps_all_light(scene):
    words = ["--strengths", "2, 4", "--focus-distance", "4", "-o", "stack"]
    assert main(["stack", "photo.exr", "--depth", "depth.npz", *words]) == 0
    frame = read_photo("stack/frame_02_k4.exr").image
    # Through the sRGB curve and back: two powers in float32.
    torch.testing.assert_close(frame[:, 24:], scene[:, 24:], rtol=1e-5, atol=0)


def test_signed_radii_are_written_for_compositors(scene):
    assert render("--focus-distance", "2", "-o", "out.exr", "--coc", "coc.exr") == 0
    radius = read_exr("coc.exr")[0].plane("Y")
    # K (1/Z - 1/Zf): 4 (1 - 1/2) in front, 4 (1/4 - 1/2) behind.
    assert radius[10, 8] == 2.0
    assert radius[0, 0] == -1.0
    assert render("-o", "out.exr", "--coc", "coc.png") == 2


@pytest.mark.parametrize(
    ("name", "bits"), [("o.png", 8), ("o.png", 16), ("o.tif", 16), ("o.exr", 8)]
)
def test_a_cut_out_stays_a_cut_out(scene, name, bits):
    pixels = np.zeros((HEIGHT, WIDTH, 4), np.uint8)
    pixels[8:16, 4:12] = (40, 60, 160, 255)
    Image.fromarray(pixels).save("cut.png")
    command = ["render", "cut.png", "depth.npz", "--strength", "4", "--focus-distance", "4"]
    assert main([*command, "--bits", str(bits), "-o", name]) == 0
    photo = read_photo(name)
    # 64 px were covered; blur moves coverage: half a step of each pixel at most is lost.
    assert float(photo.alpha.sum()) == pytest.approx(64, abs=0.5 * HEIGHT * WIDTH / 255)
    edge = photo.alpha > 0.1
    assert 0.1 < float(photo.alpha[12, 12]) < 0.9
    color = photo.image[edge]
    if name == "o.exr":
        color = color / photo.alpha[edge][:, None]
        color = 1.055 * color ** (1 / 2.4) - 0.055
    assert (color * 255 - torch.tensor([40.0, 60.0, 160.0])).abs().max() < 1


def test_a_glow_that_covers_nothing_keeps_its_light(scene):
    light, alpha = torch.zeros(HEIGHT, WIDTH, 3), torch.zeros(HEIGHT, WIDTH)
    light[8:16, 4:12], alpha[8:16, 4:12] = 0.5, 1.0
    light[8:16, 20:28] = 3.0  # light beside alpha 0, as renderers write flames
    space = {"color_space": "linear Rec.709", "premultiplied": True}
    write_image("photo.exr", light, alpha=alpha, **space)
    assert render("--focus-distance", "1", "-o", "o.exr") == 0
    photo = read_photo("o.exr")
    assert float(photo.alpha[12, 24]) == 0
    # 64 px of 3: blur by 3 px, 4 px from the edge, moves light and loses none.
    assert float(photo.image[:, 16:, 0].sum()) == pytest.approx(192, rel=1e-3)


def test_a_cut_out_into_a_kind_without_transparency_is_told(scene, capsys):
    Image.new("RGBA", (WIDTH, HEIGHT), (0, 0, 0, 0)).save("cut.png")
    command = ["render", "cut.png", "depth.npz", "--strength", "4", "-o", "o.jpg"]
    assert main(command) == 0
    assert "transparency laid over white; .jpg keeps none" in capsys.readouterr().err
    assert float(read_image("o.jpg").min()) > 0.99


def test_a_mask_holds_its_part_out(scene):
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[8:16, 4:12] = 255
    Image.fromarray(mask).save("mask.png")
    assert render("--focus-distance", "4", "--hold-out", "mask.png", "-o", "out.exr") == 0
    found = read_photo("out.exr").image
    torch.testing.assert_close(found, scene, rtol=1e-6, atol=1e-6)
