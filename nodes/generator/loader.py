"""Choose the models of both stages; nothing is loaded before a node uses one."""

from comfy_api.latest import io

from ...bokehdepth_core import BUILT_IN
from ...bokehdepth_core.depth.networks.depth_anything import ATTENTION_SCALES
from ...bokehdepth_core.weights.published import ADAPTER, DEPTH
from .. import sockets
from ..host import services
from ..host.early import check_listed, said

PARTS = {"model": "MODEL", "clip": "CLIP", "vae": "VAE"}  # of FLUX, connected together


class LoadBokehDepth(io.ComfyNode):
    """LoadBokehDepth: the choice of adapter, base model, depth checkpoint and precision."""

    @classmethod
    def define_schema(cls):
        models = [BUILT_IN, *services.model_files()]
        return services.fit(
            io.Schema,
            node_id="LoadBokehDepth",
            display_name="Load BokehDepth",
            category=services.CATEGORY,
            description="Choose what makes bokeh stacks and what reads depth. Nothing is loaded "
            "before a node first uses it; built-in needs no files at all.",
            search_aliases=["bokeh model", "bokeh lora", "defocus", "depth model"],
            inputs=[
                io.Combo.Input(
                    "bokeh_adapter",
                    options=[*models, *services.downloadable(ADAPTER)],
                    default=BUILT_IN,
                    tooltip="What makes the blurred frames. built-in renders them from a depth "
                    "map; other entries are files in models/bokehdepth.",
                ),
                io.Combo.Input(
                    "base_model",
                    options=[*models, *services.base_models()],
                    default=BUILT_IN,
                    tooltip="What the adapter was trained on, FLUX.1-Kontext: a diffusers folder "
                    "in models/bokehdepth, or one of ComfyUI's model files; FLUX.2 as a folder "
                    "alone. Not used with the built-in adapter, or when model, clip and vae are "
                    "connected.",
                ),
                io.Combo.Input(
                    "depth_checkpoint",
                    options=[*models, *services.downloadable(DEPTH)],
                    default=BUILT_IN,
                    tooltip="What reads depth. built-in compares the frames of a bokeh stack; "
                    "other entries are files in models/bokehdepth, or published ones, downloaded "
                    "when first used.",
                ),
                io.Combo.Input(
                    "precision",
                    options=services.PRECISIONS,
                    default="auto",
                    tooltip="Number format of the networks. auto takes the best your device is "
                    "fast at. built-in always works in fp32.",
                ),
                io.Model.Input(
                    "model",
                    optional=True,
                    tooltip="FLUX.1-Kontext as loaded by ComfyUI, or FLUX.2 with an adapter "
                    "trained on it; used with clip and vae in place of base_model.",
                ),
                io.Clip.Input(
                    "clip",
                    optional=True,
                    tooltip="Text encoders of FLUX.1 (CLIP-L and T5), or the one of FLUX.2.",
                ),
                io.Vae.Input("vae", optional=True, tooltip="VAE of FLUX."),
                io.Combo.Input(
                    "attention_scale",
                    options=["auto", *ATTENTION_SCALES],
                    default="auto",
                    optional=True,
                    tooltip="How Depth Anything with DSFA scales its attention; other networks "
                    "take no notice. auto does as the file says, else trained: as its training "
                    "configuration. single: as its published inference command. double: as that "
                    "configuration on its GPU path.",
                ),
            ],
            outputs=[
                sockets.Generator.Output(
                    display_name="generator", tooltip="For Generate Bokeh Stack."
                ),
                sockets.Estimator.Output(
                    display_name="depth_model", tooltip="For Defocus-Aware Depth."
                ),
            ],
        )

    @classmethod
    def fingerprint_inputs(cls, bokeh_adapter, base_model, depth_checkpoint, precision, **_):
        names = (bokeh_adapter, base_model, depth_checkpoint)
        return str([precision, *(services.file_state(name) for name in names)])

    @classmethod
    def validate_inputs(cls, bokeh_adapter=None, input_types=None):
        """Check what is connected; by naming `input_types` this node checks their types, too."""
        return said(lambda types: _check_choice(bokeh_adapter, types), input_types)

    @classmethod
    def execute(
        cls,
        bokeh_adapter,
        base_model,
        depth_checkpoint,
        precision,
        model=None,
        clip=None,
        vae=None,
        attention_scale="auto",
    ):
        connected = {"model": model, "clip": clip, "vae": vae}
        missing = [name for name, value in connected.items() if value is None]
        check_together(missing)
        if not missing:
            check_adapter_used(bokeh_adapter)
        return io.NodeOutput(
            sockets.BokehGenerator(bokeh_adapter, base_model, precision, **connected),
            sockets.DepthEstimator(depth_checkpoint, precision, attention_scale),
        )


def _check_choice(bokeh_adapter: str | None, types: dict[str, str]) -> None:
    """Check the parts of FLUX and the adapter that they are for, before anything runs.

    Args:
        bokeh_adapter: None where it is linked.
        types: of what is connected, by the names of the inputs.

    Raises:
        ValueError: parts of another type or some of them missing, or an adapter that is not there
            or makes no use of them.
    """
    check_parts(types)
    if bokeh_adapter is None:
        return
    files = [BUILT_IN, *services.model_files(), *services.downloadable(ADAPTER)]
    check_listed(bokeh_adapter, "bokeh_adapter", files)
    if all(name in types for name in PARTS):
        check_adapter_used(bokeh_adapter)


def check_adapter_used(bokeh_adapter: str) -> None:
    """Check that connected parts of FLUX are for an adapter that uses them.

    Raises:
        ValueError: the built-in adapter.
    """
    if bokeh_adapter == BUILT_IN:
        raise ValueError(
            "bokeh_adapter: choose an adapter file: built-in makes no use of the connected model. "
            "Or disconnect model, clip and vae."
        )


def check_together(missing: list[str]) -> None:
    """Check that FLUX's three parts are connected together, or none of them.

    Raises:
        ValueError: some are missing.
    """
    if 0 < len(missing) < len(PARTS):
        raise ValueError(
            f"{', '.join(missing)}: not connected. Connect model, clip and vae together, or "
            "none of them."
        )


def check_parts(types: dict[str, str]) -> None:
    """Check the parts of FLUX by the types of what is connected, before anything runs.

    Raises:
        ValueError: another type, or some of them missing.
    """
    for name, kind in types.items():
        wanted = PARTS.get(name)
        if wanted and kind not in (wanted, "*"):
            raise ValueError(f"{name}: connect a {wanted}. A {kind} is connected.")
    check_together([name for name in PARTS if name not in types])
