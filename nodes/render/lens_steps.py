"""The steps of Render Bokeh before it renders: its inputs, the scene, the focus, the blur."""

from dataclasses import dataclass

from torch import Tensor

from ... import bokehdepth_core as core
from ...bokehdepth_core.checks import check_number
from ...bokehdepth_core.color import convert_color
from ...bokehdepth_core.render.panorama import check_panorama
from ..host import pictures, services
from .compositing import fitted_masks, known_background
from .focus_pull import checked_track, keyed_focus, keyed_strengths, signed_radii
from .lens_look import checked_lens, lens_strengths
from .portrait import depth_or_guess, focus_on_people
from .render_controls import decided_by, focus_depths, is_automatic, turning_of

FOCUS_REMEDY = ("focus", "in Focus Pull")


@dataclass(frozen=True, eq=False)
class Inputs:
    """What the inputs of Render Bokeh received, by their ids, with the defaults of its schema."""

    image: Tensor
    strength: float
    focus_x: float
    focus_y: float
    focus_distance: float
    depth: object = None
    focus_mask: Tensor | None = None
    aperture_blades: int = 0
    aperture_rotation: float = 0.0
    anamorphic: float = 1.0
    highlight_boost: float = 0.0
    quality: str = "default"
    refine_depth: bool = True
    blade_curvature: float = 0.0
    spherical_aberration: float = 0.0
    cat_eye: float = 0.0
    background: Tensor | None = None
    background_depth: object = None
    color_space: str = "sRGB"
    alpha: Tensor | None = None
    hold_out: Tensor | None = None
    strength_unit: str = "px·m"
    focus_mode: str = "point"
    focus_range: float = 0.0
    front_strength: float = 1.0
    back_strength: float = 1.0
    max_radius: float = 0.0
    highlight_threshold: float = 0.75
    tilt: float = 0.0
    swing: float = 0.0
    grain: float = 0.0
    lens: object = None
    focus: object = None
    wrap: bool = False
    steady: float = 0.0

    def aperture(self) -> core.Aperture:
        """Return the aperture that the inputs describe."""
        return core.Aperture(
            self.aperture_blades,
            self.aperture_rotation,
            self.anamorphic,
            self.blade_curvature,
            self.spherical_aberration,
            self.cat_eye,
        )

    def controls(self) -> core.FocusControls:
        """Return how the inputs bend the blur of the lens."""
        return core.FocusControls(
            self.focus_range,
            self.front_strength,
            self.back_strength,
            self.max_radius,
            self.tilt,
            self.swing,
        )

    def finish(self) -> dict:
        """Return the arguments of the renderer that go to it as they came."""
        names = ("highlight_boost", "highlight_threshold", "grain", "quality", "refine_depth")
        as_came = {name: getattr(self, name) for name in (*names, "color_space", "wrap")}
        return as_came | {"premultiplied": self.color_space != "sRGB"}


@dataclass(frozen=True, eq=False)
class Scene:
    """The pictures and what belongs to them, at their size.

    Attributes:
        image: [B,H,W,3], as it came.
        seen: [B,H,W,3], the same in sRGB.
        depth_map: as it came; one map may stand for all pictures.
        depth: [B,H,W], that of each picture, steady where that is asked for.
        layers: what lies behind and over the pictures, as `render_bokeh` takes it.
        focus_mask: [B or 1,H,W], 0…1, of what is to be sharp; None for none.
        track: the focus of every frame; None for none.
        people: [B,H,W], 0…1, that depth was guessed from; None where it was given.
        report: for the user, on the depth.
        different: number of pictures that are not the same photo with the same depth.
    """

    image: Tensor
    seen: Tensor
    depth_map: core.DepthMap
    depth: Tensor
    layers: dict[str, Tensor]
    focus_mask: Tensor | None
    track: core.FocusTrack | None
    people: Tensor | None
    report: str
    different: int

    @property
    def size(self) -> tuple[int, int]:
        """Height and width, px."""
        return self.image.shape[1], self.image.shape[2]


def set_scene(asked: Inputs) -> Scene:
    """Return the pictures and what belongs to them, one of each for every picture.

    Raises:
        TypeError: something unusable on a socket.
        ValueError: the same, or numbers of pictures that do not go together.
    """
    image = pictures.as_rgb(asked.image)
    size = tuple(image.shape[1:3])
    wraps = asked.wrap
    found = depth_or_guess(asked.depth, image, asked.color_space, asked.refine_depth, wraps)
    mask = asked.focus_mask
    if mask is not None:
        mask = pictures.fit_mask(mask, size, "focus_mask")
    behind = (asked.background, asked.background_depth)
    layers = known_background(*behind, image, found.depth, wraps)
    layers |= fitted_masks(size, alpha=asked.alpha, hold_out=asked.hold_out)
    track = checked_track(asked.focus, found.depth)
    parts = {"image": image, "depth": found.depth.depth, "focus_mask": mask}
    parts |= {**layers, "focus": track}
    sizes = {name: len(part) for name, part in parts.items() if part is not None}
    count = pictures.common_batch(**sizes)
    asking = ("image", "at once") if track is None else FOCUS_REMEDY
    services.check_results_fit(*asking, count, size)
    different = max(len(image), len(found.depth.depth))
    image = image.expand(count, -1, -1, -1)
    seen, depth = convert_color(image, asked.color_space, "sRGB"), found.depth.depth
    steady = check_number(asked.steady, "steady", 0.0, 1.0)
    if steady and len(depth) > 1:  # one depth for all frames does not flicker
        depth = core.steady_depth(seen, depth, steady, services.check_cancelled)
    return Scene(
        image=image,
        seen=seen,
        depth_map=found.depth,
        depth=depth.expand(count, -1, -1),
        layers=layers,
        focus_mask=mask,
        track=track,
        people=found.people,
        report=found.report,
        different=different,
    )


@dataclass(frozen=True, eq=False)
class Focus:
    """Where each picture is sharp.

    Attributes:
        planes: [B], depth of the focus planes.
        points: [B or 1,2], focus points, (x, y) in shares of the picture.
        by: what decided: "point", "automatic", "mask", "distance" or "track".
    """

    planes: Tensor
    points: Tensor
    by: str


def choose_focus(asked: Inputs, scene: Scene) -> Focus:
    """Return where each picture is sharp: a track goes first, then distance, mask, point.

    Raises:
        ValueError: an unknown mode, an empty mask, or metres where depth has none.
    """
    point = (asked.focus_x, asked.focus_y)
    wanted = None if is_automatic(asked.focus_mode) else point
    by = decided_by(asked.focus_mode, asked.focus_distance, scene.focus_mask)
    if scene.track is not None and scene.track.focus_depth is not None:
        return Focus(*keyed_focus(scene.track, scene.depth.device, point), "track")
    if scene.people is not None and by == "automatic":
        return Focus(*focus_on_people(scene.people, scene.depth), by)
    found = focus_depths(
        scene.depth_map, scene.depth, scene.seen, wanted, asked.focus_distance, scene.focus_mask
    )
    return Focus(*found, by)


@dataclass(frozen=True, eq=False)
class Blur:
    """How strongly each picture is blurred, and where.

    Attributes:
        lens: to render with.
        strengths: of each picture, px·m.
        by: what decided the strengths: "strength", "lens" or "track".
        controls: what bends the blur of the lens.
        turning: what turning the plane of focus needs; {} where it is not turned.
        signed: [B,H,W], radii in px, in front of the focus above 0.
    """

    lens: core.Lens
    strengths: list[float]
    by: str
    controls: core.FocusControls
    turning: dict[str, Tensor]
    signed: Tensor

    @property
    def reach(self) -> float:
        """Largest distance that light is spread over, px."""
        return float(self.signed.abs().max()) * self.lens.aperture.support_radius


def measure_blur(asked: Inputs, scene: Scene, focus: Focus) -> Blur:
    """Return how strongly each picture is blurred.

    Raises:
        TypeError: no lens on its socket.
        ValueError: numbers out of range, or a lens or a turned plane that needs metres.
    """
    lens = checked_lens(asked.lens, asked.aperture(), scene.depth_map)
    strengths, by = _strengths(asked, scene, focus, lens)
    controls = asked.controls()
    if asked.wrap:
        check_panorama(lens.aperture, controls)
    turning = turning_of(controls, scene.depth_map, focus.points, len(scene.image))
    signed = signed_radii(scene.depth, strengths, focus.planes, controls, turning)
    return Blur(lens, strengths, by, controls, turning, signed)


def _strengths(asked: Inputs, scene: Scene, focus: Focus, lens) -> tuple[list[float], str]:
    """Return K of each picture, px·m, and what decided it: a track goes first, then a lens."""
    track, count = scene.track, len(scene.image)
    own = keyed_strengths(track, asked.strength, asked.strength_unit, scene.size[1], count)
    if track is not None and track.strengths is not None:
        return own, "track"
    if lens.has_strength:
        return lens_strengths(lens, focus.planes, scene.size), "lens"
    return own, "strength"
