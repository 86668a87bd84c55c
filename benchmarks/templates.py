"""Write the example graphs of workflows/ that are laid out by columns, and the subgraph.

    python benchmarks/templates.py

Our nodes' inputs come from tests/data/node_schemas.json, ComfyUI's own from the table below. Every
graph has a note to the left, then columns of nodes in one group each. Links go from left to right.
"""

import json
import uuid
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SCHEMAS = json.loads((ROOT / "tests" / "data" / "node_schemas.json").read_text(encoding="utf-8"))
WIDGETS = {"INT", "FLOAT", "STRING", "BOOLEAN", "COMBO"}
WIDTH, GAP, TOP = 340, 80, 60
ROW, TITLE = 24, 40  # px of a widget or socket, and of what is above them
PICTURE = 340  # px below the widgets of nodes that show one
PICKER = 420  # px of the focus picker
COLOURS = ("#3f789e", "#3f8f5a", "#8a6d3b", "#3f789e")
HUB = "https://huggingface.co"
# Of ComfyUI's nodes: sockets in (name, type), widgets (name, type), outputs (name, type).
CORE = {
    "LoadImage": ([], [("image", "COMBO")], [("IMAGE", "IMAGE"), ("MASK", "MASK")]),
    "PreviewImage": ([("images", "IMAGE")], [], []),
    "SaveImage": ([("images", "IMAGE")], [("filename_prefix", "STRING")], []),
    "LoadDA3Model": (
        [],
        [("model_name", "COMBO"), ("weight_dtype", "COMBO")],
        [("DA3_MODEL", "DA3_MODEL")],
    ),
    "DA3Inference": (
        [("da3_model", "DA3_MODEL"), ("image", "IMAGE")],
        [("resolution", "INT"), ("resize_method", "COMBO"), ("mode", "COMFY_DYNAMICCOMBO_V3")],
        [("da3_geometry", "DA3_GEOMETRY")],
    ),
    "LoadMoGeModel": ([], [("model_name", "COMBO")], [("MOGE_MODEL", "MOGE_MODEL")]),
    "MoGeInference": (
        [("moge_model", "MOGE_MODEL"), ("image", "IMAGE")],
        [
            *(("resolution_level", "INT"), ("fov_x_degrees", "FLOAT"), ("batch_size", "INT")),
            *(("force_projection", "BOOLEAN"), ("apply_mask", "BOOLEAN")),
        ],
        [("moge_geometry", "MOGE_GEOMETRY")],
    ),
    "MoGeGeometryToFOV": (
        [("moge_geometry", "MOGE_GEOMETRY")],
        [("axis", "COMBO"), ("unit", "COMBO")],
        [("fov", "FLOAT"), ("focal_pixels", "FLOAT")],
    ),
    "CheckpointLoaderSimple": (
        [],
        [("ckpt_name", "COMBO")],
        [("MODEL", "MODEL"), ("CLIP", "CLIP"), ("VAE", "VAE")],
    ),
    "ControlNetLoader": ([], [("control_net_name", "COMBO")], [("CONTROL_NET", "CONTROL_NET")]),
    "CLIPTextEncode": (
        [("clip", "CLIP")],
        [("text", "STRING")],
        [("CONDITIONING", "CONDITIONING")],
    ),
    "ControlNetApplyAdvanced": (
        [
            *(("positive", "CONDITIONING"), ("negative", "CONDITIONING")),
            *(("control_net", "CONTROL_NET"), ("image", "IMAGE")),
        ],
        [("strength", "FLOAT"), ("start_percent", "FLOAT"), ("end_percent", "FLOAT")],
        [("positive", "CONDITIONING"), ("negative", "CONDITIONING")],
    ),
    "EmptyLatentImage": (
        [],
        [("width", "INT"), ("height", "INT"), ("batch_size", "INT")],
        [("LATENT", "LATENT")],
    ),
    "KSampler": (
        [
            *(("model", "MODEL"), ("positive", "CONDITIONING"), ("negative", "CONDITIONING")),
            ("latent_image", "LATENT"),
        ],
        [
            *(("seed", "INT"), ("steps", "INT"), ("cfg", "FLOAT"), ("sampler_name", "COMBO")),
            *(("scheduler", "COMBO"), ("denoise", "FLOAT")),
        ],
        [("LATENT", "LATENT")],
    ),
    "VAEDecode": ([("samples", "LATENT"), ("vae", "VAE")], [], [("IMAGE", "IMAGE")]),
}
SHOWS_PICTURE = {
    *("LoadImage", "PreviewImage", "SaveImage", "BokehDepthExample", "BokehStackFromImages"),
    *("DefocusAwareDepth", "SaveMetricDepth", "LoadMetricDepth"),
}
MODELS = {
    "depth_anything_3_mono_large.safetensors": (
        "geometry_estimation",
        f"{HUB}/Comfy-Org/Depth-Anything-3/resolve/main/geometry_estimation/",
    ),
    "moge_2_vitl_normal_fp16.safetensors": (
        "geometry_estimation",
        f"{HUB}/Comfy-Org/MoGe/resolve/main/geometry_estimation/",
    ),
    "v1-5-pruned-emaonly-fp16.safetensors": (
        "checkpoints",
        f"{HUB}/Comfy-Org/stable-diffusion-v1-5-archive/resolve/main/",
    ),
    "control_v11f1p_sd15_depth_fp16.safetensors": (
        "controlnet",
        f"{HUB}/comfyanonymous/ControlNet-v1-1_fp16_safetensors/resolve/main/",
    ),
}


class Graph:
    """A graph that grows by columns."""

    def __init__(self, note: str, *, name: str = "How it works"):
        self.nodes, self.links, self.groups = [], [], []
        self.left = 0
        rows = sum(1 + len(line) // 46 for line in note.splitlines())
        self._add("MarkdownNote", [note], name, 400, 60 + 19 * rows, 0, 0, [], [])
        self.left = 480

    def column(self, title: str, *nodes):
        """Add nodes below each other, in a group. Each: (type, values, {input: (node, output)})."""
        top, first = TOP, self.left
        for kind, values, wired, *more in nodes:
            name = more[0] if more else None
            height = self._node(kind, values, wired, name, self.left, top)
            top += height + 60
        self.groups.append(
            {
                "id": len(self.groups) + 1,
                "title": title,
                "bounding": [first - 20, TOP - 80, WIDTH + 40, top],
                "color": COLOURS[len(self.groups) % len(COLOURS)],
                "font_size": 24,
                "flags": {},
            }
        )
        self.left += WIDTH + GAP
        return len(self.nodes)

    def _node(self, kind, values, wired, name, left, top) -> int:
        if kind in CORE:
            sockets, widgets, outputs = CORE[kind]
            given = dict(zip([one[0] for one in widgets], values, strict=False))
        else:
            schema = SCHEMAS[kind]
            every = [(one[1], one[2], one[3]) for one in schema["inputs"]]
            sockets = [one[:2] for one in every if one[1] not in WIDGETS]
            widgets = [one[:2] for one in every if one[1] in WIDGETS]
            given = {one[0]: one[2] for one in every if one[1] in WIDGETS} | values
            outputs = [(one[1], one[0]) for one in schema["outputs"]]
        inputs = [{"name": key, "type": type_, "link": None} for key, type_ in sockets]
        inputs += [
            {"name": key, "type": type_, "widget": {"name": key}, "link": None}
            for key, type_ in widgets
        ]
        shown = [given.get(key) for key, _ in widgets]
        if "seed" in given:
            shown.insert([key for key, _ in widgets].index("seed") + 1, "fixed")
        if kind == "LoadImage":
            shown.append("image")
        height = TITLE + ROW * (len(widgets) + max(len(sockets), len(outputs)))
        height += PICTURE * (kind in SHOWS_PICTURE) + PICKER * (kind == "RenderBokeh")
        height += 90 * (kind == "CLIPTextEncode") + 120 * (kind == "DepthFromMask")
        node = self._add(kind, shown, name, WIDTH, height, left, top, inputs, outputs)
        for key, (source, output) in wired.items():
            self._link(source, output, node, key)
        return height

    def _add(self, kind, values, name, width, height, left, top, inputs, outputs):
        properties = {"Node name for S&R": kind} if kind != "MarkdownNote" else {}
        if properties:
            properties["cnr_id"] = "comfy-core" if kind in CORE else "bokehdepth"
        models = [one for one in values if isinstance(one, str) and one in MODELS]
        if models:
            folder, address = MODELS[models[0]]
            entry = {"name": models[0], "url": address + models[0], "directory": folder}
            properties["models"] = [entry]
        if kind == "RenderBokeh":
            properties["focus picker"] = "open"
        node = {
            "id": len(self.nodes) + 1,
            "type": kind,
            "pos": [left, top],
            "size": [width, height],
            "flags": {},
            "order": len(self.nodes),
            "mode": 0,
            "inputs": inputs,
            "outputs": [{"name": key, "type": type_, "links": []} for key, type_ in outputs],
            "properties": properties,
            "widgets_values": values,
        }
        if name:
            node["title"] = name
        if kind == "MarkdownNote":
            node |= {"color": "#432", "bgcolor": "#653"}
        self.nodes.append(node)
        return node

    def _link(self, source: int, output: int, node: dict, key: str):
        number = len(self.links) + 1
        slot = next(i for i, one in enumerate(node["inputs"]) if one["name"] == key)
        kind = self.nodes[source - 1]["outputs"][output]["type"]
        self.links.append([number, source, output, node["id"], slot, kind])
        node["inputs"][slot]["link"] = number
        self.nodes[source - 1]["outputs"][output]["links"].append(number)

    def write(self, name: str):
        """Write the graph under a name into workflows/."""
        graph = {
            "id": str(uuid.uuid5(uuid.NAMESPACE_URL, f"bokehdepth/{name}")),
            "revision": 0,
            "last_node_id": len(self.nodes),
            "last_link_id": len(self.links),
            "nodes": self.nodes,
            "links": self.links,
            "groups": self.groups,
            "config": {},
            "extra": {"ds": {"scale": 0.7, "offset": [60, 120]}},
            "version": 0.4,
        }
        text = json.dumps(graph, indent=1, ensure_ascii=False)
        (ROOT / "workflows" / f"{name}.json").write_text(text + "\n", encoding="utf-8")


LOOK = {"strength": 4.0, "strength_unit": "% of width", "focus_mode": "automatic"}


def portrait():
    """A photo of somebody alone: nothing to download."""
    graph = Graph(
        "## A portrait with a soft background\n\n1. **Choose a photo** of a person in *Load Image*."
        "\n2. Press **Run**.\n3. **Click** the picture in *Render Bokeh* to put the focus "
        "elsewhere, and run again.\n\nNothing is downloaded. With nothing in **depth**, people are "
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
    graph.column(
        "1  Photo and model",
        ("LoadImage", ["example.png"], {}),
        ("LoadDA3Model", ["depth_anything_3_mono_large.safetensors", "default"], {}),
    )
    graph.column(
        "2  Depth",
        (
            "DA3Inference",
            [504, "upper_bound_resize", "mono"],
            {"da3_model": (3, 0), "image": (2, 0)},
        ),
    )
    graph.column("3  Through the lens", ("RenderBokeh", LOOK, {"image": (2, 0), "depth": (4, 0)}))
    graph.column("4  Result", ("SaveImage", ["bokeh/depth_anything"], {"images": (5, 0)}))
    graph.write("02 Depth Anything 3 to bokeh")


def moge():
    """Metres from MoGe, and a lens by its f-number."""
    graph = Graph(
        "## Photo → MoGe → a lens with its f-number\n\n*MoGe* is ComfyUI's own (0.22 and later) "
        "and gives **metres** and the camera's field of view. The model is offered for download "
        "when the graph opens:\n\n**models/geometry_estimation**\n- "
        f"[moge_2_vitl_normal_fp16.safetensors]({HUB}/Comfy-Org/MoGe/resolve/main/"
        "geometry_estimation/moge_2_vitl_normal_fp16.safetensors)\n\n1. *MoGe Geometry to FOV* "
        "tells the focal length in px.\n2. *Bokeh Strength from Lens* makes the bokeh of a "
        "full-frame lens of that view from **f number** and **focus distance**.\n3. Give *Render "
        "Bokeh* the same **focus distance**; 0 there takes it where you click.\n"
    )
    graph.column(
        "1  Photo and model",
        ("LoadImage", ["example.png"], {}),
        ("LoadMoGeModel", ["moge_2_vitl_normal_fp16.safetensors"], {}),
    )
    graph.column(
        "2  Metres and the view",
        ("MoGeInference", [9, 0.0, 4, True, True], {"moge_model": (3, 0), "image": (2, 0)}),
        ("MoGeGeometryToFOV", ["horizontal", "degrees"], {"moge_geometry": (4, 0)}),
    )
    graph.column(
        "3  Which lens",
        (
            "LensBokehStrength",
            {"f_number": 1.4},
            {"image": (2, 0), "focal_length_px": (5, 1)},
        ),
    )
    graph.column(
        "4  Through the lens",
        (
            "RenderBokeh",
            {"focus_mode": "automatic"},
            {"image": (2, 0), "depth": (4, 0), "strength": (6, 0)},
        ),
    )
    graph.column("5  Result", ("SaveImage", ["bokeh/lens"], {"images": (7, 0)}))
    graph.write("03 MoGe to real f-numbers")


def linear_exr():
    """A render of a 3D program, its light unclipped and its Z."""
    graph = Graph(
        "## Linear EXR with Z → lens bokeh\n\nFor renders of Blender, Nuke and others: one EXR "
        "with colour and a depth channel, multi-layer files too.\n\n1. Upload it in *Load Metric "
        "Depth* and in *Load Image*. ComfyUI 0.33 and later loads EXR as linear light.\n2. "
        "**color space** of *Render Bokeh* is `linear Rec.709`: nothing is clipped, so a lamp "
        "stays as bright as it is.\n3. Save with *Save Image (Advanced)* as EXR to keep all of "
        "it; the preview here shows the middle of the light.\n\nA layer of its own name goes into "
        "**channel**, as `ViewLayer.Depth.Z`.\n"
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
    graph.column(
        "1  Photos at several apertures",
        ("BokehDepthExample", {}, {}),
        ("LoadBokehDepth", {}, {}),
    )
    graph.column(
        "2  Depth in metres",
        ("BokehStackFromImages", {}, {"reference": (2, 0), "frames": (2, 1)}),
        (
            "DefocusAwareDepth",
            {"focal_length_px": 614.4, "focus_distance": 1.5},
            {"image": (2, 0), "depth_model": (3, 1), "stack": (4, 0)},
        ),
    )


def point_cloud():
    """Metres and a focal length make points."""
    graph = Graph(
        "## Metric depth → point cloud\n\nPress **Run**: nothing is downloaded. The bundled "
        "bracket gives depth in metres, and *Save Metric Depth* writes it as a coloured point "
        "cloud (PLY) into `output/depth`. Open it in MeshLab, Blender or CloudCompare.\n\nA point "
        "cloud needs **metres** and a **focal length** in px; MoGe's geometry has both and goes "
        "straight into *Save Metric Depth*.\n"
    )
    bracket_depth(graph)
    graph.column(
        "3  Saved as points",
        (
            "SaveMetricDepth",
            {"format": "PLY point cloud", "filename_prefix": "depth/cloud"},
            {"depth": (5, 0), "image": (2, 0)},
        ),
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
    graph.column(
        "3  Models and prompts",
        ("CheckpointLoaderSimple", ["v1-5-pruned-emaonly-fp16.safetensors"], {}),
        ("ControlNetLoader", ["control_v11f1p_sd15_depth_fp16.safetensors"], {}),
        ("CLIPTextEncode", ["an explorer in an observatory, film still"], {"clip": (6, 1)}),
        ("CLIPTextEncode", ["blurry, deformed"], {"clip": (6, 1)}, "What to avoid"),
        ("EmptyLatentImage", [512, 512, 1], {}),
    )
    graph.column(
        "4  Depth leads the picture",
        (
            "ControlNetApplyAdvanced",
            [0.8, 0.0, 1.0],
            {"positive": (8, 0), "negative": (9, 0), "control_net": (7, 0), "image": (5, 1)},
        ),
        (
            "KSampler",
            [42, 20, 7.0, "euler", "normal", 1.0],
            {
                **{"model": (6, 0), "positive": (11, 0), "negative": (11, 1)},
                "latent_image": (10, 0),
            },
        ),
        ("VAEDecode", [], {"samples": (12, 0), "vae": (6, 2)}),
    )
    graph.column("5  Result", ("SaveImage", ["bokeh/controlnet"], {"images": (13, 0)}))
    graph.write("10 Depth to ControlNet")


ALL = (portrait, depth_anything, moge, linear_exr, point_cloud, control_net)

if __name__ == "__main__":
    for make in ALL:
        make()
