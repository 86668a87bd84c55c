"""Graphs of the pack's nodes in API format, for tests in a real ComfyUI."""

HEIGHT, WIDTH = 333, 517


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


def tiny_flux(file, others):
    """Return a tiny FLUX's "flux" and its other "parts", and a small "photo"."""
    return {
        "flux": node("UNETLoader", unet_name=file, weight_dtype="default"),
        "parts": node(others),
        "example": node("BokehDepthExample"),
        "photo": scale("example", 0, 88, 72),
    }


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
