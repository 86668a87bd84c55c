"""The example graphs of workflows/, and how the front end turns them into what the server runs."""

import json
import re
from pathlib import Path

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "workflows"
NAMES = sorted(file.stem for file in FOLDER.glob("*.json"))
SCHEMAS = json.loads((ROOT / "tests" / "data" / "node_schemas.json").read_text(encoding="utf-8"))
MODEL_FILE = re.compile(r"\.(safetensors|bin|pth)$")
# Nodes of ComfyUI that the graphs use, by the first version of the hosts at hand that has them.
OLD_CORE = {
    *("MarkdownNote", "PreviewImage", "SaveImage", "LoadImage", "UNETLoader", "DualCLIPLoader"),
    *("VAELoader", "LoraLoaderModelOnly", "CLIPTextEncode", "ImageScaleToTotalPixels"),
    *("VAEEncode", "VAEDecode", "ReferenceLatent", "FluxGuidance", "ConditioningZeroOut"),
    *("KSampler", "CheckpointLoaderSimple", "ControlNetLoader", "ControlNetApplyAdvanced"),
    *("EmptyLatentImage", "SaveAnimatedWEBP"),
}
NEW_CORE = {
    *("LoadDA3Model", "DA3Inference", "LoadMoGeModel", "MoGeInference", "MoGeGeometryToFOV"),
}
CORE = OLD_CORE | NEW_CORE


def load(name: str) -> dict:
    """Return an example graph as its file has it."""
    return json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))


def needs_models(graph: dict) -> bool:
    """Return whether a graph names model files that have to be downloaded."""
    return any(node["properties"].get("models") for node in graph["nodes"])


def as_prompt(graph: dict) -> dict:
    """Return a graph in API format: links by name, widget values in their order."""
    links = {link[0]: [str(link[1]), link[2]] for link in graph["links"]}
    prompt = {}
    for node in graph["nodes"]:
        if node["type"] == "MarkdownNote":
            continue
        inputs, values = {}, iter(node.get("widgets_values", []))
        for given in node["inputs"]:
            if "widget" in given:
                inputs[given["name"]] = next(values)
                if given["name"] == "seed":
                    next(values)  # what becomes of it after the run
            if given["link"] is not None:
                inputs[given["name"]] = links[given["link"]]
        prompt[str(node["id"])] = {"class_type": node["type"], "inputs": inputs}
    return prompt
