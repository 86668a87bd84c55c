"""The templates with Depth Anything 3 and MoGe run in a real ComfyUI, on random weights.

COMFYUI_PATH names a ComfyUI checkout, COMFYUI_PYTHON the Python that runs it. The weights tell
nothing of the scene; the loaders, the geometry's form and what is made of it are the core's own.
"""

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

if not os.environ.get("COMFYUI_PATH"):
    pytest.skip("COMFYUI_PATH does not name a ComfyUI checkout", allow_module_level=True)

from comfyui_server import ComfyServer
from graph_files import as_prompt, load
from PIL import Image
from server_graphs import node

pytestmark = [pytest.mark.comfyui, pytest.mark.slow]
SIZE = (140, 84)  # px, width and height: not square
TEMPLATES = ("02 Depth Anything 3 to bokeh", "03 MoGe to real f-numbers")
QUICK = {
    "DA3Inference": {"resolution": 140},
    "MoGeInference": {"resolution_level": 0},
    "RenderBokeh": {"quality": "draft"},
}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = ComfyServer(tmp_path_factory.mktemp("comfyui"))
    ramp = Image.linear_gradient("L").resize(SIZE)
    Image.merge("RGB", [ramp, ramp.rotate(180), ramp]).save(server.folder / "input/example.png")
    if "LoadMoGeModel" in server.get("/object_info"):
        _write_weights(server.folder / "models" / "geometry_estimation")
    yield server
    server.stop()


def _write_weights(folder: Path) -> None:
    """Let the Python of ComfyUI write them, as its classes name them."""
    folder.mkdir(exist_ok=True)
    script = Path(__file__).parents[1] / "make_tiny_geometry.py"
    python = os.environ.get("COMFYUI_PYTHON", sys.executable)
    subprocess.run([python, str(script), str(folder)], check=True, capture_output=True)


def run_template(server, name: str, **more) -> tuple[dict, dict]:
    """Run a template, quick and with more nodes; return its prompt and outputs by kind of node."""
    prompt = as_prompt(load(name)) | more
    lacking = {one["class_type"] for one in prompt.values()} - set(server.get("/object_info"))
    if lacking:
        pytest.skip(f"this ComfyUI has no {', '.join(sorted(lacking))}")
    for one in prompt.values():
        one["inputs"] |= QUICK.get(one["class_type"], {})
    run = server.run(prompt)
    assert run.error == ""
    return prompt, {prompt[key]["class_type"]: shown for key, shown in run.outputs.items()}


def picture(server, shown: dict) -> Image.Image:
    (file,) = shown["images"]
    path = f"/view?filename={file['filename']}&subfolder={file['subfolder']}&type={file['type']}"
    return Image.open(io.BytesIO(server.get_bytes(path)))


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_template_makes_a_picture_as_large_as_the_photo(server, name):
    _, outputs = run_template(server, name)
    assert picture(server, outputs["SaveImage"]).size == SIZE


def test_moge_tells_the_lens_its_view(server):
    """The focal length of a full-frame camera with the same view is told with the strength."""
    graph = load("03 MoGe to real f-numbers")
    key = {one["type"]: str(one["id"]) for one in graph["nodes"]}
    lens = as_prompt(graph)[key["LensBokehStrength"]]
    lens["inputs"]["f_number"] = 2.0  # so that it runs, whatever ran before
    more = {
        key["LensBokehStrength"]: lens,
        "seen": node("PreviewAny", source=[key["MoGeGeometryToFOV"], 1]),
    }
    _, outputs = run_template(server, "03 MoGe to real f-numbers", **more)
    focal_px = float(outputs["PreviewAny"]["text"][0])
    assert focal_px > 0
    # 43.27 mm is the diagonal of 36 mm × 24 mm.
    on_film = focal_px * 43.27 / (SIZE[0] ** 2 + SIZE[1] ** 2) ** 0.5
    told = "".join(outputs["LensBokehStrength"]["text"])
    assert f"The view is that of {on_film:.0f} mm on full frame." in told


def test_points_of_moge_have_the_photo_s_shape(server):
    """Save Metric Depth takes the geometry with its focal length: a point for each pixel seen."""
    graph = load("03 MoGe to real f-numbers")
    key = {one["type"]: str(one["id"]) for one in graph["nodes"]}
    cloud = node(
        "SaveMetricDepth",
        depth=[key["MoGeInference"], 0],
        image=[key["LoadImage"], 0],
        format="PLY point cloud",
        filename_prefix="depth/cloud",
    )
    run_template(server, "03 MoGe to real f-numbers", cloud=cloud)
    (file,) = (server.folder / "output" / "depth").glob("*.ply")
    header = file.read_bytes().split(b"end_header")[0].decode()
    count = int(header.split("element vertex ")[1].split()[0])
    assert 0 < count <= SIZE[0] * SIZE[1]
