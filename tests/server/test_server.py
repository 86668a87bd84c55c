"""The nodes in a real ComfyUI: what it lists, runs, refuses, cancels and caches.

COMFYUI_PATH names a ComfyUI checkout, COMFYUI_PYTHON the Python that runs it.
"""

import json
import os
import sys
import time
from pathlib import Path

import numpy as np
import pytest

if not os.environ.get("COMFYUI_PATH"):
    pytest.skip("COMFYUI_PATH does not name a ComfyUI checkout", allow_module_level=True)

sys.path.insert(0, str(Path(__file__).parents[1]))
from comfyui_server import PACK, ROOT, ComfyServer

pytestmark = [pytest.mark.comfyui, pytest.mark.slow]

NODES = [
    "LoadBokehDepth",
    "GenerateBokehStack",
    "BokehStackFromImages",
    "DefocusAwareDepth",
    "RenderBokeh",
    "LensBokehStrength",
    "SaveMetricDepth",
    "FocusStackFromImages",
    "BokehDepthExample",
]
HEIGHT, WIDTH = 333, 517


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = ComfyServer(tmp_path_factory.mktemp("comfyui"))
    yield server
    server.stop()


def node(kind, **inputs):
    return {"class_type": kind, "inputs": inputs}


def loader():
    built_in = "built-in"
    return node(
        "LoadBokehDepth",
        bokeh_adapter=built_in,
        base_model=built_in,
        depth_checkpoint=built_in,
        precision="auto",
    )


def scale(source, output, width=WIDTH, height=HEIGHT):
    return node(
        "ImageScale",
        image=[source, output],
        upscale_method="bilinear",
        width=width,
        height=height,
        crop="disabled",
    )


def render(image, depth, **changes):
    inputs = {"strength": 12.0, "focus_x": 0.5, "focus_y": 0.5, "focus_distance": 0.0}
    return node("RenderBokeh", image=image, depth=depth, **(inputs | changes))


def photo_and_depth(batch=1, width=WIDTH, height=HEIGHT):
    """Return the nodes "photo" and "depth": a batch of the example's photo and depth picture."""
    return {
        "example": node("BokehDepthExample"),
        "small": scale("example", 0, width, height),
        "small_depth": scale("example", 2, width, height),
        "photo": node("RepeatImageBatch", image=["small", 0], amount=batch),
        "depth": node("RepeatImageBatch", image=["small_depth", 0], amount=batch),
    }


def shown(name, output=0):
    return node("PreviewImage", images=[name, output])


def generate(strengths="4, 8", **changes):
    inputs = {"steps": 2, "guidance": 2.5, "seed": 0, "match_color": True}
    links = {"image": ["photo", 0], "generator": ["load", 0], "depth": ["depth", 0]}
    return node("GenerateBokehStack", strengths=strengths, **(links | inputs | changes))


def test_the_pack_loads_without_a_warning(server):
    known = server.get("/object_info")
    assert [name for name in NODES if name not in known] == []
    lines = server.log.read_text().splitlines()
    ours = [line for line in lines if PACK in line or "bokehdepth" in line.lower()]
    assert not [line for line in ours if "FAILED" in line or "rror" in line or "arn" in line]


def test_every_input_has_a_tooltip(server):
    info = server.get("/object_info")
    for name in NODES:
        inputs = info[name]["input"]
        for group in (inputs.get("required", {}), inputs.get("optional", {})):
            for key, (_, *options) in group.items():
                assert (options or [{}])[0].get("tooltip"), f"{name}.{key}"


def test_every_node_has_a_help_page(server):
    for name in NODES:
        page = server.get_bytes(f"/extensions/{PACK}/docs/{name}/en.md").decode()
        assert page.startswith("# "), name


def test_templates_and_languages_are_served(server):
    templates = server.get("/api/workflow_templates")[PACK]
    assert set(templates) >= {
        "01 Portrait bokeh from one photo",
        "04 Aperture bracket to depth",
        "11 Any depth map to lens bokeh",
    }
    languages = server.get("/i18n")
    assert "RenderBokeh" in languages["zh"]["nodeDefs"]
    # English is the schemas' own: a copy in a language file would hide a change of them.
    assert "RenderBokeh" not in languages.get("en", {}).get("nodeDefs", {})


def test_english_names_and_tooltips_come_from_the_schema(server):
    inputs = server.get("/object_info/RenderBokeh")["RenderBokeh"]["input"]["required"]
    options = inputs["focus_x"][1]
    assert options["display_name"] == "focus x"
    assert options["tooltip"].startswith("Point that is to be sharp")


@pytest.mark.parametrize("batch", [1, 3])
def test_the_whole_pipeline_runs_on_odd_sizes_and_batches(server, batch):
    run = server.run(
        photo_and_depth(batch)
        | {
            "load": loader(),
            "stack": generate(),
            "estimate": node(
                "DefocusAwareDepth",
                image=["photo", 0],
                depth_model=["load", 1],
                stack=["stack", 0],
                focal_length_px=500.0,
                focus_distance=1.5,
            ),
            "save": node(
                "SaveMetricDepth",
                depth=["estimate", 0],
                filename_prefix=f"whole{batch}/depth",
                format="NPZ",
            ),
            "render": render(["photo", 0], ["estimate", 0], focus_distance=2.0),
            "see": shown("render"),
            "mask": node("MaskToImage", mask=["render", 1]),
            "see_mask": shown("mask"),
            "see_depth": shown("estimate", 1),
            "see_frames": shown("stack", 1),
        }
    )
    assert run.error == ""
    assert len(run.outputs["see"]["images"]) == batch
    assert len(run.outputs["see_depth"]["images"]) == batch
    assert len(run.outputs["see_frames"]["images"]) == 2 * batch
    assert len(run.outputs["stack"]["images"]) == 3 * batch  # shown on the node itself
    files = sorted((server.folder / "output" / f"whole{batch}").iterdir())
    assert [file.name for file in files] == [f"depth_{i + 1:05}_.npz" for i in range(batch)]
    arrays = np.load(files[-1])
    assert arrays["depth"].shape == (HEIGHT, WIDTH)
    assert bool(arrays["metric"])
    assert arrays["intrinsics"].shape == (3, 3)


def bracket(strengths="10, 20, 30", frames=("frames", 0)):
    return {
        "example": node("BokehDepthExample"),
        "photo": scale("example", 0, 96, 64),
        "frames": scale("example", 1, 96, 64),
        "stack": node(
            "BokehStackFromImages",
            reference=["photo", 0],
            frames=list(frames),
            strengths=strengths,
        ),
        "load": loader(),
        "estimate": node(
            "DefocusAwareDepth", image=["photo", 0], depth_model=["load", 1], stack=["stack", 0]
        ),
        "see": shown("estimate", 1),
    }


def test_a_bracket_of_photos_becomes_depth(server):
    result = server.run(bracket())
    assert result.error == ""
    (report,) = result.outputs["stack"]["text"]
    assert [line[:8] for line in report.splitlines()] == ["frame 1:", "frame 2:", "frame 3:"]


def test_photos_of_several_focus_distances_become_depth(server):
    graph = bracket() | {
        "stack": node(
            "FocusStackFromImages",
            frames=["frames", 0],
            focus_distances="1, 2, inf",
            strength=10.0,
            align=False,
        ),
        "estimate": node(
            "DefocusAwareDepth", image=["stack", 1], depth_model=["load", 1], stack=["stack", 0]
        ),
        "render": node(
            "RenderBokeh",
            image=["stack", 1],
            depth=["estimate", 0],
            strength=10.0,
            focus_x=0.5,
            focus_y=0.5,
            focus_distance=0.0,
        ),
        "rendered": shown("render", 0),
    }
    del graph["photo"]
    result = server.run(graph)
    assert result.error == ""
    assert len(result.outputs["stack"]["images"]) == 4  # all in focus, and three frames


def test_a_stack_reports_how_well_it_obeys_its_strengths(server):
    graph = photo_and_depth(1, 160, 128) | {
        "load": loader(),
        "stack": generate(check_calibration=True),
        "shown": shown("stack", 1),
    }
    result = server.run(graph)
    assert result.error == ""
    (line,) = result.outputs["stack"]["text"]
    assert line.startswith("R²")
    assert float(line.split()[1]) > 0.8


@pytest.mark.parametrize(
    ("strengths", "message"),
    [
        ("", 'strengths: is empty. Write bokeh strengths such as "10, 20, 30".'),
        ("10, -20, 30", "strengths: must be above 0, found -20."),
        ("10, nan, 30", "strengths: expected a finite number, found nan."),
        ("10, ten, 30", "strengths: cannot read 'ten' in \"10, ten, 30\" as a number."),
        ("10, 20", "strengths: 2 given, but 3 frames where 2 were expected."),
    ],
)
def test_bad_strengths_are_named(server, strengths, message):
    assert message in server.run(bracket(strengths)).error


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


def test_transparency_other_sizes_and_a_single_depth_for_three_photos_work(server):
    graph = photo_and_depth(3, 64, 48)
    graph |= {
        "alpha": node("JoinImageWithAlpha", image=["small", 0], alpha=["solid", 0]),
        "solid": node("SolidMask", value=0.25, width=64, height=48),
        "three": node("RepeatImageBatch", image=["alpha", 0], amount=3),
        "render": render(["three", 0], ["example", 2]),
        "see": shown("render"),
    }
    run = server.run(graph)
    assert run.error == ""
    assert len(run.outputs["see"]["images"]) == 3


def test_batches_that_do_not_fit_are_named(server):
    graph = photo_and_depth(3, 64, 48)
    graph["two"] = node("RepeatImageBatch", image=["small_depth", 0], amount=2)
    graph |= {"render": render(["photo", 0], ["two", 0]), "see": shown("render")}
    assert "batch: sizes differ (image 3, depth 2)." in server.run(graph).error


def test_the_lens_formula_feeds_the_renderer(server):
    graph = photo_and_depth(1, 64, 48)
    graph |= {
        "lens": node(
            "LensBokehStrength",
            image=["photo", 0],
            focal_length_mm=50.0,
            focal_length_35mm=50.0,
            f_number=1.8,
            focus_distance=2.0,
        ),
        "render": render(["photo", 0], ["depth", 0], strength=["lens", 0]),
        "see": shown("render"),
    }
    assert server.run(graph).error == ""
    graph["lens"]["inputs"]["focus_distance"] = 0.04
    assert "lies inside the focal length (0.05 m)" in server.run(graph).error


@pytest.mark.parametrize(
    ("kind", "suffix"), [("EXR", ".exr"), ("16-bit PNG", ".png"), ("NPZ", ".npz")]
)
def test_depth_pictures_are_saved_in_every_format(server, kind, suffix):
    graph = photo_and_depth(3, 64, 48)
    folder = f"saved_{suffix[1:]}"
    graph["save"] = node(
        "SaveMetricDepth", depth=["depth", 0], filename_prefix=f"{folder}/d", format=kind
    )
    run = server.run(graph)
    assert run.error == ""
    names = sorted(path.name for path in (server.folder / "output" / folder).iterdir())
    assert names == [f"d_{i:05}_{suffix}" for i in (1, 2, 3)]
    assert run.outputs["save"]["text"] == [f"{folder}/{name}" for name in names]


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


def test_ids_inputs_order_and_defaults_are_frozen(server):
    frozen = json.loads((ROOT / "tests" / "data" / "node_schemas.json").read_text())
    info = server.get("/object_info")
    assert {name: schema_of(info[name]) for name in frozen} == frozen


def schema_of(info):
    """Return what workflow files rely on: names, order, types, defaults and outputs."""
    inputs = []
    for group in ("required", "optional"):
        for name, (kind, *options) in info["input"].get(group, {}).items():
            options = options[0] if options else {}
            is_combo = isinstance(kind, list) or kind == "COMBO"
            inputs.append([group, name, "COMBO" if is_combo else kind, options.get("default")])
    return {
        "display_name": info["display_name"],
        "category": info["category"],
        "inputs": inputs,
        "outputs": [list(pair) for pair in zip(info["output"], info["output_name"], strict=True)],
        "output_node": info["output_node"],
    }
