"""Networks as training sees them: one call for every kind, losses for what it gives."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from ...depth.loading import load_network
from ...depth.networks.depth_anything import DSFA_MAX_DEPTH_M, DepthAnything
from ...depth.networks.dsfa import DividedSpaceFocusAttention
from ...depth.networks.options import NetworkOptions
from ...depth.networks.preprocess import IMAGENET_MEAN, IMAGENET_STD
from ...depth.networks.preprocess import PATCH as VIT_PATCH
from ...depth.networks.small import PATCH as SMALL_PATCH
from ...depth.networks.small import SmallDepth, SmallShape
from ...depth.networks.unidepth import UniDepth
from .batches import Batch
from .losses import affine_disparity_loss, defocus_loss, silog
from .settings import Settings

Network = SmallDepth | DepthAnything | UniDepth
LEAST_ATTENTION = 1e-3  # of the frames together; below it a stack teaches nothing
_NEAREST = 1e-3  # 1/m; of disparity that depth is made of


@dataclass(frozen=True, eq=False)
class Outputs:
    """What a network says about a batch.

    Attributes:
        defocus: [B,h,w], px at the largest strength; None without a stack.
        disparity: [B,h,w]: 1/m where `metric`, else in any unit and from any zero.
        metric: True where the disparity is of metres.
    """

    defocus: Tensor | None
    disparity: Tensor
    metric: bool


class Trained(nn.Module):
    """A network with one call for all kinds; what DistributedDataParallel wraps."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, batch: Batch, with_stack: bool) -> Outputs:
        """Return what the network says, with the stack or from the photo alone."""
        count = batch.frames.shape[1] if with_stack else 1
        frames, strengths = batch.frames[:, :count], batch.strengths[:, :count]
        if isinstance(self.network, SmallDepth):
            found = self.network(frames, strengths, batch.side)
            if not with_stack:
                return Outputs(None, found, metric=False)
            disparity = batch.focus[:, None, None] + found / batch.largest[:, None, None]
            return Outputs(found, disparity, metric=True)
        frames = normalized(frames)
        if isinstance(self.network, UniDepth):
            depth = self.network(frames, strengths, None).points[:, 2]
        else:
            depth = self.network(frames, strengths)
        disparity = 1 / depth.clamp(min=_NEAREST)
        blur = batch.largest[:, None, None] * (disparity - batch.focus[:, None, None])
        return Outputs(blur if with_stack else None, disparity, metric=True)


def normalized(frames: Tensor) -> Tensor:
    """Return sRGB pictures [B,F,3,h,w] as the encoders of ImageNet take them."""
    mean, std = (frames.new_tensor(one)[:, None, None] for one in (IMAGENET_MEAN, IMAGENET_STD))
    return (frames - mean) / std


def loss_of(outputs: Outputs, batch: Batch, settings: Settings) -> Tensor:
    """Return the loss of each sample, [B].

    Disparity without metres, from the photo alone, is compared after the best scale and offset.
    """
    if not outputs.metric:
        return affine_disparity_loss(outputs.disparity, batch.disparity, batch.known)
    total = torch.zeros(len(batch.disparity), device=batch.disparity.device)
    if settings.loss != "silog" and outputs.defocus is not None:
        total = total + defocus_loss(outputs.defocus, batch.defocus, batch.known)
    if settings.loss != "rho" or outputs.defocus is None:
        finite = batch.known & (batch.disparity > _NEAREST)
        depth = 1 / outputs.disparity.clamp(min=_NEAREST)
        target = 1 / batch.disparity.clamp(min=_NEAREST)
        total = total + silog(depth, target, finite, settings.silog_lambda)
    return total


def build(settings: Settings) -> Network:
    """Return the network to train, its new weights drawn by the seed.

    Raises:
        FileNotFoundError: no such file to start from.
        CheckpointError: a file that is no depth network.
        ValueError: pictures whose side is no multiple of the network's patch.
    """
    network: Network
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        if settings.is_small:
            network = SmallDepth(SmallShape(), alibi=settings.alibi, k_scale=settings.k_scale)
        else:
            network = _with_dsfa(settings)
    patch = SMALL_PATCH if isinstance(network, SmallDepth) else VIT_PATCH
    if settings.size % patch:
        raise ValueError(
            f"size: expected a multiple of {patch} px for this network, found {settings.size}."
        )
    network.train().requires_grad_(True)
    if settings.encoder_rate == 0 and settings.is_small:
        raise ValueError("encoder_rate: 0 would freeze an encoder that knows nothing yet.")
    if settings.encoder_rate == 0:
        network.backbone.requires_grad_(False)
    return network


def _with_dsfa(settings: Settings) -> Network:
    """Return the network of a file, with new DSFA where it has none."""
    options = NetworkOptions(max_depth=settings.max_depth)
    start = load_network(settings.encoder, options=options)
    if isinstance(start, SmallDepth):
        if start.fusion["0"].k_scale != settings.k_scale:
            raise ValueError(
                f"k_scale: {settings.encoder} was trained with {start.fusion['0'].k_scale:g}, "
                f"found {settings.k_scale:g}. Give the same."
            )
        return start
    fused = start.shape.fused
    if fused:
        for block in fusion_blocks(start):
            block.alibi, block.k_scale = settings.alibi, settings.k_scale
    stages = fused or settings.stages
    network: Network
    if isinstance(start, UniDepth):
        network = UniDepth(
            replace(start.shape, fused=stages), settings.alibi, k_scale=settings.k_scale
        )
    else:
        metres = start.shape.max_depth or DSFA_MAX_DEPTH_M
        shape = replace(start.shape, fused=stages, max_depth=metres)
        network = DepthAnything(shape, alibi=settings.alibi, k_scale=settings.k_scale)
    # What the file does not hold keeps its drawn weights: DSFA alone.
    network.load_state_dict(network.state_dict() | start.state_dict(), strict=True)
    return network


def options_of(network: Network) -> NetworkOptions:
    """Return what no tensor of a network tells, for the metadata of its file."""
    blocks = fusion_blocks(network)
    first = blocks[0] if blocks else None
    metres = network.shape.max_depth if isinstance(network, DepthAnything) else None
    return NetworkOptions(
        max_depth=metres,
        alibi=None if first is None else first.alibi,
        heads=None if first is None else first.heads,
        k_scale=None if first is None else first.k_scale,
        stages=None
        if isinstance(network, SmallDepth)
        else tuple(one + 1 for one in network.stages),
    )


def fusion_blocks(network: Network) -> list[DividedSpaceFocusAttention]:
    """Return the DSFA blocks of a network."""
    return [one for one in network.modules() if isinstance(one, DividedSpaceFocusAttention)]


def parameter_groups(network: Network, settings: Settings) -> list[dict[str, object]]:
    """Return the groups of an optimizer: encoder, DSFA and the rest, with and without decay.

    Biases, gains and norms do not decay. Each group has `factor`, of the learning rate.

    Reference:
        Loshchilov and Hutter, "Decoupled weight decay regularization", ICLR 2019.
    """
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, value in network.named_parameters():
        if not value.requires_grad:
            continue
        factor = 1.0
        if name.startswith("backbone."):
            factor = settings.encoder_rate
        elif name.startswith("fusion."):
            factor = settings.fusion_rate
        decay = settings.weight_decay if value.ndim > 1 else 0.0
        groups.setdefault((factor, decay), []).append(value)
    return [
        {"params": values, "weight_decay": decay, "factor": factor, "lr": settings.rate * factor}
        for (factor, decay), values in groups.items()
    ]


@contextmanager
def attention_watch(network: Network) -> Iterator[list[Tensor]]:
    """Collect, while the block runs, how much attention the photo pays to its frames.

    Yields a list that grows by one [B,F] for each call of a DSFA block; each row adds up to 1.
    """
    found: list[Tensor] = []

    def look(module: nn.Module, arguments: tuple[Tensor, Tensor]) -> None:
        block: DividedSpaceFocusAttention = module  # type: ignore[assignment]
        with torch.no_grad():
            found.append(block.focus_shares(*arguments))

    handles = [one.register_forward_pre_hook(look) for one in fusion_blocks(network)]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()


def attention_warning(shares: Iterable[Tensor]) -> str:
    """Return a line where frames get too little attention to teach anything; else an empty one.

    Args:
        shares: [B,F] each, as `attention_watch` collects them.

    Example:
        >>> attention_warning([torch.tensor([[0.4, 0.6]])])
        ''
    """
    frames = [float(one[:, 1:].sum(1).mean()) for one in shares if one.shape[1] > 1]
    if not frames or min(frames) >= LEAST_ATTENTION:
        return ""
    return (
        f"frames get {min(frames):.1e} of the attention, below {LEAST_ATTENTION:g}: the network is "
        "blind to the stack. Give a smaller --k-scale (1/30 for K up to 30) or --alibi."
    )
