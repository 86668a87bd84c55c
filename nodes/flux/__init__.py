"""ComfyUI's own FLUX with the bokeh adapter: hooks on its network, and its sampler."""
