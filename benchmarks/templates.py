"""Write the example graphs of workflows/ that are laid out by columns, and the subgraph.

    python benchmarks/templates.py

Every graph has a note to the left, then columns of nodes in one group each (`graphs.py`).
"""

import json
import sys
import uuid
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import graphs
from graphs import HUB, Graph

LOOK = {"strength": 4.0, "strength_unit": "% of width", "focus_mode": "automatic"}


def portrait():
    """A photo of somebody alone: nothing to download."""
    graph = Graph(
        "## A portrait with a soft background\n\n1. **Choose a photo** of a person in *Load Image*."
        "\n2. **Click** the face in the picture of *Render Bokeh*. Without a click the person is "
        "found.\n3. Press **Run**.\n\nNothing is downloaded. With nothing in **depth**, people are "
        "found in the photo by a small network inside the pack, and depth is guessed from them: "
        "they stand upright before a far wall. It finds people within about 2 m of the camera.\n\n"
        "**strength** is the blur in % of the picture's width: 2 is gentle, 8 is strong. "
        "**aperture blades** 6 makes hexagons of lamps, **highlight boost** makes them glow.\n\n"
        "### Better\n\nA depth node gives more than a guess: see the next templates.\n"
    )
    graph.column("1  Your photo", ("LoadImage", ["example.png"], {}))
    graph.column("2  Through the lens", ("RenderBokeh", LOOK, {"image": (2, 0)}))
    graph.column("3  Result", ("SaveImage", ["bokeh/portrait"], {"images": (3, 0)}))
    graph.write("01 Portrait bokeh from one photo")


def depth_anything():
    """ComfyUI's Depth Anything 3 before the lens."""
    graph = Graph(
        "## Photo → Depth Anything 3 → lens bokeh\n\n*Depth Anything 3* is ComfyUI's own (0.25 and "
        "later). The model, 700 MB, is offered for download when the graph opens:\n\n"
        "**models/geometry_estimation**\n- [depth_anything_3_mono_large.safetensors]"
        f"({HUB}/Comfy-Org/Depth-Anything-3/resolve/main/geometry_estimation/"
        "depth_anything_3_mono_large.safetensors)\n\nIts geometry goes straight into **depth**. It "
        "knows near from far, not metres, so **strength** is the blur in % of the width between "
        "the nearest and the farthest.\n\n**Click** the picture in *Render Bokeh* to focus.\n"
    )
    graph.column("1  Your photo", ("LoadImage", ["example.png"], {}), tops=[20])
    graph.column(
        "2  The model",
        ("LoadDA3Model", ["depth_anything_3_mono_large.safetensors", "default"], {}),
        tops=[100],
        gap=480,
    )
    graph.column(
        "3  Depth",
        (
            "DA3Inference",
            [504, "upper_bound_resize", "mono"],
            {"da3_model": (3, 0), "image": (2, 0)},
        ),
        tops=[400],
        gap=140,
    )
    lens = ("RenderBokeh", LOOK, {"image": (2, 0), "depth": (4, 0)})
    graph.column("4  Through the lens", lens, tops=[-100])
    result = ("SaveImage", ["bokeh/depth_anything"], {"images": (5, 0)})
    graph.column("5  Result", result, tops=[-100])
    graph.write("02 Depth Anything 3 to bokeh")


def moge():
    """Metres from MoGe, and a lens by its f-number."""
    graph = Graph(
        "## Photo → MoGe → a lens with its f-number\n\n*MoGe* is ComfyUI's own (0.22 and later) "
        "and gives **metres** and the camera's field of view. The model is offered for download "
        "when the graph opens:\n\n**models/geometry_estimation**\n- "
        f"[moge_2_vitl_normal_fp16.safetensors]({HUB}/Comfy-Org/MoGe/resolve/main/"
        "geometry_estimation/moge_2_vitl_normal_fp16.safetensors)\n\n1. *MoGe Geometry to FOV* "
        "tells the focal length in px. ComfyUI 0.26 does not have it yet: update, or delete it and "
        "write the lens of your camera into **focal_length_mm** and **focal_length_35mm**."
        "\n2. *Bokeh Strength from Lens* makes the bokeh of a full-frame lens of that view from "
        "**f number** and **focus distance**.\n3. Give *Render Bokeh* the same **focus "
        "distance**; 0 there takes it where you click.\n"
    )
    graph.column("1  Your photo", ("LoadImage", ["example.png"], {}), tops=[-80])
    graph.column(
        "2  The model",
        ("LoadMoGeModel", ["moge_2_vitl_normal_fp16.safetensors"], {}),
        tops=[540],
        gap=100,
    )
    graph.column(
        "3  Metres",
        ("MoGeInference", [9, 0.0, 4, True, True], {"moge_model": (3, 0), "image": (2, 0)}),
        tops=[260],
    )
    graph.column(
        "4  The view",
        ("MoGeGeometryToFOV", ["horizontal", "degrees"], {"moge_geometry": (4, 0)}),
        tops=[380],
        gap=280,
    )
    graph.column(
        "5  Which lens",
        (
            "LensBokehStrength",
            {"f_number": 1.4},
            {"image": (2, 0), "focal_length_px": (5, 1)},
        ),
        tops=[280],
    )
    graph.column(
        "6  Through the lens",
        (
            "RenderBokeh",
            {"focus_mode": "automatic"},
            {"image": (2, 0), "depth": (4, 0), "strength": (6, 0)},
        ),
        tops=[-20],
        gap=100,
    )
    graph.column("7  Result", ("SaveImage", ["bokeh/lens"], {"images": (7, 0)}), tops=[-20])
    graph.write("03 MoGe to real f-numbers")


def focus_pull():
    """A clip from one photo whose focus moves."""
    graph = Graph(
        "## A focus pull from one photo\n\nPress **Run**: nothing is downloaded. *Focus Pull* "
        "moves the focus from somebody in front to the cat's portrait and *Render Bokeh* makes the "
        "clip, 12 frames in draft quality.\n\n**keyframes** say what is sharp when: **0: 0.4,0.6** "
        "is a point in shares of width and height at frame 0; **ease** comes there gently. To "
        "write them, choose a frame in *Focus Pull* and **click** what is to be sharp. With "
        "depth in metres write **0: 1.2 m; 48: 4 m**.\n\nFor your own clip put its frames and "
        "their depth in the place of the example, and connect a mask of it to **subject**.\n"
    )
    graph.column("1  Photo and depth", ("BokehDepthExample", {}, {}))
    graph.column(
        "2  When what is sharp",
        ("FocusPull", {"keyframes": "0: 0.4,0.6; 11: 0.86,0.72 ease"}, {"depth": (2, 2)}),
        tops=[220],
    )
    graph.column(
        "3  Through the lens",
        (
            "RenderBokeh",
            {"strength": 5.0, "strength_unit": "% of width", "quality": "draft"},
            {"image": (2, 0), "depth": (2, 2), "focus": (3, 0)},
        ),
    )
    graph.column(
        "4  The clip",
        ("SaveAnimatedWEBP", ["bokeh/pull", 12.0, False, 90, "default"], {"images": (4, 0)}),
    )
    graph.write("05 Focus pull from one photo")


def linear_exr():
    """A render of a 3D program, its light unclipped and its Z."""
    graph = Graph(
        "## Linear EXR with Z → lens bokeh\n\nFor renders of Blender, Nuke and others: one EXR "
        "with colour and a depth channel, multi-layer files too.\n\n1. Upload it in *Load Metric "
        "Depth* and in *Load Image*. ComfyUI 0.33 and later loads EXR as linear light.\n2. "
        "**color space** of *Render Bokeh* is **linear Rec.709**: nothing is clipped, so a lamp "
        "stays as bright as it is.\n3. Save with *Save Image (Advanced)* as EXR to keep all of "
        "it; the preview here shows the middle of the light.\n\nA layer of its own name goes into "
        "**channel**, as **ViewLayer.Depth.Z**.\n"
    )
    graph.column(
        "1  The render",
        ("LoadImage", ["render.exr"], {}, "Colour of the EXR"),
        ("LoadMetricDepth", {"file": "render.exr"}, {}, "Z of the EXR"),
    )
    graph.column(
        "2  Through the lens",
        (
            "RenderBokeh",
            LOOK | {"color_space": "linear Rec.709"},
            {"image": (2, 0), "depth": (3, 0)},
        ),
    )
    graph.column("3  Result", ("PreviewImage", [], {"images": (4, 0)}))
    graph.write("06 Linear EXR with Z")


def bracket_depth(graph):
    """Add the bundled bracket and its depth; return nothing. Nodes 2 to 5, depth is 5."""
    graph.column("1  Photos at several apertures", ("BokehDepthExample", {}, {}))
    graph.column(
        "2  What reads them",
        ("LoadBokehDepth", {}, {}),
        ("BokehStackFromImages", {}, {"reference": (2, 0), "frames": (2, 1)}),
        tops=[220, 552],
        gap=280,
    )
    graph.column(
        "3  Depth in metres",
        (
            "DefocusAwareDepth",
            {"focal_length_px": 614.4, "focus_distance": 1.5},
            {"image": (2, 0), "depth_model": (3, 1), "stack": (4, 0)},
        ),
        tops=[120],
    )


def point_cloud():
    """Metres and a focal length make points."""
    graph = Graph(
        "## Metric depth → point cloud\n\nPress **Run**: nothing is downloaded. The bundled "
        "bracket gives depth in metres, and *Save Metric Depth* writes it as a coloured point "
        "cloud (PLY) into **output/depth**. Open it in MeshLab, Blender or CloudCompare.\n\nA "
        "point cloud needs **metres** and a **focal length** in px; MoGe's geometry has both and "
        "goes straight into *Save Metric Depth*.\n"
    )
    bracket_depth(graph)
    graph.column(
        "4  Saved as points",
        (
            "SaveMetricDepth",
            {"format": "PLY point cloud", "filename_prefix": "depth/cloud"},
            {"depth": (5, 0), "image": (2, 0)},
        ),
        tops=[40],
        gap=140,
    )
    graph.write("09 Metric depth to point cloud")


def control_net():
    """The depth picture as ControlNets want it."""
    graph = Graph(
        "## Depth → ControlNet\n\n**depth_image** of *Defocus-Aware Depth* is the depth picture "
        "that ControlNets were trained on: 0…1, near is white. Here it comes from the bundled "
        "bracket; any depth works.\n\nThe models are offered for download when the graph opens:\n\n"
        "**models/checkpoints**\n- [v1-5-pruned-emaonly-fp16.safetensors]"
        f"({HUB}/Comfy-Org/stable-diffusion-v1-5-archive/resolve/main/"
        "v1-5-pruned-emaonly-fp16.safetensors)\n\n**models/controlnet**\n- "
        f"[control_v11f1p_sd15_depth_fp16.safetensors]({HUB}/comfyanonymous/"
        "ControlNet-v1-1_fp16_safetensors/resolve/main/"
        "control_v11f1p_sd15_depth_fp16.safetensors)\n"
    )
    bracket_depth(graph)
    checkpoint = ("CheckpointLoaderSimple", ["v1-5-pruned-emaonly-fp16.safetensors"], {})
    graph.column("4  Models", checkpoint, tops=[-800], left=1100)
    graph.column(
        "5  Prompts and ControlNet",
        ("CLIPTextEncode", ["an explorer in an observatory, film still"], {"clip": (6, 1)}),
        ("CLIPTextEncode", ["blurry, deformed"], {"clip": (6, 1)}, "What to avoid"),
        ("ControlNetLoader", ["control_v11f1p_sd15_depth_fp16.safetensors"], {}),
        tops=[-600, -370, -130],
        left=1520,
    )
    graph.column(
        "6  Depth leads the picture",
        (
            "ControlNetApplyAdvanced",
            [0.8, 0.0, 1.0],
            {"positive": (7, 0), "negative": (8, 0), "control_net": (9, 0), "image": (5, 1)},
        ),
        ("EmptyLatentImage", [512, 512, 1], {}),
        tops=[-400, -100],
        gap=160,
    )
    graph.column(
        "7  Sampling",
        (
            "KSampler",
            [42, 20, 7.0, "euler", "normal", 1.0],
            {
                **{"model": (6, 0), "positive": (10, 0), "negative": (10, 1)},
                "latent_image": (11, 0),
            },
        ),
        tops=[-640],
        gap=160,
    )
    decode = ("VAEDecode", [], {"samples": (12, 0), "vae": (6, 2)})
    graph.column("8  Picture", decode, tops=[-800])
    graph.column("9  Result", ("SaveImage", ["bokeh/controlnet"], {"images": (13, 0)}), tops=[-800])
    graph.write("10 Depth to ControlNet")


PROXIES = ("strength", "focus_mode", "focus_x", "focus_y", "aperture_blades", "highlight_boost")


def blueprint():
    """Write the subgraph "Photo to bokeh": a photo, depth where there is any, a look."""
    graph = Graph("")
    graph.column("", ("RenderBokeh", LOOK, {}))
    lens = graph.nodes[1] | {"id": 1, "pos": [0, 0], "order": 0}
    wires = (("image", "IMAGE"), ("depth", lens["inputs"][1]["type"]))
    key = str(uuid.uuid5(uuid.NAMESPACE_URL, "bokehdepth/Photo to bokeh"))
    links = []
    for slot, (name, kind) in enumerate(wires):
        target = [one["name"] for one in lens["inputs"]].index(name)
        lens["inputs"][target]["link"] = slot + 1
        links.append(_wire(slot + 1, -10, slot, 1, target, kind))
    lens["outputs"][0]["links"] = [3]
    links.append(_wire(3, 1, 0, -20, 0, "IMAGE"))
    inside = {
        "id": key,
        "version": 1,
        "state": {"lastGroupId": 0, "lastNodeId": 1, "lastLinkId": 3, "lastRerouteId": 0},
        "revision": 0,
        "config": {},
        "name": "Photo to bokeh",
        "inputNode": {"id": -10, "bounding": [-260, 0, 120, 80]},
        "outputNode": {"id": -20, "bounding": [440, 0, 120, 60]},
        "inputs": [_end(n, k, [i + 1]) for i, (n, k) in enumerate(wires)],
        "outputs": [_end("image", "IMAGE", [3])],
        "widgets": [],
        "nodes": [lens],
        "groups": [],
        "links": links,
        "extra": {},
        "category": "BokehDepth",
        "description": "Blurs the background of a photo as a lens does. Without depth, people "
        "are found in it and depth is guessed.",
    }
    outside = {
        "id": 1,
        "type": key,
        "pos": [0, 0],
        "size": [300, 220],
        "flags": {},
        "order": 0,
        "mode": 0,
        "inputs": [{"name": name, "type": kind, "link": None} for name, kind in wires],
        "outputs": [{"name": "image", "type": "IMAGE", "links": []}],
        "title": "Photo to bokeh",
        "properties": {"proxyWidgets": [["1", name] for name in PROXIES]},
        "widgets_values": [],
    }
    whole = {"revision": 0, "last_node_id": 1, "last_link_id": 0, "nodes": [outside], "links": []}
    whole |= {"version": 0.4, "definitions": {"subgraphs": [inside]}, "extra": {}}
    file = graphs.ROOT / "subgraphs" / "Photo to bokeh.json"
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(whole, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _wire(number, source, output, target, slot, kind):
    return {
        "id": number,
        "origin_id": source,
        "origin_slot": output,
        "target_id": target,
        "target_slot": slot,
        "type": kind,
    }


def _end(name, kind, links):
    key = str(uuid.uuid5(uuid.NAMESPACE_URL, f"bokehdepth/Photo to bokeh/{name}/{links}"))
    return {"id": key, "name": name, "type": kind, "linkIds": links}


ALL = (portrait, depth_anything, moge, focus_pull, linear_exr, point_cloud, control_net)

if __name__ == "__main__":
    for make in (*ALL, blueprint):
        make()
