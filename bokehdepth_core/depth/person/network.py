"""The network that finds people in a photo: a small encoder, and a decoder with gated skips.

It is MediaPipe's selfie segmentation (Apache-2.0), written anew for PyTorch from the operations of
the published TensorFlow Lite file, whose weights `benchmarks/convert_person.py` takes over. The
encoder is MobileNetV3's: inverted residuals with squeeze-and-excitation.

Reference:
    Howard et al.: Searching for MobileNetV3, ICCV 2019 (blocks and hard swish).
    Hu et al.: Squeeze-and-Excitation Networks, CVPR 2018 (gates).
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

SIDE = 256  # px, height and width of the picture that the network takes

# Of each inverted residual: channels in, expanded, out; side of the kernel; stride; channels of
# the gate's bottleneck, 0 for none; whether its activation is hard swish in place of ReLU.
_BLOCKS = (
    (16, 16, 16, 3, 2, 8, False),
    (16, 72, 24, 3, 2, 0, False),
    (24, 88, 24, 3, 1, 0, False),
    (24, 96, 32, 5, 2, 24, True),
    (32, 128, 32, 5, 1, 32, True),
    (32, 128, 32, 5, 1, 32, True),
    (32, 96, 32, 5, 1, 24, True),
    (32, 96, 32, 5, 1, 24, True),
)
_HEAD = 128  # channels behind the encoder
# Of each step of the decoder: channels that come up; channels of the skip; index of the block whose
# result is the skip, -1 for the stem.
_STEPS = ((128, 24, 2), (24, 16, 0), (16, 16, -1))


class PersonNetwork(nn.Module):
    """Pictures to the probability that a pixel belongs to a person."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, stride=2)
        self.blocks = nn.ModuleList(InvertedResidual(*one) for one in _BLOCKS)
        self.head = nn.Conv2d(_BLOCKS[-1][2], _HEAD, 1)
        self.head_gate = nn.Conv2d(_BLOCKS[-1][2], _HEAD, 1)
        self.steps = nn.ModuleList(GatedSkip(deep, skip) for deep, skip, _ in _STEPS)
        self.last = nn.ConvTranspose2d(_STEPS[-1][1], 1, 2, stride=2)

    def forward(self, picture: Tensor) -> Tensor:
        """Return the probability of a person, [B,256,256], 0…1.

        Args:
            picture: [B,3,256,256], sRGB, 0…1.
        """
        deep = functional.hardswish(self.stem(_padded(picture, 3, 2)))
        skips = {-1: deep}
        for index, block in enumerate(self.blocks):
            deep = skips[index] = block(deep)
        gate = torch.sigmoid(self.head_gate(_mean(deep)))
        deep = functional.relu(self.head(deep)) * gate
        for step, (_, _, index) in zip(self.steps, _STEPS, strict=True):
            deep = step(deep, skips[index])
        return torch.sigmoid(self.last(deep))[:, 0]


class InvertedResidual(nn.Module):
    """Expand, convolve each channel, gate, project; added to what came where the shapes allow."""

    def __init__(
        self, inside: int, wide: int, out: int, kernel: int, stride: int, gate: int, swish: bool
    ) -> None:
        super().__init__()
        self.kernel, self.stride, self.swish = kernel, stride, swish
        self.residual = stride == 1 and inside == out
        self.expand = nn.Conv2d(inside, wide, 1)
        self.depthwise = nn.Conv2d(wide, wide, kernel, stride=stride, groups=wide)
        self.gate = Gate(wide, gate) if gate else None
        self.project = nn.Conv2d(wide, out, 1)

    def forward(self, plane: Tensor) -> Tensor:
        """Return [B,out,H/stride,W/stride] of [B,inside,H,W]."""
        active = functional.hardswish if self.swish else functional.relu
        wide = active(self.expand(plane))
        wide = active(self.depthwise(_padded(wide, self.kernel, self.stride)))
        if self.gate is not None:
            wide = wide * self.gate(wide)
        projected: Tensor = self.project(wide)
        return projected + plane if self.residual else projected


class Gate(nn.Module):
    """Squeeze and excitation: a factor 0…1 for each channel, from the means of all."""

    def __init__(self, channels: int, bottleneck: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(channels, bottleneck, 1)
        self.excite = nn.Conv2d(bottleneck, channels, 1)

    def forward(self, plane: Tensor) -> Tensor:
        """Return [B,C,1,1] of [B,C,H,W]."""
        return torch.sigmoid(self.excite(functional.relu(self.squeeze(_mean(plane)))))


class GatedSkip(nn.Module):
    """Double the size; add the encoder's result of that size as far as a gate lets it through."""

    def __init__(self, deep: int, skip: int) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(deep, skip, 1)
        self.gate = Gate(skip, skip)
        self.mix = nn.Conv2d(skip, skip, 1)
        self.depthwise = nn.Conv2d(skip, skip, 3, padding=1, groups=skip)

    def forward(self, deep: Tensor, skip: Tensor) -> Tensor:
        """Return [B,skip,2H,2W] of [B,deep,H,W] and the skip, [B,skip,2H,2W]."""
        larger = functional.interpolate(deep, scale_factor=2, mode="bilinear", align_corners=False)
        reduced = self.reduce(larger)
        mixed = functional.relu(self.mix(skip * self.gate(skip + reduced) + reduced))
        return mixed + functional.relu(self.depthwise(mixed))


def _padded(plane: Tensor, kernel: int, stride: int) -> Tensor:
    """Return [B,C,H,W] with the border that TensorFlow calls SAME: the odd pixel at the end."""
    left, right = (kernel - stride) // 2, (kernel - stride + 1) // 2
    return functional.pad(plane, (left, right, left, right))


def _mean(plane: Tensor) -> Tensor:
    return plane.mean((2, 3), keepdim=True)
