"""Masks that ComfyUI's SAM 3 tracks through a clip, its video nodes, and panoramas, over HTTP.

COMFYUI_PATH names a ComfyUI checkout, COMFYUI_PYTHON the Python that runs it. SAM 3's weights are
not needed: a track as its tracker gives it goes into the core's own *SAM3 Track to Mask*.
"""

import os
import uuid

import pytest

if not os.environ.get("COMFYUI_PATH"):
    pytest.skip("COMFYUI_PATH does not name a ComfyUI checkout", allow_module_level=True)

import numpy as np
from comfyui_server import PROBE_NODES, ComfyServer
from server_graphs import node

pytestmark = [pytest.mark.comfyui, pytest.mark.slow]
FRAMES, HEIGHT, WIDTH = 5, 40, 64
NEAR, FAR = 0.9, 0.2  # disparity of the left and of the right half
STRENGTH = 9.0


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = ComfyServer(tmp_path_factory.mktemp("comfyui"), PROBE_NODES)
    yield server
    server.stop()


@pytest.fixture
def tracking(server):
    """Skip where this ComfyUI has no SAM 3."""
    if "SAM3_TrackToMask" not in server.get("/object_info"):
        pytest.skip("this ComfyUI has no SAM3_TrackToMask (0.26 and later have it)")
    return server


def put(server, array):
    """Save an array into the input folder under a name that no earlier run had; return the name."""
    file = f"{uuid.uuid4().hex}.npy"
    np.save(server.folder / "input" / file, array.astype(np.float32))
    return file


def clip(server, frames=FRAMES):
    """Return a clip, its depth, and room for its masks."""
    depth = np.full((1, HEIGHT, WIDTH, 3), FAR)
    depth[:, :, : WIDTH // 2] = NEAR
    photos = np.random.default_rng(0).random((frames, HEIGHT, WIDTH, 3))
    return {
        "photos": node("TensorFromFile", file=put(server, photos)),
        "depth": node("TensorFromFile", file=put(server, depth)),
    }


def tracked(server, masks, objects="", height=HEIGHT, width=WIDTH):
    """Return the nodes that give masks [frames,objects,h,w] as SAM 3 and its node do."""
    return {
        "track": node("TrackFromFile", file=put(server, masks), height=height, width=width),
        "masks": node("SAM3_TrackToMask", track_data=["track", 0], object_indices=objects),
    }


def two_objects(frames=FRAMES):
    """Return masks of 20x32 px: object 0 on the left; object 1 goes right, and is lost twice."""
    masks = np.zeros((frames, 2, 20, 32))
    masks[:, 0, 4:16, 2:10] = 1
    masks[0, 1, 4:16, 2:10] = masks[3:, 1, 4:16, 22:30] = 1
    return masks


def render(**more):
    focus = {"strength": STRENGTH, "focus_x": 0.5, "focus_y": 0.5, "focus_distance": 0.0}
    links = {"image": ["photos", 0], "depth": ["depth", 0]}
    return node("RenderBokeh", **(links | focus | more))


def written(server, graph, **wanted):
    """Run a graph; return the tensors of the links that are wanted, by name."""
    files = {name: f"{uuid.uuid4().hex}.npy" for name in wanted}
    savers = {
        f"save {name}": node("TensorToFile", value=link, file=files[name])
        for name, link in wanted.items()
    }
    done = server.run(graph | savers)
    assert done.error == ""
    return {name: np.load(server.folder / "output" / file) for name, file in files.items()}


def test_a_tracked_subject_is_followed_into_a_video(tracking):
    graph = clip(tracking) | tracked(tracking, two_objects(), "1")
    graph |= {
        "pull": node(
            "FocusPull",
            depth=["depth", 0],
            keyframes="",
            frames=0,
            subject=["masks", 0],
            smoothing=0.0,
        ),
        "bokeh": render(focus=["pull", 0]),
        "video": node("CreateVideo", images=["bokeh", 0], fps=24.0),
        "file": node(
            "SaveVideo", video=["video", 0], filename_prefix="tracked", format="auto", codec="auto"
        ),
    }
    found = written(tracking, graph, masks=["masks", 0], coc=["bokeh", 2], image=["bokeh", 0])
    assert found["masks"].shape == (FRAMES, HEIGHT, WIDTH)
    assert found["masks"].dtype == np.float32
    assert found["image"].shape == (FRAMES, HEIGHT, WIDTH, 3)
    # The lost frames 1 and 2 lie evenly between the near and the far half.
    span = STRENGTH * (NEAR - FAR)
    expected = [-span, -span * 2 / 3, -span / 3, 0, 0]
    assert np.allclose(found["coc"][:, 5, -5], expected, atol=1e-4)
    (video,) = (tracking.folder / "output").glob("tracked*.mp4")
    av = pytest.importorskip("av")
    with av.open(str(video)) as opened:
        assert sum(1 for _ in opened.decode(video=0)) == FRAMES


def test_tracked_masks_choose_the_focus_and_stand_for_depth(tracking):
    graph = clip(tracking) | tracked(tracking, two_objects(), "1")
    graph |= {
        "masked": render(focus_mask=["masks", 0]),
        "guess": node("DepthFromMask", image=["photos", 0], subject=["masks", 0]),
        "portrait": render(depth=["guess", 0], focus_mask=["masks", 0]),
    }
    found = written(tracking, graph, coc=["masked", 2], guess=["guess", 0], same=["portrait", 2])
    span = STRENGTH * (NEAR - FAR)
    assert np.allclose(found["coc"][:, 5, -5], [-span, -span * 2 / 3, -span / 3, 0, 0], atol=1e-4)
    assert found["guess"].shape == (FRAMES, HEIGHT, WIDTH)
    for frame, column in ((0, 12), (4, 52)):  # the middle of the subject is in focus
        assert abs(found["same"][frame, HEIGHT // 2, column]) < 1e-4


@pytest.mark.parametrize(
    ("masks", "frames", "message"),
    [
        (np.zeros((FRAMES, 0, 20, 32)), FRAMES, "subject: no pixel is chosen in any frame"),
        (two_objects(4), FRAMES, "batch: sizes differ (image 5, depth 1, focus 4)"),
    ],
    ids=["nothing tracked", "fewer frames"],
)
def test_tracks_that_do_not_fit_give_one_line(tracking, masks, frames, message):
    graph = clip(tracking, frames) | tracked(tracking, masks)
    graph |= {
        "pull": node("FocusPull", depth=["depth", 0], keyframes="", frames=0, subject=["masks", 0]),
        "bokeh": render(focus=["pull", 0]),
        "see": node("PreviewImage", images=["bokeh", 0]),
    }
    error = tracking.run(graph).error
    assert error.startswith(message)
    assert "\n" not in error


def test_a_panorama_joins_and_tells_what_it_cannot_have(server):
    graph = clip(server, 1) | {
        "plain": render(),
        "off": render(wrap=False),
        "joined": render(wrap=True),
        "half": node("PrimitiveFloat", value=0.5),  # known only when it runs
        "cut": render(wrap=True, cat_eye=["half", 0]),
    }
    seen = node("PreviewImage", images=["cut", 0])
    wanted = {name: [name, 0] for name in ("plain", "off", "joined")}
    found = written(server, {k: v for k, v in graph.items() if k not in ("half", "cut")}, **wanted)
    assert np.array_equal(found["plain"], found["off"])
    changed = np.abs(found["joined"] - found["plain"]).max((0, 1, 3))
    assert changed[[0, -1]].max() > 0.02 > 0.003 > changed[WIDTH // 4 : WIDTH // 2 - 8].max()
    error = server.run(graph | {"see": seen}).error
    assert error.startswith("cat_eye: use 0, or turn wrap off: a 360° panorama has no corners")
    assert "\n" not in error
