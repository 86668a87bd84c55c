"""The controls of a compositor's lens in a real ComfyUI, over HTTP: each gives what the core gives.

COMFYUI_PATH names a ComfyUI checkout, COMFYUI_PYTHON the Python that runs it.
"""

import json
import os
import uuid

import pytest

if not os.environ.get("COMFYUI_PATH"):
    pytest.skip("COMFYUI_PATH does not name a ComfyUI checkout", allow_module_level=True)

import numpy as np
import torch
from comfyui_server import PROBE_NODES, ComfyServer
from server_graphs import node

from bokehdepth_core import (
    DepthMap,
    FocusControls,
    defocus,
    find_subject,
    focus_depth_at,
    lens_look,
    render_bokeh,
    render_lens_look,
    write_depth,
)
from bokehdepth_core.optics.camera import intrinsics_from_focal_length

pytestmark = [pytest.mark.comfyui, pytest.mark.slow]
HEIGHT, WIDTH, STRENGTH, FOCAL_LENGTH = 64, 96, 9.0, 110.0
POINT = (0.8, 0.6)  # on the floor, behind the post
SAME = 2e-6  # of values up to 1: float32, and what another number of threads adds up
SEEN = 0.01  # a control that does nothing would change less


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = ComfyServer(tmp_path_factory.mktemp("comfyui"), PROBE_NODES)
    yield server
    server.stop()


def scene():
    """Return a noisy photo [1,H,W,3] with lamps, and metric depth: a floor, and a near post."""
    random = np.random.default_rng(4)
    photo = 0.35 + 0.1 * random.standard_normal((HEIGHT, WIDTH, 3))
    photo[::16, ::16] = 1.0
    depth = np.broadcast_to(np.linspace(6.0, 1.5, HEIGHT)[:, None], (HEIGHT, WIDTH)).copy()
    depth[10:60, 14:34] = 1.2
    photo = torch.from_numpy(photo.clip(0, 1).astype(np.float32))[None]
    depth = torch.from_numpy(depth.astype(np.float32))[None]
    return photo, depth, intrinsics_from_focal_length(FOCAL_LENGTH, WIDTH, HEIGHT, 1)


def graph_of(server, **inputs):
    """Return a graph that renders the scene, and the names of the files that hold its outputs."""
    photo, depth, camera = scene()
    name, folder = uuid.uuid4().hex, server.folder / "input"
    np.save(folder / f"{name}.npy", photo.numpy())
    write_depth(folder / f"{name}.npz", DepthMap(depth, None, camera))
    values = {"focus_x": POINT[0], "focus_y": POINT[1], "focus_distance": 0.0} | inputs
    graph = {
        "photo": node("TensorFromFile", file=f"{name}.npy"),
        "depth": node(
            "LoadMetricDepth",
            **{"file": f"{name}.npz", "values": "automatic", "scale": 1.0},
            **{"holes": "fill", "channel": ""},
        ),
        "render": node(
            "RenderBokeh",
            **{"image": ["photo", 0], "depth": ["depth", 0], "strength": STRENGTH} | values,
        ),
    }
    files = [f"{name}-{index}.npy" for index in range(5)]
    for index, file in enumerate(files):
        graph[f"to{index}"] = node("TensorToFile", value=["render", index], file=file)
    return graph, files


def rendered(server, **inputs):
    """Return the picture, the share of blur, signed radii, the view of the focus, and alpha."""
    graph, files = graph_of(server, **inputs)
    done = server.run(graph)
    assert done.error == ""
    return [torch.from_numpy(np.load(server.folder / "output" / file)) for file in files]


def by_the_core(strength=STRENGTH, focus=None, **options):
    photo, depth, camera = scene()
    focus = focus_depth_at(depth, *POINT) if focus is None else focus
    turned = {"intrinsics": camera, "focus_point": POINT}
    return render_bokeh(photo, depth, strength, focus, **turned, **options)


CONTROLS = {
    "focus_range": ({"focus_range": 2.5}, {"controls": FocusControls(focus_range=2.5)}),
    "front_strength": ({"front_strength": 3.0}, {"controls": FocusControls(front_strength=3.0)}),
    "back_strength": ({"back_strength": 0.2}, {"controls": FocusControls(back_strength=0.2)}),
    "max_radius": ({"max_radius": 3.0}, {"controls": FocusControls(max_radius=3.0)}),
    "tilt": ({"tilt": 40.0}, {"controls": FocusControls(tilt=40.0)}),
    "swing": ({"swing": -35.0}, {"controls": FocusControls(swing=-35.0)}),
    "grain": ({"grain": 0.8}, {"grain": 0.8}),
    "highlight_threshold": (
        {"highlight_boost": 6.0, "highlight_threshold": 0.98},
        {"highlight_boost": 6.0, "highlight_threshold": 0.98},
    ),
    "strength_unit": (
        {"strength": 12.0, "strength_unit": "% of width"},
        {"strength": 12.0 * WIDTH / 100},
    ),
}


@pytest.mark.parametrize("name", CONTROLS)
def test_a_control_renders_what_the_core_renders(server, name):
    inputs, options = CONTROLS[name]
    picture = rendered(server, **inputs)[0]
    wanted = by_the_core(**options)
    assert float((picture - wanted).abs().max()) < SAME
    assert float((picture - by_the_core()).abs().max()) > SEEN


def test_controls_at_their_defaults_change_no_bit(server):
    plain = rendered(server)[0]
    given = {"strength_unit": "px·m", "focus_mode": "point", "focus_range": 0.0}
    given |= {"front_strength": 1.0, "back_strength": 1.0, "max_radius": 0.0, "grain": 0.0}
    given |= {"highlight_threshold": 0.75, "tilt": 0.0, "swing": 0.0}
    assert torch.equal(rendered(server, **given)[0], plain)


def test_automatic_focus_is_on_the_subject(server):
    photo, depth, _ = scene()
    subject = find_subject(photo, depth)
    picture, _, signed, _, _ = rendered(server, focus_mode="automatic", focus_x=0.9, focus_y=0.05)
    assert abs(float(subject.focus_depth) - 1.2) < 0.01  # the post
    assert float((picture - by_the_core(focus=subject.focus_depth)).abs().max()) < SAME
    assert float(signed[0, 10:60, 14:34].abs().max()) < 0.05


def test_the_radius_is_signed_and_the_view_tints_front_and_back_apart(server):
    _, depth, _ = scene()
    found = rendered(server, focus_distance=2.5, focus_range=0.0)
    wanted = defocus(depth, STRENGTH, torch.tensor([2.5]))
    assert float((found[2] - wanted).abs().max()) < 1e-4
    view = found[3][0]
    front, back = view[30, 24], view[2, 80]
    assert found[2][0, 30, 24] > 1
    assert found[2][0, 2, 80] < -1
    assert float((front - front.mean() - back + back.mean()).abs().max()) > 0.05


@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        ({"focus_range": -1.0}, "focus_range"),
        ({"front_strength": -0.5}, "front_strength"),
        ({"back_strength": 99.0}, "back_strength"),
        ({"max_radius": -3.0}, "max_radius"),
        ({"tilt": 90.0}, "tilt"),
        ({"swing": -90.0}, "swing"),
        ({"grain": 1.5}, "grain"),
        ({"highlight_threshold": 1.0}, "highlight_threshold"),
        ({"strength_unit": "mm"}, "strength_unit"),
        ({"focus_mode": "face"}, "focus_mode"),
        ({"steady": 2.0}, "steady"),
    ],
)
def test_a_bad_value_is_refused_by_the_name_of_its_input(server, inputs, said):
    graph, _ = graph_of(server, **inputs)
    try:
        run = server.run(graph)
    except ValueError as marked:
        (error,) = json.loads(str(marked))["node_errors"]["render"]["errors"]
        assert error["extra_info"]["input_name"] == said
    else:  # a choice that ComfyUI 0.3.64 does not check
        assert run.status == "error"
        assert run.error.startswith(f"{said}: ")


LENSES = {
    "swirl": {"preset": "vintage swirl", "swirl": 0.5},
    "obstruction": {"preset": "mirror donut", "obstruction": 0.7},
    "fringe": {"preset": "plain disc", "fringe": 4.0},
}
OFF = {"f_number": 0.0, "focal_length_mm": 0.0, "focal_length_35mm": 0.0}


def through_the_lens(server, look, **more):
    graph, files = graph_of(server)
    graph["lens"] = node("BokehLens", **OFF | look)
    graph["render"]["inputs"]["lens"] = ["lens", 0]
    done = server.run(graph | more)
    assert done.error == ""
    return torch.from_numpy(np.load(server.folder / "output" / files[0]))


@pytest.mark.parametrize("name", LENSES)
def test_a_lens_look_renders_what_the_core_renders(server, name):
    look = LENSES[name]
    photo, depth, _ = scene()
    focus = focus_depth_at(depth, *POINT)
    wanted = render_lens_look(lens_look(**look), photo, depth, STRENGTH, focus)
    picture = through_the_lens(server, look)
    assert float((picture - wanted).abs().max()) < SAME
    preset = through_the_lens(server, {"preset": look["preset"]})
    assert float((picture - preset).abs().max()) > SEEN


def test_an_own_aperture_picture_renders_what_the_core_renders(server):
    shape = np.zeros((1, 33, 33, 3), np.float32)
    shape[:, 4:29, 12:21], shape[:, 12:21, 4:29, 0] = 1, 1  # a red bar across a white one
    name = f"{uuid.uuid4().hex}.npy"
    np.save(server.folder / "input" / name, shape)
    drawn = node("TensorFromFile", file=name)
    look = {"preset": "plain disc", "aperture_image": ["drawn", 0]}
    picture = through_the_lens(server, look, drawn=drawn)
    photo, depth, _ = scene()
    lens = lens_look("plain disc", aperture_image=torch.from_numpy(shape))
    wanted = render_lens_look(lens, photo, depth, STRENGTH, focus_depth_at(depth, *POINT))
    assert float((picture - wanted).abs().max()) < SAME
    assert float((picture - by_the_core()).abs().max()) > SEEN


def test_a_steady_clip_of_one_photo_stands_still(server):
    _, depth, _ = scene()
    random = np.random.default_rng(9)
    frames = depth.numpy().repeat(4, 0) * (1 + 0.02 * random.standard_normal((4, HEIGHT, WIDTH)))
    name = uuid.uuid4().hex
    np.save(server.folder / "input" / f"{name}.npy", frames[..., None].repeat(3, -1))

    def flicker(steady):
        graph, files = graph_of(server, steady=steady)
        graph["depth"] = node("TensorFromFile", file=f"{name}.npy")
        done = server.run(graph)
        assert done.error == ""
        clip = np.load(server.folder / "output" / files[0])
        assert clip.shape == (4, HEIGHT, WIDTH, 3)
        return float((clip.max(0) - clip.min(0)).max())

    assert flicker(1.0) < 8 / 255
    assert flicker(0.0) > 20 / 255
