"""Take the weights of MediaPipe's selfie segmentation over into a safetensors file.

    npm pack @mediapipe/selfie_segmentation@0.1.1675465747 && tar xzf mediapipe-selfie*.tgz
    python benchmarks/convert_person.py package/selfie_segmentation.tflite

writes selfie_segmentation.safetensors into bokehdepth_core/depth/person/assets. The numbers stay
those of the file, 16-bit floats; only their order of axes changes. Needs `pip install
ai-edge-litert`, the runtime of such files; `tests/depth/person/test_person_network.py` compares
both networks on it, where SELFIE_SEGMENTATION_TFLITE names the original file.
"""

import sys
from pathlib import Path

import numpy as np
import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).parents[1]))

from bokehdepth_core.depth.person.find import WEIGHTS
from bokehdepth_core.depth.person.network import PersonNetwork
from bokehdepth_core.weights.reading import write_safetensors

SOURCE = "npm @mediapipe/selfie_segmentation 0.1.1675465747, selfie_segmentation.tflite"
NOTE = "Copyright The MediaPipe Authors; Apache-2.0. Converted to safetensors, numbers unchanged."
# TensorFlow's order of a kernel's axes, by kind of operation, as PyTorch wants them.
AXES = {
    "CONV_2D": (0, 3, 1, 2),
    "DEPTHWISE_CONV_2D": (3, 0, 1, 2),
    "Convolution2DTransposeBias": (3, 0, 1, 2),
}


def run_original(file, picture):
    """Return what the original network gives, [256,256], for a picture [256,256,3], 0…1."""
    interpreter = _interpreter(file)
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], picture[None])
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])[0, ..., 0]


def original_weights(file):
    """Return (kernel, bias) of every convolution in the order in which they run, 16-bit floats."""
    interpreter = _interpreter(file)
    stored, found = {}, []
    for operation in interpreter._get_ops_details():
        name, inputs = operation["op_name"], [int(one) for one in operation["inputs"]]
        if name == "DEQUANTIZE":  # of 16-bit floats to 32
            stored[int(operation["outputs"][0])] = inputs[0]
        elif name in AXES:
            kernel, bias = (interpreter.get_tensor(stored[one]) for one in inputs[1:])
            found.append((np.transpose(kernel, AXES[name]), bias))
    return found


def converted(file):
    """Return the weights by their names in `PersonNetwork`."""
    kinds = (nn.Conv2d, nn.ConvTranspose2d)
    network = PersonNetwork()
    layers = [name for name, one in network.named_modules() if isinstance(one, kinds)]
    weights = {}
    for name, pair in zip(layers, original_weights(file), strict=True):
        for kind, value in zip(("weight", "bias"), pair, strict=True):
            weights[f"{name}.{kind}"] = torch.from_numpy(np.ascontiguousarray(value))
    assert {k: v.shape for k, v in weights.items()} == {
        k: v.shape for k, v in network.state_dict().items()
    }
    return weights


def _interpreter(file):
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(file))
    interpreter.allocate_tensors()
    return interpreter


if __name__ == "__main__":
    WEIGHTS.parent.mkdir(parents=True, exist_ok=True)
    write_safetensors(WEIGHTS, converted(sys.argv[1]), {"source": SOURCE, "note": NOTE})
    print(f"{WEIGHTS}: {WEIGHTS.stat().st_size} bytes")
