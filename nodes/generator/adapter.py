"""Apply BokehDepth Adapter: FLUX with a calibrated blur control, for any graph."""

from comfy_api.latest import io

from ...bokehdepth_core.generator.adapter import MAX_STRENGTH, MIN_STRENGTH, load_adapter
from ...bokehdepth_core.weights.published import ADAPTER
from ..flux import hooks as flux_hooks
from ..host import services
from ..host.early import check_listed, said


class ApplyBokehDepthAdapter(io.ComfyNode):
    """FLUX.1-Kontext or FLUX.2 with the background blur of one bokeh strength."""

    @classmethod
    def define_schema(cls):
        return services.fit(
            io.Schema,
            node_id="ApplyBokehDepthAdapter",
            display_name="Apply BokehDepth Adapter",
            category=services.CATEGORY,
            description="Gives FLUX.1-Kontext or FLUX.2 a calibrated blur control. The MODEL that "
            "comes in stays as it is; a second adapter on the same MODEL replaces the first.",
            search_aliases=["bokeh lora", "kontext bokeh", "depth of field control"],
            inputs=[
                io.Model.Input(
                    "model",
                    tooltip="FLUX.1-Kontext from Load Diffusion Model or a GGUF loader, or FLUX.2 "
                    "with an adapter trained on it; LoRAs may come before or after.",
                ),
                io.Combo.Input(
                    "bokeh_adapter",
                    options=[*services.model_files(), *services.downloadable(ADAPTER)],
                    tooltip="Adapter file in models/bokehdepth, published as bokeh_lora.bin.",
                ),
                io.Float.Input(
                    "strength",
                    default=20.0,
                    min=MIN_STRENGTH,
                    max=MAX_STRENGTH,
                    step=0.5,
                    tooltip="Bokeh strength K, px·m: 10 is gentle, 30 strong. The adapter was "
                    "trained from 1 to 30, and other values act as the nearer end.",
                ),
                io.Float.Input(
                    "lora_scale",
                    default=1.0,
                    min=-10.0,
                    max=10.0,
                    step=0.05,
                    optional=True,
                    tooltip="Scales the change of queries and keys; 1 as trained.",
                ),
                io.Float.Input(
                    "bokeh_scale",
                    default=1.0,
                    min=-10.0,
                    max=10.0,
                    step=0.05,
                    optional=True,
                    tooltip="Scales the strength signal; 1 as trained, 0 removes it.",
                ),
            ],
            outputs=[io.Model.Output(display_name="model", tooltip="Samples with the adapter.")],
        )

    @classmethod
    def validate_inputs(cls, bokeh_adapter=None):
        files = [*services.model_files(), *services.downloadable(ADAPTER)]
        return said(check_listed, bokeh_adapter, "bokeh_adapter", files)

    @classmethod
    def fingerprint_inputs(cls, bokeh_adapter, **_):
        return str(services.file_state(bokeh_adapter))

    @classmethod
    def execute(cls, model, bokeh_adapter, strength, lora_scale=1.0, bokeh_scale=1.0):
        with services.plain_errors():
            adapter = load_adapter(services.fetch_model(bokeh_adapter))
        updates = flux_hooks.query_key_updates(model, adapter, lora_scale)
        vectors = adapter.strength_vectors([strength], bokeh_scale)
        return io.NodeOutput(flux_hooks.attach(model, updates, vectors))
