"""Photos of many kinds in: 16 bits, linear light, colour chunks, transparency, and refusals."""

import io
import struct
import zlib

import numpy as np
import pytest
import torch
from photo_files import CODES, LIGHT, deep, write_png
from PIL import Image
from profiles import gamma, matrix_profile
from test_profiles import ADOBE, to_d50

from bokehdepth_core.files.pictures.images import read_image, read_photo, write_image
from bokehdepth_core.files.pictures.profiles.rgb_spaces import (
    ACESCG,
    P3_D65,
    REC709,
    between,
    srgb_curve,
    srgb_light,
)

# --- PNG


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_every_16_bit_png_keeps_its_steps(tmp_path, channels):
    levels = np.random.default_rng(0).integers(0, 65536, (5, 7, channels), np.uint16)
    write_png(tmp_path / "a.png", levels)
    photo = read_photo(tmp_path / "a.png")
    values = torch.from_numpy(levels.astype(np.float32) / 65535)
    has_alpha = channels in (2, 4)
    color = values[..., :-1] if has_alpha else values
    assert torch.equal(photo.image, color.expand(-1, -1, 3))
    assert (photo.alpha is not None) == has_alpha
    if has_alpha:
        assert torch.equal(photo.alpha, values[..., -1])


def test_a_16_bit_png_is_converted_from_its_profile_in_16_bits(tmp_path):
    data = matrix_profile(to_d50(ADOBE), gamma(2.0))
    grey = np.linspace(0.2, 0.3, 200)[None, :, None].repeat(3, 2)
    write_png(tmp_path / "a.png", deep(grey), (b"iCCP", b"x\0\0" + zlib.compress(data)))
    found = read_image(tmp_path / "a.png").numpy()
    # The profile's own numbers have 16 bits of fraction; three of them are summed.
    np.testing.assert_allclose(found, srgb_curve(grey**2), atol=1e-4)
    assert len(np.unique(found[..., 1])) == 200  # no steps of 8 bits: there are 26 of them


def cicp(*numbers):
    return b"cICP", bytes(numbers)


def chunk_numbers(name, *values):
    return name, struct.pack(f">{len(values)}I", *[round(value * 100000) for value in values])


P3_CORNERS = chunk_numbers(b"cHRM", *P3_D65.white, *P3_D65.red, *P3_D65.green, *P3_D65.blue)
P3_LIGHT = LIGHT @ between(REC709, P3_D65).T


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize(
    ("stored", "chunks"),
    [
        (LIGHT, [chunk_numbers(b"gAMA", 1.0)]),
        (LIGHT ** (1 / 1.8), [chunk_numbers(b"gAMA", 1 / 1.8)]),
        (CODES, [chunk_numbers(b"gAMA", 0.45455)]),
        (CODES, [chunk_numbers(b"gAMA", 1.0), (b"sRGB", b"\0")]),
        (srgb_curve(P3_LIGHT), [cicp(12, 13, 0, 1)]),
        (P3_LIGHT, [cicp(12, 8, 0, 1)]),
        (P3_LIGHT, [chunk_numbers(b"gAMA", 1.0), P3_CORNERS]),
        (srgb_curve(P3_LIGHT), [P3_CORNERS]),
        (srgb_curve(P3_LIGHT), [cicp(12, 13, 0, 1), (b"iCCP", b"x\0\0broken")]),
        (srgb_curve(LIGHT) * 219 / 255 + 16 / 255, [cicp(1, 13, 0, 0)]),
    ],
)
def test_what_png_says_of_its_colours_is_heeded(tmp_path, bits, stored, chunks):
    levels = deep(stored) if bits == 16 else np.round(stored * 255).astype(np.uint8)
    write_png(tmp_path / "a.png", levels, *chunks)
    found = read_image(tmp_path / "a.png").numpy()
    # Half a step of the file, as steep as linear codes are stretched in the shadows (12.92 times).
    assert np.abs(found - CODES).max() < 0.5 / (2**bits - 1) * 12.92 + 1e-4


def test_colours_by_a_number_that_is_not_known_are_said(tmp_path, caplog):
    levels = np.round(CODES * 255).astype(np.uint8)
    for code, said in (
        ((12, 99, 0, 1), "a.png: cICP transfer 99 is not known"),
        ((2, 2, 0, 1), ""),
    ):
        caplog.clear()
        write_png(tmp_path / "a.png", levels, cicp(*code))
        read_image(tmp_path / "a.png")
        assert said in caplog.text
        assert bool(caplog.text) == bool(said)


def test_pq_keeps_what_is_brighter_than_white(tmp_path):
    # SMPTE ST 2084: code 0.5806 is 203 cd/m², diffuse white (BT.2408); 0.7518 is 1000 cd/m².
    levels = deep(np.array([[[0.580689] * 3, [0.751827] * 3, [0.0] * 3]]))
    write_png(tmp_path / "a.png", levels, cicp(9, 16, 0, 1))
    light = srgb_light(read_image(tmp_path / "a.png").numpy())[0, :, 0]
    np.testing.assert_allclose(light, [1.0, 1000 / 203, 0.0], rtol=1e-3, atol=1e-6)


# --- scene-linear light


def linear_file(path, light):
    if path.suffix == ".exr":
        write_image(path, torch.from_numpy(light), color_space="linear Rec.709")
    elif path.suffix == ".tif":
        pytest.importorskip("tifffile").imwrite(path, light, photometric="rgb")
    else:
        path.write_bytes(radiance(light))


def radiance(light, header=b"FORMAT=32-bit_rle_rgbe\n", resolution=b"-Y %d +X %d"):
    """Return a flat Radiance file."""
    exponent = np.ceil(np.log2(light.max(-1, keepdims=True).clip(1e-30)) + 1e-6)
    mantissa = np.floor(light / 2**exponent * 256)
    rgbe = np.concatenate([mantissa, exponent + 128], -1).astype(np.uint8)
    return b"#?RADIANCE\n" + header + b"\n" + resolution % light.shape[:2] + b"\n" + rgbe.tobytes()


@pytest.mark.parametrize("suffix", [".exr", ".tif", ".hdr"])
def test_scene_linear_light_is_kept(tmp_path, suffix):
    light = np.full((4, 6, 3), 0.18, np.float32)
    light[1, 2] = 16.0
    light[2, 3] = 500.0
    linear_file(tmp_path / f"a{suffix}", light)
    photo = read_photo(tmp_path / f"a{suffix}")
    assert photo.color_space == "linear Rec.709"
    # RGBE keeps 8 bits of each; its floor is at most 1/128 too low.
    np.testing.assert_allclose(photo.image.numpy(), light, rtol=0.01 if suffix == ".hdr" else 0)
    found = read_image(tmp_path / f"a{suffix}")
    assert float(found[0, 0, 0]) == pytest.approx(0.4613, abs=2e-3)  # sRGB code of 0.18
    back = srgb_light(found.numpy())
    np.testing.assert_allclose(back, light, rtol=0.011 if suffix == ".hdr" else 1e-5)


def test_radiance_run_lengths_exposure_and_direction(tmp_path):
    row = np.array([[[0.5, 0.25, 0.125]] * 9 + [[2.0, 1.0, 4.0]]], np.float32)
    flat = radiance(row)
    pixels = np.frombuffer(flat[-40:], np.uint8).reshape(10, 4)
    runs = b"\2\2\0\x0a" + b"".join(
        bytes([128 + 9, pixels[0, i], 1, pixels[9, i]]) for i in range(4)
    )
    head = flat[:-40].replace(b"rgbe\n", b"rgbe\nEXPOSURE=2\n").replace(b"-Y 1 +X", b"-Y 1 -X")
    (tmp_path / "a.hdr").write_bytes(head + runs)
    found = read_photo(tmp_path / "a.hdr").image.numpy()
    np.testing.assert_allclose(found, row[:, ::-1] / 2, rtol=0.01)
    (tmp_path / "a.hdr").write_bytes(head + runs[:-3])
    with pytest.raises(ValueError, match=r"a\.hdr: damaged or cut off"):
        read_image(tmp_path / "a.hdr")


def test_acescg_is_recognised_by_its_primaries_and_comes_back(tmp_path):
    light = torch.rand(3, 4, 3) * 3 - 0.1
    write_image(tmp_path / "a.exr", light, color_space="ACEScg")
    photo = read_photo(tmp_path / "a.exr")
    assert photo.color_space == "ACEScg"
    assert torch.equal(photo.image, light)
    rec709 = light.numpy() @ between(ACESCG, REC709).T
    found = read_image(tmp_path / "a.exr").numpy()
    np.testing.assert_allclose(found, srgb_curve(rec709), atol=2e-5)


def test_exr_colour_is_found_in_layers_and_as_luminance(tmp_path):
    OpenEXR = pytest.importorskip("OpenEXR")
    planes = {
        name: np.full((2, 3), value, "f") for name, value in zip("RGB", (1, 2, 3), strict=True)
    }
    layer = {f"Beauty.{name}": plane for name, plane in planes.items()}
    with OpenEXR.File({}, {**layer, "Z": np.ones((2, 3), "f")}) as file:
        file.write(str(tmp_path / "layer.exr"))
    assert read_photo(tmp_path / "layer.exr").image[0, 0].tolist() == [1, 2, 3]
    with OpenEXR.File({}, {"Y": np.full((2, 3), 0.5, "f")}) as file:
        file.write(str(tmp_path / "grey.exr"))
    assert read_photo(tmp_path / "grey.exr").image[0, 0].tolist() == [0.5, 0.5, 0.5]
    with OpenEXR.File({}, {"Z": np.ones((2, 3), "f")}) as file:
        file.write(str(tmp_path / "depth.exr"))
    with pytest.raises(ValueError, match=r"depth\.exr: expected the channels R, G and B.* found Z"):
        read_image(tmp_path / "depth.exr")


# --- transparency


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.exr", "a.webp"])
def test_alpha_comes_back(tmp_path, name):
    image, alpha = torch.full((4, 4, 3), 0.5), torch.full((4, 4), 0.2)
    alpha[:2] = 1.0
    write_image(tmp_path / name, image, alpha=alpha)
    photo = read_photo(tmp_path / name)
    step = 0.6 / 255 if not name.endswith("exr") else 1e-6
    assert (photo.alpha - alpha).abs().max() < step
    assert photo.premultiplied == name.endswith("exr")
    over_white = read_image(tmp_path / name)
    if name.endswith("exr"):  # light is added, not codes
        expected = srgb_curve(srgb_light(np.array(0.5)) * 0.2 + 0.8)
        assert float(over_white[3, 0, 0]) == pytest.approx(float(expected), abs=1e-5)
    elif name != "a.webp":  # WebP is lossy
        assert float(over_white[3, 0, 0]) == pytest.approx(0.2 * 0.5 + 0.8, abs=2 * step)


def test_alpha_that_a_kind_cannot_keep_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"a\.jpg: this kind keeps no transparency"):
        write_image(tmp_path / "a.jpg", torch.zeros(2, 2, 3), alpha=torch.ones(2, 2))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("channels", [3, 4])
def test_16_bit_tiff_is_written_for_other_readers_too(tmp_path, channels):
    tifffile = pytest.importorskip("tifffile")
    levels = np.random.default_rng(0).integers(0, 65536, (5, 7, channels), np.uint16)
    values = torch.from_numpy(levels / 65535)
    alpha = values[..., 3] if channels == 4 else None
    write_image(tmp_path / "a.tif", values[..., :3], 16, alpha=alpha)
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "a.tif"), levels)


# --- refusals


@pytest.mark.parametrize(
    "suffix", [".psd", ".fits", ".mpg", ".h5", ".grib", ".wmf", ".hdr", ".eps2"]
)
def test_kinds_that_are_not_written_are_refused_before_anything_is_done(tmp_path, suffix):
    with pytest.raises(ValueError, match=rf"a\{suffix}: (pictures of this kind|unknown kind)"):
        write_image(tmp_path / f"a{suffix}", torch.zeros(2, 2, 3))
    assert not list(tmp_path.iterdir())


def test_a_file_that_would_start_a_program_is_no_photo(tmp_path):
    file = io.BytesIO()
    Image.new("RGB", (4, 4)).save(file, "EPS")
    (tmp_path / "photo.png").write_bytes(file.getvalue())
    with pytest.raises(ValueError, match=r"photo\.png: cannot be read as a picture"):
        read_image(tmp_path / "photo.png")


def test_declared_sizes_are_checked_first(tmp_path):
    (tmp_path / "a.hdr").write_bytes(b"#?RADIANCE\n\n-Y 100000 +X 100000\n")
    tags = [(256, 100000), (257, 100000), (258, 16), (262, 2), (273, 8), (277, 3), (279, 8)]
    rows = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    content = struct.pack("<2sHI", b"II", 42, 8) + struct.pack("<H", len(tags)) + rows + b"\0" * 4
    (tmp_path / "a.tif").write_bytes(content)
    for name in ("a.hdr", "a.tif"):
        with pytest.raises(ValueError, match=rf"{name}: .*more than 178 million pixels"):
            read_image(tmp_path / name)


@pytest.mark.parametrize("name", ["a.tif", "a.exr", "a.hdr", "a.png"])
@pytest.mark.parametrize("share", [0.02, 0.3, 0.8])
def test_cut_off_files_are_refused_in_one_line(tmp_path, name, share):
    light = np.random.default_rng(0).uniform(0, 1, (40, 40, 3)).astype(np.float32)
    if name == "a.png":
        write_image(tmp_path / name, torch.from_numpy(light), 16)
    else:
        linear_file(tmp_path / name, light)
    whole = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(ValueError, match=rf"^{name}: ") as refused:
        read_image(tmp_path / name)
    assert "\n" not in str(refused.value)
