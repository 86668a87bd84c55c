"""Laws that hold for any input, tried with random ones: mirrored, scaled, batched, in any order.

Few examples, the same at every run; `--deep` takes many.
"""

import math

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import bokehdepth_core as core
from bokehdepth_core.optics.aperture import Aperture
from bokehdepth_core.render import picture
from bokehdepth_core.render.scene import inpaint, layers, matting, symmetry

FEW = settings(deadline=None, suppress_health_check=list(HealthCheck))  # how many: conftest.py
ANY = st.floats(allow_nan=True, allow_infinity=True) | st.sampled_from(
    [0.0, 1e-20, 1e-45, 1e39, 1e300, -1.0, 5e-324, math.nan, math.inf]
)
SIDES = st.integers(1, 24) | st.sampled_from([1, 2, 3, 31, 40])
DTYPES = st.sampled_from([torch.float32, torch.float64, torch.float16, torch.bfloat16])


@st.composite
def scenes(draw, most=3):
    """A batch of pictures and a depth map: a card before a wall, or noise."""
    batch, height, width = draw(st.integers(1, most)), draw(SIDES), draw(SIDES)
    random = torch.Generator().manual_seed(draw(st.integers(0, 2**16)))
    image = torch.rand(batch, height, width, 3, generator=random)
    depth = torch.full((batch, height, width), 3.0)
    depth[:, height // 3 : 2 * height // 3 + 1, width // 3 : 2 * width // 3 + 1] = 1.0
    if draw(st.booleans()):
        depth = 0.5 + 4 * torch.rand(batch, height, width, generator=random)
    if draw(st.booleans()):
        depth[:, :1] = math.inf
    return image, depth


def rendered(image, depth, strength=4.0, focus=1.5, **options):
    return core.render_bokeh(image, depth, strength, focus, **options)


@given(scenes(), st.sampled_from(["default", "draft"]))
@FEW
def test_pictures_of_a_batch_are_rendered_as_alone(scene, quality):
    image, depth = scene
    together = rendered(image, depth, quality=quality)
    for at in range(len(image)):
        alone = rendered(image[at : at + 1], depth[at : at + 1], quality=quality)
        torch.testing.assert_close(together[at : at + 1], alone, rtol=1e-5, atol=1e-5)


@given(scenes(1))
@FEW
def test_a_picture_upside_down_or_mirrored_is_rendered_so(scene):
    image, depth = scene
    upright = rendered(image, depth, refine_depth=False)
    for axis in (1, 2):
        other = rendered(image.flip(axis), depth.flip(axis), refine_depth=False).flip(axis)
        # What is decided is the same to the last bit, transforms are not: 2⁻²⁴ times a few stages
        # of them in light, and up to 12.92 times that in sRGB.
        assert float((other - upright).abs().mean()) < 12.92 * 8 * 2**-24


@given(scenes(1))
@FEW
def test_a_turned_picture_is_rendered_so(scene):
    image, depth = scene
    upright = rendered(image, depth, refine_depth=False)
    turned = image.transpose(1, 2).contiguous(), depth.transpose(1, 2).contiguous()
    # Inpainted colour is a mean along columns and then along rows, within one surface: the order
    # counts where surfaces end. So a turned picture is alike, and the same in the other order.
    other = rendered(*turned, refine_depth=False).transpose(1, 2)
    assert float((other - upright).abs().mean()) < 0.02
    spread = inpaint._spread
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(inpaint, "_spread", lambda planes, at, dy, dx: spread(planes, at, dx, dy))
        other = rendered(*turned, refine_depth=False).transpose(1, 2)
    assert float((other - upright).abs().mean()) < 12.92 * 8 * 2**-24


@given(scenes(1), st.sampled_from([1 / 2, 1 / 4, 1 / 16]))  # floats scale by these exactly
@FEW
def test_light_that_is_scaled_stays_scaled_but_for_white_and_what_can_be_told_apart(scene, factor):
    image, depth = scene
    options = {"color_space": "linear Rec.709", "refine_depth": False}
    with pytest.MonkeyPatch.context() as patch:
        # What an eye takes for a speck is a step of sRGB, and no share of the light.
        patch.setattr(picture, "without_specks", lambda light, *_: light)
        once = rendered(image, depth, **options)
        # Given in light: the most that a pixel may hold once what is mixed into it is taken out,
        # the least by which two colours can be told, and the levels that decide between equals.
        patch.setattr(matting, "WHITE", matting.WHITE * factor)
        patch.setattr(matting, "SMALLEST_CONTRAST", matting.SMALLEST_CONTRAST * factor**2)
        patch.setattr(layers, "Order", lambda light: symmetry.Order(light / factor))
        dimmed = rendered(image * factor, depth, **options).clamp(max=factor)  # of white as well
    torch.testing.assert_close(dimmed, once * factor, rtol=0, atol=0)


@given(scenes(1))
@FEW
def test_no_strength_changes_nothing_and_light_stays_within_black_and_white(scene):
    image, depth = scene
    torch.testing.assert_close(rendered(image, depth, 0.0), image, rtol=0, atol=1e-5)
    found = rendered(image, depth)
    assert torch.isfinite(found).all()
    assert float(found.min()) >= 0
    assert float(found.max()) <= 1


@given(st.floats(0.1, 1e3), st.floats(0.1, 100), st.floats(1e-3, 1e3))
@FEW
def test_strength_and_disparity_are_exchanged_freely(strength, focus, factor):
    depth = torch.linspace(0.2, 50, 60, dtype=torch.float64).reshape(1, 6, 10)
    one = core.coc_radius(depth, strength, focus)
    other = core.coc_radius(depth * factor, strength * factor, focus * factor)
    # Where both terms nearly cancel, what is left holds their rounding: 1/z is of float32 inside,
    # and each of the two results rounds depth and its inverse once.
    rounding = 4 * 2**-24 * strength * (1 / depth + 1 / focus)
    assert bool(((other - one).abs() <= rounding).all())


@given(st.floats(0.7, 64), st.floats(5, 600), st.floats(5, 600), st.floats(1.0, 1e5))
@FEW
def test_f_numbers_come_back_from_their_strength(f_number, focal, focal_35, distance):
    size = {"width": 640, "height": 480}
    lens = (focal, focal_35, distance)
    strength = core.bokeh_strength_from_lens(f_number, *lens, **size)
    found = core.f_number_from_bokeh_strength(strength, *lens, **size)
    assert found == pytest.approx(f_number, rel=1e-9)


@given(st.lists(ANY, min_size=6, max_size=6), st.integers(-2, 30), st.sampled_from([1, 7]))
@FEW
def test_any_numbers_render_finite_pictures_or_are_refused_in_one_line(numbers, blades, side):
    image, depth = torch.rand(1, side, 9, 3), torch.full((1, side, 9), 2.0)
    strength, focus, rotation, squeeze, boost, threshold = numbers
    try:
        aperture = Aperture(blades, rotation, squeeze)
        found = core.render_bokeh(
            image,
            depth,
            strength,
            focus,
            aperture=aperture,
            highlight_boost=boost,
            highlight_threshold=threshold,
        )
    except (ValueError, TypeError) as error:
        assert len(str(error).splitlines()) == 1
        assert ":" in str(error)
    else:
        assert torch.isfinite(found).all()


@given(st.lists(ANY, min_size=4, max_size=4))
@FEW
def test_any_lens_has_a_finite_strength_or_is_refused_in_one_line(numbers):
    try:
        found = core.bokeh_strength_from_lens(*numbers, width=64, height=48)
    except (ValueError, TypeError) as error:
        assert len(str(error).splitlines()) == 1
    else:
        assert math.isfinite(found)
        assert found > 0


@given(scenes(1), DTYPES, st.booleans())
@FEW
def test_every_number_type_and_stride_is_rendered(scene, dtype, strided):
    image, depth = scene
    image = image.to(dtype)
    if strided:
        image = image.repeat_interleave(2, 2)[:, :, ::2]
    found = rendered(image, depth)
    assert found.shape == image.shape
    assert torch.isfinite(found).all()
    torch.testing.assert_close(found.float(), rendered(image.float(), depth), rtol=0, atol=0.02)


@pytest.mark.parametrize("size", [(1, 4097), (4097, 1), (1, 1), (2, 700)])
def test_the_longest_and_smallest_pictures_are_rendered(size):
    image, depth = torch.rand(1, *size, 3), torch.full((1, *size), 2.0)
    assert torch.isfinite(rendered(image, depth)).all()


@given(st.permutations([0, 1, 2]))
@FEW
def test_frames_in_any_order_give_one_depth(order):
    random = torch.Generator().manual_seed(5)
    photo = torch.rand(24, 32, 3, generator=random)
    depth = torch.full((1, 24, 32), 2.0)
    depth[:, 8:16, 8:24] = 1.0
    strengths = (2.0, 4.0, 6.0)
    frames = torch.cat([rendered(photo[None], depth, one, 1.0) for one in strengths])
    wanted = core.sweep_depth(core.BokehStack(photo, frames, strengths), align=False)
    found = core.sweep_depth(
        core.BokehStack(photo, frames[list(order)], tuple(strengths[at] for at in order)),
        align=False,
    )
    torch.testing.assert_close(found.depth, wanted.depth, rtol=1e-4, atol=1e-4)


@given(st.text(max_size=30) | st.lists(ANY, max_size=5).map(str))
@FEW
def test_any_text_is_strengths_or_is_refused_in_one_line(text):
    try:
        found = core.parse_strengths(text)
    except ValueError as error:
        assert len(str(error).splitlines()) == 1
    else:
        assert all(math.isfinite(one) and one > 0 for one in found)
