"""Focus pulls: the focus of a clip, frame by frame, and how Render Bokeh takes it."""

import torch
from comfy_api.latest import io, ui
from torch import Tensor

from ... import bokehdepth_core as core
from ...bokehdepth_core.optics.focus import controlled_defocus
from ...bokehdepth_core.optics.focus.keyframes import LAST_FRAME, parse_keyframes
from ...bokehdepth_core.optics.focus.plot import plot_focus_track
from ...bokehdepth_core.optics.focus.track import SMOOTHING
from .. import sockets
from ..host import pictures, services
from ..host.doubts import guessed_unit
from ..host.early import said
from .focus_preview import pull_ui

Track = io.Custom("FOCUS_TRACK")  # a core.FocusTrack


class FocusPull(io.ComfyNode):
    """FocusPull: keyframes, or masks of a subject, as the focus of every frame of a clip."""

    @classmethod
    def define_schema(cls):
        return services.fit(
            io.Schema,
            node_id="FocusPull",
            display_name="Focus Pull",
            category=services.CATEGORY,
            has_intermediate_output=True,  # ui, also when cached
            description="Move the focus over a clip: from keyframes, or following a subject. "
            "Render Bokeh makes a clip of it, even of one photo.",
            search_aliases=[
                *("focus pull", "rack focus", "focus animation", "keyframes", "follow focus"),
            ],
            inputs=[
                sockets.depth_input(
                    tooltip="Depth of the photo, or of every frame of the clip: what Render Bokeh "
                    "gets."
                ),
                io.String.Input(
                    "keyframes",
                    default="0: 0.5,0.5",
                    multiline=True,
                    tooltip="frame: focus, separated by ; or new lines. Focus is metres (1.2 m, 80 "
                    "cm, inf), a point as shares of width and height (0.3,0.5), or subject; "
                    "strength 40 keys the blur. ease, linear or hold at the end: 0: 1.2 m; 48: 4 m "
                    "ease.",
                ),
                io.Int.Input(
                    "frames",
                    default=0,
                    min=0,
                    max=LAST_FRAME + 1,
                    tooltip="Number of frames; 0 takes as many as depth or subject has, or goes up "
                    "to the last keyframe.",
                ),
                io.Mask.Input(
                    "subject",
                    optional=True,
                    tooltip="Mask of the subject, one for each frame (SAM 3, or any tracker). It "
                    "is kept in focus; or, once a keyframe says subject, while the keyframes say.",
                ),
                io.Float.Input(
                    "smoothing",
                    default=SMOOTHING,
                    min=0.0,
                    max=1000.0,
                    step=0.5,
                    round=False,
                    optional=True,
                    tooltip="Frames over which the focus on the subject is smoothed; 0 follows "
                    "every frame.",
                ),
            ],
            outputs=[
                Track.Output(display_name="focus", tooltip="For Render Bokeh."),
                io.Image.Output(
                    display_name="plot", tooltip="The focus over the frames, nearer is higher."
                ),
            ],
        )

    @classmethod
    def validate_inputs(cls, keyframes=None):
        return said(parse_keyframes, keyframes)

    @classmethod
    def execute(cls, depth, keyframes, frames, subject=None, smoothing=SMOOTHING):
        depth_map = sockets.as_depth(depth)
        if subject is not None:
            size = tuple(depth_map.depth.shape[1:])
            subject = pictures.fit_mask(subject, size, "subject")
        track = core.focus_track(
            depth_map.depth.float(),
            keyframes,
            frames,
            metric=depth_map.metric,
            subject=subject,
            smoothing=smoothing,
        )
        notes = [*filter(None, [guessed_unit(depth)]), *track.notes]
        if notes:
            services.show_text("\n".join(notes))
        plot = plot_focus_track(track)[None]
        shown = ui.PreviewImage(plot, cls=cls).as_dict() | pull_ui(depth_map, len(track))
        return io.NodeOutput(track, services.result(plot), ui=shown)


def focus_input():
    """Return the input of Render Bokeh that takes a focus pull."""
    return Track.Input(
        "focus",
        optional=True,
        tooltip="Focus Pull: the focus of every frame, in place of point, mask and distance; one "
        "photo becomes a clip. Strength only where it is keyed.",
    )


def checked_track(focus: object, depth_map) -> "core.FocusTrack | None":
    """Return what the focus input received; None where nothing is connected.

    Raises:
        TypeError: another type.
        ValueError: a track in metres with depth that has none, or the other way round.
    """
    if focus is None:
        return None
    if not isinstance(focus, core.FocusTrack):
        raise TypeError(
            f"focus: expected a FOCUS_TRACK, found {type(focus).__name__}. Connect Focus Pull."
        )
    if focus.metric != depth_map.metric:
        kinds = ["metres" if one.metric else "no metres" for one in (focus, depth_map)]
        raise ValueError(
            f"focus: has {kinds[0]}, and depth has {kinds[1]}. Connect the same depth to both."
        )
    return focus


def keyed_strengths(track, strength: float, unit: str, width: int, count: int) -> list[float]:
    """Return bokeh strength K of each picture, px·m: that of a track where it keys one."""
    keyed = [strength] * count if track is None or track.strengths is None else track.strengths
    return [core.strength_in_px(one, unit, width) for one in keyed]


def keyed_focus(track, device, point: tuple[float, float]) -> tuple[Tensor, Tensor]:
    """Return depth of the focus plane of each picture, and its point where the track has none."""
    points = torch.tensor([point]) if track.points is None else track.points
    return track.focus_depth.to(device), points


def signed_radii(depths: Tensor, strengths: list[float], planes, controls, turning) -> Tensor:
    """Return signed blur radii [B,H,W], px, picture by picture, so that memory does not grow."""
    signed = torch.empty_like(depths, dtype=torch.float32)
    for index, strength in enumerate(strengths):
        at = slice(index, index + 1)
        turned = {name: values[at] for name, values in turning.items()}
        own = depths[at].float()
        signed[at] = controlled_defocus(own, strength, planes[at], controls, **turned)
    return signed
