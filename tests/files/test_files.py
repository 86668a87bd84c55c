import math
import struct
import zlib

import numpy as np
import pytest
import torch
from PIL import Image, ImageCms
from PIL.PngImagePlugin import PngInfo

from bokehdepth_core.datatypes import DepthMap
from bokehdepth_core.files.atomic import whole_file
from bokehdepth_core.files.depth_maps import read_depth, write_depth
from bokehdepth_core.files.pictures.images import read_image, write_image
from bokehdepth_core.optics.camera import intrinsics_from_focal_length, unproject


def random_levels(shape, top):
    return np.random.default_rng(0).integers(0, top, shape, endpoint=True)


def sky_depth(metric=True):
    torch.manual_seed(0)
    depth = torch.rand(1, 5, 7) * 20 + 1.0
    depth[0, 0, :3] = math.inf
    if not metric:
        return DepthMap.from_normalized_disparity(depth.reciprocal())
    return DepthMap(depth, torch.rand(1, 5, 7), intrinsics_from_focal_length(9.0, 7, 5))


# --- pictures


@pytest.mark.parametrize("bits", [8, 16])
def test_every_level_survives_a_png(tmp_path, bits):
    levels = random_levels((9, 11, 3), 2**bits - 1)
    image = torch.from_numpy(levels / (2**bits - 1)).float()
    write_image(tmp_path / "a.png", image, bits)
    found = (read_image(tmp_path / "a.png").double() * (2**bits - 1)).round().numpy()
    np.testing.assert_array_equal(found, levels)


def test_a_16_bit_png_is_one_for_other_readers_too(tmp_path):
    image = torch.full((1, 4, 6, 3), 0.5 + 1 / 65535)
    write_image(tmp_path / "a.png", image, 16)
    head = (tmp_path / "a.png").read_bytes()[:26]
    assert struct.unpack(">II", head[16:24]) == (6, 4)
    assert (head[24], head[25]) == (16, 2)  # bits, true colour
    assert Image.open(tmp_path / "a.png").size == (6, 4)


def test_values_outside_the_range_are_clipped_and_the_input_is_kept(tmp_path):
    image = torch.tensor([[[-1.0, 0.5, 2.0]]])
    write_image(tmp_path / "a.png", image)
    assert np.asarray(Image.open(tmp_path / "a.png")).tolist() == [[[0, 128, 255]]]
    assert image.tolist() == [[[-1.0, 0.5, 2.0]]]


def test_grey_palette_and_16_bit_grey_pictures_become_rgb(tmp_path):
    grey = random_levels((3, 5), 255).astype(np.uint8)
    Image.fromarray(grey).save(tmp_path / "l.png")
    Image.fromarray(grey).convert("P").save(tmp_path / "p.png")
    Image.fromarray(grey.astype(np.uint16) * 257).save(tmp_path / "i16.png")
    expected = torch.from_numpy(grey).float()[..., None].expand(-1, -1, 3) / 255
    for name in ("l.png", "p.png", "i16.png"):
        torch.testing.assert_close(read_image(tmp_path / name), expected)


def test_transparency_is_laid_over_the_background(tmp_path):
    Image.new("RGBA", (2, 1), (255, 0, 0, 51)).save(tmp_path / "a.png")
    white = torch.tensor([1.0, 0.8, 0.8]).expand(1, 2, 3)
    black = torch.tensor([0.2, 0.0, 0.0]).expand(1, 2, 3)
    torch.testing.assert_close(read_image(tmp_path / "a.png"), white)
    torch.testing.assert_close(read_image(tmp_path / "a.png", background=0.0), black)


@pytest.mark.parametrize("kind", ["png", "tif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_photos_stand_upright(tmp_path, orientation, kind):
    levels = random_levels((3, 4, 3), 255).astype(np.uint8)
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(levels).save(tmp_path / f"a.{kind}", exif=exif)
    turn = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_270,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_90,
    }
    stored = Image.fromarray(levels)
    upright = stored.transpose(turn[orientation]) if orientation in turn else stored
    found = (read_image(tmp_path / f"a.{kind}") * 255).round().numpy().astype(np.uint8)
    np.testing.assert_array_equal(found, np.asarray(upright))


def test_an_srgb_profile_changes_nothing(tmp_path):
    levels = random_levels((4, 4, 3), 255).astype(np.uint8)
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    Image.fromarray(levels).save(tmp_path / "a.png", icc_profile=profile)
    found = read_image(tmp_path / "a.png").numpy() * 255
    np.testing.assert_allclose(found, levels, atol=1.01)  # the colour engine rounds


def test_an_unreadable_colour_profile_is_reported_and_the_picture_kept(tmp_path, caplog):
    Image.new("RGB", (2, 2), (255, 0, 0)).save(tmp_path / "a.png", icc_profile=b"no profile")
    assert read_image(tmp_path / "a.png")[0, 0].tolist() == [1.0, 0.0, 0.0]
    assert "colour profile is unreadable" in caplog.text


def test_a_missing_picture_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.png: no such picture\. Check the path\."):
        read_image(tmp_path / "none.png")


def test_a_file_of_another_kind_is_refused(tmp_path):
    (tmp_path / "a.png").write_text("not a picture")
    with pytest.raises(ValueError, match=r"a\.png: cannot be read as a picture\. Save it as PNG"):
        read_image(tmp_path / "a.png")


def test_a_heic_photo_without_its_reader_is_explained(tmp_path):
    (tmp_path / "a.heic").write_bytes(b"\0\0\0\x18ftypheic")
    with pytest.raises(ValueError, match=r"^a\.heic: "):
        read_image(tmp_path / "a.heic")


@pytest.mark.parametrize(("name", "bits"), [("a.png", 8), ("a.png", 16), ("a.jpg", 8)])
@pytest.mark.parametrize("share", [0.5, 0.9])
def test_a_cut_off_picture_is_refused(tmp_path, name, bits, share):
    levels = random_levels((64, 64, 3), 65535)
    write_image(tmp_path / name, torch.from_numpy(levels / 65535).float(), bits)
    whole = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(ValueError, match=r"a\.(png|jpg): damaged or cut off"):
        read_image(tmp_path / name)


def test_a_decompression_bomb_is_refused_before_it_is_unpacked(tmp_path):
    def chunk(kind, body):
        sum_ = zlib.crc32(kind + body)
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", sum_)

    header = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    content = (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")
    )
    (tmp_path / "bomb.png").write_bytes(content)
    with pytest.raises(ValueError, match=r"bomb\.png: larger than \d+ million pixels"):
        read_image(tmp_path / "bomb.png")


@pytest.mark.parametrize(
    ("name", "bits", "message"),
    [
        ("a.jpg", 16, "bits: expected 8, or 16 with .png, found 16 with '.jpg'"),
        ("a.png", 12, "bits: expected 8, or 16 with .png, found 12"),
        ("a.xyz", 8, "a.xyz: pictures of this kind are not written"),
    ],
)
def test_pictures_that_cannot_be_written_are_refused(tmp_path, name, bits, message):
    with pytest.raises(ValueError, match=message):
        write_image(tmp_path / name, torch.zeros(2, 2, 3), bits)
    assert not list(tmp_path.iterdir())


# --- atomic writes


def test_an_error_leaves_the_old_file_and_nothing_new(tmp_path):
    (tmp_path / "a.png").write_text("old")

    def interrupted():
        with whole_file(tmp_path / "a.png") as part:
            part.write_text("half of the n")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert [one.name for one in tmp_path.iterdir()] == ["a.png"]
    assert (tmp_path / "a.png").read_text(encoding="utf-8") == "old"


def test_writing_replaces_the_old_file_with_usual_permissions(tmp_path):
    (tmp_path / "plain.txt").write_text("by hand")
    with whole_file(tmp_path / "a.txt") as part:
        part.write_text("new")
    assert (tmp_path / "a.txt").read_text(encoding="utf-8") == "new"
    assert (tmp_path / "a.txt").stat().st_mode == (tmp_path / "plain.txt").stat().st_mode


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"a\.png: folder .*none does not exist"):
        write_image(tmp_path / "none" / "a.png", torch.zeros(2, 2, 3))


# --- depth


@pytest.mark.parametrize("metric", [True, False])
@pytest.mark.parametrize("name", ["a.exr", "a.npz"])
def test_float_depth_comes_back_exactly(tmp_path, name, metric):
    depth = sky_depth(metric)
    write_depth(tmp_path / name, depth)
    found = read_depth(tmp_path / name)
    assert found.metric is metric
    assert torch.equal(found.depth, depth.depth)
    if metric:
        assert torch.equal(found.confidence, depth.confidence)
        assert torch.equal(found.intrinsics, depth.intrinsics)
    assert [one.name for one in tmp_path.iterdir()] == [name]


def test_png_metres_are_within_half_a_step_and_the_sky_stays(tmp_path):
    depth = sky_depth()
    write_depth(tmp_path / "a.png", depth)
    found = read_depth(tmp_path / "a.png")
    step = float(Image.open(tmp_path / "a.png").text["bokehdepth.scale"])
    finite = torch.isfinite(depth.depth)
    assert found.metric
    assert torch.equal(torch.isfinite(found.depth), finite)
    # Half a step, and one part in 2^23 for float32.
    assert (found.depth - depth.depth)[finite].abs().max() <= step / 2 * 1.001 + 21 * 2**-23
    torch.testing.assert_close(found.intrinsics, depth.intrinsics)


def test_png_without_metres_keeps_normalised_disparity(tmp_path):
    depth = sky_depth(metric=False)
    write_depth(tmp_path / "a.png", depth)
    found = read_depth(tmp_path / "a.png")
    assert not found.metric
    # Half a step of 16 bits, and float32 rounding of 1 / (1 / x).
    assert (found.disparity - depth.disparity).abs().max() <= 0.5 / 65535 + 1e-6
    nearest = np.asarray(Image.open(tmp_path / "a.png")).argmax()
    assert nearest == int(depth.depth.argmin())  # near is white


def test_an_all_sky_png_stays_sky(tmp_path):
    write_depth(tmp_path / "a.png", DepthMap(torch.full((1, 2, 2), math.inf)))
    assert torch.isinf(read_depth(tmp_path / "a.png").depth).all()


def test_a_png_keeps_the_near_to_a_percent_and_calls_the_very_far_infinite(tmp_path):
    depth = torch.full((1, 50, 60), 1.5)
    depth[0, :, 20:] = torch.linspace(2.0, 90.0, 40)
    depth[0, 0, 0] = 7000.0
    depth[0, 0, 1] = 0.001  # one stray pixel must not cost the others their range
    write_depth(tmp_path / "a.png", DepthMap(depth))
    found = read_depth(tmp_path / "a.png").depth
    assert found[0, 0, 0] == math.inf
    relative = ((found - depth) / depth).abs()
    relative[0, 0, :2] = 0
    assert relative.max() <= 0.01


def test_a_depth_picture_from_elsewhere_is_disparity_or_scaled_metres(tmp_path):
    Image.fromarray(np.array([[0, 255]], np.uint8)).save(tmp_path / "near_is_white.png")
    near_is_white = read_depth(tmp_path / "near_is_white.png")
    assert not near_is_white.metric
    assert near_is_white.disparity.tolist() == [[[0.0, 1.0]]]
    Image.fromarray(np.array([[0, 1500]], np.uint16)).save(tmp_path / "mm.png")
    millimetres = read_depth(tmp_path / "mm.png", scale=0.001)
    assert millimetres.metric
    assert millimetres.depth.tolist() == [[[math.inf, 1.5]]]
    steps = read_depth(tmp_path / "near_is_white.png", scale=0.01)  # 8 bits may be steps as well
    torch.testing.assert_close(steps.depth, torch.tensor([[[math.inf, 2.55]]]))


def test_a_scale_in_the_file_wins(tmp_path):
    info = PngInfo()
    info.add_text("bokehdepth.quantity", "depth")
    info.add_text("bokehdepth.scale", "0.5")
    Image.fromarray(np.array([[4]], np.uint16)).save(tmp_path / "a.png", pnginfo=info)
    assert read_depth(tmp_path / "a.png", scale=7.0).depth.tolist() == [[[2.0]]]


def test_the_point_cloud_holds_every_surface_point_with_its_colour(tmp_path):
    plyfile = pytest.importorskip("plyfile")  # a reader by other hands
    depth = sky_depth()
    image = torch.rand(5, 7, 3)
    write_depth(tmp_path / "a.ply", depth, image)
    vertices = plyfile.PlyData.read(tmp_path / "a.ply")["vertex"]
    seen = torch.isfinite(depth.depth[0])
    points = unproject(depth.depth, depth.intrinsics)[0][seen]
    found = np.stack([vertices["x"], vertices["y"], vertices["z"]], axis=-1)
    np.testing.assert_array_equal(found, points.numpy())
    colours = np.stack([vertices["red"], vertices["green"], vertices["blue"]], axis=-1)
    np.testing.assert_array_equal(colours, (image[seen] * 255).round().numpy())


@pytest.mark.parametrize(
    ("depth", "message"),
    [
        (DepthMap(torch.ones(1, 2, 2)), "intrinsics: a point cloud needs the focal length"),
        (sky_depth(metric=False), "depth: a point cloud needs metres"),
        (DepthMap(torch.ones(2, 2, 2)), "depth: expected one map, found 2"),
    ],
)
def test_a_point_cloud_that_would_be_guessed_is_refused(tmp_path, depth, message):
    with pytest.raises(ValueError, match=message):
        write_depth(tmp_path / "a.ply", depth)
    assert not list(tmp_path.iterdir())


def test_colours_of_another_size_are_refused(tmp_path):
    with pytest.raises(ValueError, match="image: 4x4 for a depth map of 5x7"):
        write_depth(tmp_path / "a.ply", sky_depth(), torch.zeros(4, 4, 3))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.exr", b"no exr", r"a\.exr: damaged EXR file"),
        ("a.npz", b"PK no archive", r"a\.npz: damaged NumPy file"),
        ("a.npy", b"\x93NUMPY", r"a\.npy: damaged NumPy file"),
        ("a.ply", b"ply", r"a\.ply: a point cloud has no pixels"),
    ],
)
def test_damaged_depth_files_are_refused(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_depth(tmp_path / name)


def test_a_cut_off_depth_file_is_refused(tmp_path):
    for name in ("a.exr", "a.npz", "a.png"):
        write_depth(tmp_path / name, DepthMap(torch.rand(1, 60, 70) + 1))
        whole = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(whole[: len(whole) * 9 // 10])
        with pytest.raises(ValueError, match=rf"{name}: damaged"):
            read_depth(tmp_path / name)


def test_values_that_are_no_depth_are_refused_with_the_file_name(tmp_path):
    np.savez(tmp_path / "a.npz", depth=np.array([[0.0, np.nan]]))
    with pytest.raises(ValueError, match=r"a\.npz: holds no depth: every pixel is 0, negative or"):
        read_depth(tmp_path / "a.npz")
    np.savez(tmp_path / "b.npz", left=np.ones((2, 2)), right=np.ones((2, 2)))
    with pytest.raises(ValueError, match=r"b\.npz: no array named depth; found left, right"):
        read_depth(tmp_path / "b.npz")
    np.save(tmp_path / "c.npy", np.ones((2, 2, 3)))
    with pytest.raises(ValueError, match=r"c\.npy: expected depth \[H,W\], found \[2, 2, 3\]"):
        read_depth(tmp_path / "c.npy")


def test_a_pickle_in_a_numpy_file_is_not_run(tmp_path):
    np.save(tmp_path / "a.npy", np.array([[object()]]), allow_pickle=True)
    with pytest.raises(ValueError, match=r"a\.npy: damaged NumPy file"):
        read_depth(tmp_path / "a.npy")


def test_an_unknown_depth_suffix_is_refused(tmp_path):
    with pytest.raises(
        ValueError,
        match=r"a\.tif: unknown kind of depth file\. Use \.exr, \.png, \.npz, \.ply, \.jpg",
    ):
        write_depth(tmp_path / "a.tif", sky_depth())
