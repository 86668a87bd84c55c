"""Random MoGe 2 and Depth Anything 3 in ComfyUI's own classes; stand in for the weights.

As a script it writes files that ComfyUI's *Load MoGe Model* and *Load Depth Anything 3* read:

    COMFYUI_PATH=... python tests/make_tiny_geometry.py models/geometry_estimation
"""

import sys
from pathlib import Path

import torch
from make_tiny_flux import randomize, use_comfyui
from safetensors.torch import save_file

MOGE_FILE = "moge_2_vitl_normal_fp16.safetensors"
DA3_FILE = "depth_anything_3_mono_large.safetensors"
HEAD = 64  # width of an attention head that ComfyUI assumes for MoGe
LEVELS, THIN = 5, 8  # of MoGe's pyramid, and its channels


def moge():
    """Return a MoGe 2 of four thin blocks, with normals and metres."""
    from comfy.ldm.moge.model import MoGeModelV2

    backbone = {
        **{"hidden_size": HEAD, "num_attention_heads": 1, "num_hidden_layers": 4},
        **{"layer_norm_eps": 1e-6, "use_swiglu_ffn": False},
    }

    def stack(first: int, out: list[int | None], later: int | None) -> dict:
        return {
            "dim_in": [first] + [later] * (LEVELS - 1),
            "dim_res_blocks": [THIN] * LEVELS,
            "dim_out": out,
            "num_res_blocks": [1] * LEVELS,
            "resamplers": ["bilinear"] * (LEVELS - 1),
            "res_block_in_norm": "none",
            "res_block_hidden_norm": "none",
        }

    def head(channels: int) -> dict:
        return stack(THIN, [None] * (LEVELS - 1) + [channels], THIN)

    return MoGeModelV2(
        encoder={"backbone": backbone, "intermediate_layers": [0, 1, 2, 3], "dim_out": THIN},
        neck=stack(THIN + 2, [THIN] * LEVELS, 2),
        points_head=head(3),
        mask_head=head(1),
        normal_head=head(3),
        scale_head={"dims": [HEAD, THIN, 1]},
    )


def depth_anything():
    """Return a Depth Anything 3 with a sky, as thin as ComfyUI's table of backbones allows."""
    import comfy.ops
    from comfy.ldm.depth_anything_3.model import DepthAnything3Net

    return DepthAnything3Net(
        backbone_name="vits",
        out_layers=(5, 7, 9, 11),
        head_type="dpt",
        head_dim_in=384,
        head_features=16,
        head_out_channels=(8, 8, 8, 8),
        operations=comfy.ops.manual_cast,
    )


def write(folder: Path) -> None:
    """Write both files, with random weights, in half precision."""
    use_comfyui()
    for file, make in ((MOGE_FILE, moge), (DA3_FILE, depth_anything)):
        weights = randomize(make()).state_dict()
        halves = {name: one.to(torch.float16).contiguous() for name, one in weights.items()}
        save_file(halves, str(folder / file))


if __name__ == "__main__":
    write(Path(sys.argv[1]))
