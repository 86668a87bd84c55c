"""Graphs for ComfyUI, written column by column: nodes below each other, links to the right.

Our nodes' inputs come from tests/data/node_schemas.json, ComfyUI's own from the table below.
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
SEVERAL = {"BokehStackFromImages": 180}  # px more, for two rows of them
PICKER = 420  # px of the focus picker
PICKED = {"RenderBokeh", "FocusPull"}
SAID = 110  # px by which they grow in the classic canvas for what a run says
NODES_2 = {  # px high in Nodes 2.0, which folds inputs, and adds text and picture after a run
    **{"RenderBokeh": 900, "FocusPull": 700, "BokehStackFromImages": 140, "SaveMetricDepth": 140},
    **{"LoadMetricDepth": 260, "DefocusAwareDepth": 260, "GenerateBokehStack": 380},
}
COLOURS = ("#3f789e", "#3f8f5a", "#8a6d3b", "#3f789e")
HUB = "https://huggingface.co"
# Of ComfyUI's nodes: sockets in (name, type), widgets (name, type), outputs (name, type).
CORE = {
    "LoadImage": ([], [("image", "COMBO")], [("IMAGE", "IMAGE"), ("MASK", "MASK")]),
    "PreviewImage": ([("images", "IMAGE")], [], []),
    "SaveImage": ([("images", "IMAGE")], [("filename_prefix", "STRING")], []),
    "SaveAnimatedWEBP": (
        [("images", "IMAGE")],
        [
            *(("filename_prefix", "STRING"), ("fps", "FLOAT"), ("lossless", "BOOLEAN")),
            *(("quality", "INT"), ("method", "COMBO")),
        ],
        [],
    ),
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
    *("DefocusAwareDepth", "SaveMetricDepth", "LoadMetricDepth", "FocusPull", "SaveAnimatedWEBP"),
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

    def column(self, title: str, *nodes, tops=(), gap=GAP, left=None):
        """Add nodes below each other, in a group. Each: (type, values, {input: (node, output)}).

        Args:
            title: of the group.
            nodes: from top to bottom.
            tops: where each begins, px, so that links pass by other nodes; else one after another.
            gap: px to the column before.
            left: where the column begins, px, in the place of the gap.
        """
        first = self.left + gap - GAP if left is None else left
        ends = []
        for index, (kind, values, wired, *more) in enumerate(nodes):
            name = more[0] if more else None
            top = tops[index] if tops else ends[-1] + 60 if ends else TOP
            ends.append(top + self._node(kind, values, wired, name, first, top))
        begin = (tops[0] if tops else TOP) - 80
        end = ends[-1] + 40 + SAID * (nodes[-1][0] in PICKED)
        self.groups.append(
            {
                "id": len(self.groups) + 1,
                "title": title,
                "bounding": [first - 20, begin, WIDTH + 40, end - begin],
                "color": COLOURS[len(self.groups) % len(COLOURS)],
                "font_size": 24,
                "flags": {},
            }
        )
        self.left = max(self.left, first + WIDTH + GAP)
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
        height += SEVERAL.get(kind, 0)
        height += PICTURE * (kind in SHOWS_PICTURE) + PICKER * (kind in PICKED)
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
        if kind in PICKED:
            properties["focus picker"] = "open"
        if kind in NODES_2:
            properties["height in Nodes 2.0"] = NODES_2[kind]
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
