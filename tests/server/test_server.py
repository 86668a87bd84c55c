"""The nodes in a real ComfyUI: what it lists, serves and runs.

COMFYUI_PATH names a ComfyUI checkout, COMFYUI_PYTHON the Python that runs it.
"""

import json
import os

import numpy as np
import pytest

if not os.environ.get("COMFYUI_PATH"):
    pytest.skip("COMFYUI_PATH does not name a ComfyUI checkout", allow_module_level=True)

from comfyui_server import PACK, ROOT, ComfyServer
from server_graphs import (
    HEIGHT,
    WIDTH,
    bracket,
    generate,
    loader,
    node,
    photo_and_depth,
    render,
    schema_of,
    shown,
)

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


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = ComfyServer(tmp_path_factory.mktemp("comfyui"))
    yield server
    server.stop()


def test_the_pack_loads_without_a_warning(server):
    known = server.get("/object_info")
    assert [name for name in NODES if name not in known] == []
    lines = server.log.read_text(encoding="utf-8").splitlines()
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
        for language in ("en", "zh"):  # the front end falls back to no other language
            page = server.get_bytes(f"/extensions/{PACK}/docs/{name}/{language}.md").decode()
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


def test_a_bracket_of_photos_becomes_depth(server):
    result = server.run(bracket())
    assert result.error == ""
    (report,) = result.outputs["stack"]["text"]
    # A line on each frame, then on the strengths, which are those of the full-size example.
    assert [line[:8] for line in report.splitlines()[:3]] == ["frame 1:", "frame 2:", "frame 3:"]


def test_a_prior_reaches_the_built_in_estimator(server):
    graph = bracket()
    graph["estimate"]["inputs"]["prior"] = ["example", 2]  # of the full size: made 96x64
    assert server.run(graph).error == ""
    graph["two"] = node("RepeatImageBatch", image=["example", 2], amount=2)
    graph["estimate"]["inputs"]["prior"] = ["two", 0]
    assert "prior: 2 depth maps for 1 stacks." in server.run(graph).error


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
    assert "focus_distance: use more than 0.05 m." in server.refusal(graph)


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


def test_ids_inputs_order_and_defaults_are_frozen(server):
    frozen = json.loads((ROOT / "tests" / "data" / "node_schemas.json").read_text(encoding="utf-8"))
    info = server.get("/object_info")
    assert {name: schema_of(info[name]) for name in frozen} == frozen
