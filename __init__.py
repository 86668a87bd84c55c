"""BokehDepth for ComfyUI: bokeh stacks, metric depth from defocus, and lens-true bokeh."""

WEB_DIRECTORY = "./web"


async def comfy_entrypoint():
    """Return the extension; ComfyUI calls this once when it loads the pack."""
    from .nodes import BokehDepthExtension

    return BokehDepthExtension()
