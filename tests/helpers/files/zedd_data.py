"""A data set in ZEDD's layout, of pictures taken by `lens_sampled`: one scene, three distances."""

import lens_sampled
import numpy as np
import torch
from PIL import Image

from bokehdepth_core import bokeh_strength_from_lens

SIZE = 96
FOCAL_PX = 323.0
RUNS = {1: ("6D3E", 0.9), 2: ("2371", 1.3), 3: ("1113", 2.6)}
APERTURES = (1.4, 2.0, 2.8, 4.0, 5.6, 16.0)


def write(folder):
    """Write the data set and return its folder."""
    scene = lens_sampled.scene(SIZE)
    pictures = folder / "val" / "val_0001" / "focus_stack"
    truth = folder / "val" / "val_0001" / "gt"
    pictures.mkdir(parents=True)
    truth.mkdir()
    lines = [f"run_{run}\t{code}\t{metres}" for run, (code, metres) in RUNS.items()]
    (folder / "metadata.txt").write_text("\n".join(["# run, motor, metres", *lines]))
    focal_mm = FOCAL_PX * 36 / SIZE
    for run, (code, metres) in RUNS.items():
        for number in APERTURES:
            # 36 mm wide and square: the equivalent focal length goes by the diagonal.
            equivalent = focal_mm * 43.27 / (36 * 2**0.5)
            strength = bokeh_strength_from_lens(number, focal_mm, equivalent, metres, SIZE, SIZE)
            light = lens_sampled.photo(scene, strength, 1 / metres)
            name = f"img_run_{run}_motor_{code}_aperture_F{number:.1f}.jpg"
            eight_bits = (light.clamp(0, 1) * 255).round().to(torch.uint8).numpy()
            Image.fromarray(eight_bits).save(pictures / name, quality=95)
    depth = (1 / lens_sampled.disparity(scene)).numpy().astype(np.float32)
    depth[:2] = 0  # the LiDAR's holes
    np.save(truth / "depth.npy", depth)
    centre = SIZE / 2
    np.savetxt(truth / "K.txt", [[FOCAL_PX, 0, centre], [0, FOCAL_PX, centre], [0, 0, 1]])
    return folder
