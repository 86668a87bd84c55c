"""Focus pulls and lens looks in a real ComfyUI, over HTTP.

COMFYUI_PATH names a ComfyUI checkout, COMFYUI_PYTHON the Python that runs it.
"""

import os
import time
import uuid

import pytest

if not os.environ.get("COMFYUI_PATH"):
    pytest.skip("COMFYUI_PATH does not name a ComfyUI checkout", allow_module_level=True)

import numpy as np
from comfyui_server import PROBE_NODES, ComfyServer

pytestmark = [pytest.mark.comfyui, pytest.mark.slow]
HEIGHT, WIDTH = 40, 64


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = ComfyServer(tmp_path_factory.mktemp("comfyui"), PROBE_NODES)
    yield server
    server.stop()


def node(kind, **inputs):
    return {"class_type": kind, "inputs": inputs}


def given(server, name, array):
    """Put an array where `TensorFromFile` finds it; return that node."""
    file = f"{name}-{uuid.uuid4().hex}.npy"  # ComfyUI keeps results by what inputs say
    np.save(server.folder / "input" / file, array.astype(np.float32))
    return node("TensorFromFile", file=file)


def scene(server, frames=1, height=HEIGHT, width=WIDTH):
    """Return photos and depth pictures: the left half near, the right half far."""
    random = np.random.default_rng(0)
    depth = np.full((frames, height, width, 3), 0.2)
    depth[:, :, : width // 2] = 0.9
    photo = random.random((frames, height, width, 3))
    return {"photo": given(server, "photo", photo), "depth": given(server, "depth", depth)}


def render(**more):
    plain = {"strength": 9.0, "focus_x": 0.2, "focus_y": 0.5, "focus_distance": 0.0}
    return node("RenderBokeh", image=["photo", 0], depth=["depth", 0], **(plain | more))


def pull(keyframes, frames=0, **more):
    return node("FocusPull", depth=["depth", 0], keyframes=keyframes, frames=frames, **more)


def run(server, graph, *names):
    """Run a graph; return the outputs that are wanted, and the run."""
    files, graph = {}, dict(graph)
    for index, (source, output) in enumerate(names):
        files[index] = f"{uuid.uuid4().hex}.npy"
        graph[f"to{index}"] = node("TensorToFile", value=[source, output], file=files[index])
    done = server.run(graph)
    assert done.error == ""
    return [np.load(server.folder / "output" / file) for file in files.values()], done


def test_one_photo_and_a_track_are_a_clip_whose_still_frames_are_the_plain_render(server):
    graph = scene(server) | {
        "pull": pull("0: 0.2,0.5; 2: 0.2,0.5; 4: 0.9,0.5 ease"),
        "clip": render(focus=["pull", 0]),
        "plain": render(),
    }
    outputs = [("clip", index) for index in range(5)] + [("plain", 0), ("pull", 1)]
    (clip, defocus, coc, view, alpha, plain, plot), done = run(server, graph, *outputs)
    assert clip.shape == (5, HEIGHT, WIDTH, 3)
    assert defocus.shape == coc.shape == alpha.shape == (5, HEIGHT, WIDTH)
    assert view.shape == clip.shape
    assert all(np.array_equal(clip[index], plain[0]) for index in (0, 1, 2))
    assert np.abs(clip[4] - plain[0]).max() > 0.05
    assert plot.shape == (1, 320, 640, 3)
    assert done.outputs["pull"]["images"]


def test_a_batch_and_a_track_go_together_and_strength_is_keyed(server):
    graph = scene(server, 3) | {
        "pull": pull("0: 0.2,0.5 strength 0; 2: strength 12"),
        "clip": render(focus=["pull", 0]),
    }
    (clip, coc, photo), _ = run(server, graph, ("clip", 0), ("clip", 2), ("photo", 0))
    assert np.array_equal(clip[0], photo[0])
    assert np.allclose(np.abs(coc).max((1, 2)), [0, 6 * 0.7, 12 * 0.7], atol=1e-5)


def test_a_subject_is_followed_and_lost_frames_take_their_neighbours(server):
    masks = np.zeros((3, HEIGHT, WIDTH))
    masks[0, :, : WIDTH // 4] = masks[2, :, -WIDTH // 4 :] = 1
    graph = scene(server) | {
        "masks": given(server, "masks", masks),
        "pull": pull("", subject=["masks", 1], smoothing=0.0),
        "clip": render(focus=["pull", 0]),
    }
    (coc,), _ = run(server, graph, ("clip", 2))
    far = coc[:, 5, -5]  # 9 px times the difference of disparity
    assert np.allclose(far, [-6.3, -3.15, 0], atol=1e-4)


@pytest.mark.parametrize(
    ("keyframes", "frames", "more", "message"),
    [
        ("0: near", 0, {}, 'keyframes: write such as "0: 1.2 m; 48: 4 m ease": cannot read "near"'),
        ("", 0, {}, "keyframes: none. Write such as"),
        ("0: 1 m", 0, {}, "keyframes: frame 0 names a distance, and this depth has no metres"),
        ("0: subject", 0, {}, "keyframes: they follow the subject, and none is connected"),
        ("0: 0.5,0.5", 2, {"subject": ["empty", 1]}, "subject: no pixel is chosen in any frame"),
        ("0: 0.5,0.5", 4, {"subject": ["empty", 1]}, "subject: 2 of them for a clip of 4 frames"),
    ],
)
def test_unusable_tracks_give_one_line(server, keyframes, frames, more, message):
    graph = scene(server) | {
        "empty": given(server, "empty", np.zeros((2, HEIGHT, WIDTH))),
        "pull": pull(keyframes, frames, **more),
        "clip": render(focus=["pull", 0]),
        "see": node("PreviewImage", images=["clip", 0]),
    }
    error = server.refusal(graph)
    assert message in error
    assert "\n" not in error


def test_a_track_of_another_length_is_refused(server):
    graph = scene(server, 3) | {
        "one": given(server, "one", np.full((1, HEIGHT, WIDTH, 3), 0.5)),
        "pull": node("FocusPull", depth=["one", 0], keyframes="0: 0.5,0.5", frames=5),
        "clip": render(focus=["pull", 0]),
        "see": node("PreviewImage", images=["clip", 0]),
    }
    message = "batch: sizes differ (image 3, depth 3, focus 5)"
    assert server.run(graph).error.startswith(message)


def test_a_clip_can_be_cancelled(server):
    graph = scene(server, height=256, width=384) | {
        "pull": pull("0: 0.2,0.5; 400: 0.9,0.5"),
        "clip": render(focus=["pull", 0]),
        "see": node("PreviewImage", images=["clip", 0]),
    }
    prompt_id = server.start(graph)
    time.sleep(3)
    assert server.get("/queue")["queue_running"], "the run ended before it could be cancelled"
    begin = time.monotonic()
    server.post("/interrupt", {})
    assert server.wait(prompt_id, 60).interrupted
    assert time.monotonic() - begin < 20


def lens_node(**more):
    return node(
        "BokehLens",
        **(
            {"preset": "plain disc", "f_number": 0.0}
            | {"focal_length_mm": 0.0, "focal_length_35mm": 0.0}
            | more
        ),
    )


def test_a_lens_look_renders_and_the_plain_one_changes_nothing(server):
    graph = scene(server) | {
        "plain": render(),
        "disc": lens_node(),
        "same": render(lens=["disc", 0]),
        "swirl": lens_node(preset="vintage swirl"),
        "other": render(lens=["swirl", 0]),
        "see": node("PreviewAny", source=["swirl", 1]),
    }
    (plain, same, other), done = run(server, graph, ("plain", 0), ("same", 0), ("other", 0))
    assert np.array_equal(plain, same)
    assert np.abs(plain - other).max() > 0.02
    assert "swirl: 0.7 radii" in done.outputs["see"]["text"][0]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"f_number": 1.8}, "f_number: 1.8 given without focal_length_mm"),
        (
            {"f_number": 1.8, "focal_length_mm": 85.0},
            "lens: a strength from f-number and focal length needs depth in metres. Connect",
        ),
        ({"aperture_image": ["black", 0]}, "aperture_image: its red is black everywhere"),
        ({"fringe": -0.5}, "fringe: expected 0 to 50"),
    ],
)
def test_unusable_lenses_give_one_line(server, more, message):
    graph = scene(server) | {
        "black": given(server, "black", np.zeros((1, 8, 8, 3))),
        "lens": lens_node(**more),
        "render": render(lens=["lens", 0]),
        "see": node("PreviewImage", images=["render", 0]),
    }
    error = server.refusal(graph)
    assert message in error
    assert "\n" not in error


def test_a_lens_in_millimetres_and_distances_work_on_metric_depth(server):
    metres = np.full((HEIGHT, WIDTH), 4.0, np.float32)
    metres[:, : WIDTH // 2] = 1.0
    name = f"{uuid.uuid4().hex}.npy"
    np.save(server.folder / "input" / name, metres)
    load = {"file": name, "values": "metres", "scale": 0.0, "holes": "fill", "channel": ""}
    graph = scene(server) | {
        "depth": node("LoadMetricDepth", **load),
        "lens": lens_node(f_number=1.8, focal_length_mm=85.0),
        "pull": pull("0: 1 m; 2: inf ease"),
        "clip": render(lens=["lens", 0], focus=["pull", 0]),
    }
    (coc, plot), _ = run(server, graph, ("clip", 2), ("pull", 1))
    assert coc.shape == (3, HEIGHT, WIDTH)
    # K = f² s / (2 N (s − f)) · W / w, and f²/(2N) · W/w at infinity; w of 43.27 mm across.
    width = 43.27 / np.hypot(1, HEIGHT / WIDTH)
    at_infinity = 0.085**2 / (2 * 1.8) * 1000 * WIDTH / width
    near, far = coc[:, 5, 5], coc[:, 5, -5]
    assert np.isclose(far[0], at_infinity / (1 - 0.085) * (1 / 4 - 1), rtol=1e-4)
    assert np.isclose(near[2], at_infinity, rtol=1e-4)
    assert near[0] == 0
    assert plot.std() > 0
