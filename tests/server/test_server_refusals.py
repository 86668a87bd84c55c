"""What a real ComfyUI refuses, cancels and keeps of the nodes.

COMFYUI_PATH names a ComfyUI checkout, COMFYUI_PYTHON the Python that runs it.
"""

import os
import time

import pytest

if not os.environ.get("COMFYUI_PATH"):
    pytest.skip("COMFYUI_PATH does not name a ComfyUI checkout", allow_module_level=True)

from comfyui_server import ComfyServer
from server_graphs import bracket, generate, loader, node, photo_and_depth, render, shown

pytestmark = [pytest.mark.comfyui, pytest.mark.slow]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = ComfyServer(tmp_path_factory.mktemp("comfyui"))
    yield server
    server.stop()


@pytest.mark.parametrize(
    ("strengths", "message"),
    [
        ("", 'strengths: is empty. Write bokeh strengths such as "10, 20, 30".'),
        ("10, -20, 30", "strengths: must be above 0, found -20."),
        ("10, nan, 30", "strengths: expected a finite number, found nan."),
        ("10, ten, 30", "strengths: cannot read 'ten' in \"10, ten, 30\" as a number."),
        ("10, 20", "in the same order: 2 given, but 3 frames where 2 were expected."),
    ],
)
def test_bad_strengths_are_named(server, strengths, message):
    assert message in server.refusal(bracket(strengths))


def test_frames_of_another_size_are_named(server):
    error = server.run(bracket(frames=("example", 1))).error
    assert "frames: expected 64x96 like the reference, found 512x512." in error


def test_what_the_built_in_parts_need_is_named(server):
    graph = photo_and_depth(1, 64, 48) | {"load": loader(), "stack": generate()}
    del graph["stack"]["inputs"]["depth"]
    error = server.run(graph | {"see": shown("stack", 1)}).error
    assert "depth: the built-in generator renders its frames from a depth map" in error
    graph = bracket()
    del graph["estimate"]["inputs"]["stack"]
    error = server.run(graph).error
    assert "stack: the built-in estimator reads depth off a bokeh stack" in error


def test_a_focus_point_outside_the_picture_is_refused_before_running(server):
    graph = photo_and_depth(1, 64, 48)
    graph |= {"render": render(["photo", 0], ["depth", 0], focus_x=1.5), "see": shown("render")}
    status, answer = server.post("/prompt", {"prompt": graph})
    assert status == 400
    assert answer["node_errors"]["render"]["errors"][0]["type"] == "value_bigger_than_max"


def test_a_distance_needs_metres(server):
    graph = photo_and_depth(1, 64, 48)
    graph |= {"render": render(["photo", 0], ["depth", 0], focus_distance=2.0)}
    error = server.run(graph | {"see": shown("render")}).error
    assert "focus_distance: 2 m given, but this depth has no metres." in error


def test_batches_that_do_not_fit_are_named(server):
    graph = photo_and_depth(3, 64, 48)
    graph["two"] = node("RepeatImageBatch", image=["small_depth", 0], amount=2)
    graph |= {"render": render(["photo", 0], ["two", 0]), "see": shown("render")}
    assert "batch: sizes differ (image 3, depth 2)." in server.run(graph).error


def test_a_refused_save_leaves_no_file(server):
    graph = photo_and_depth(3, 64, 48)
    graph["save"] = node(
        "SaveMetricDepth", depth=["depth", 0], filename_prefix="none/d", format="PLY point cloud"
    )
    assert "a point cloud needs metres" in server.run(graph).error
    assert list((server.folder / "output" / "none").iterdir()) == []


def test_a_second_run_is_cached_and_a_changed_value_is_not(server):
    graph = photo_and_depth(1, 64, 48)
    graph |= {"render": render(["photo", 0], ["depth", 0], strength=7.0), "see": shown("render")}
    server.run(graph)
    assert "render" in server.run(graph).cached
    graph["render"]["inputs"]["strength"] = 8.0
    run = server.run(graph)
    assert "render" not in run.cached
    assert "photo" in run.cached


def test_cancel_stops_in_the_middle_and_the_next_run_works(server):
    graph = photo_and_depth(40, 512, 512)
    graph |= {"render": render(["photo", 0], ["depth", 0], strength=40.0), "see": shown("render")}
    prompt_id = server.start(graph)
    time.sleep(3)
    assert server.get("/queue")["queue_running"], "the run ended before it could be cancelled"
    begin = time.monotonic()
    server.post("/interrupt", {})
    run = server.wait(prompt_id, 60)
    assert run.interrupted
    assert time.monotonic() - begin < 20
    assert server.run(bracket()).error == ""
