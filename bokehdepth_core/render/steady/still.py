"""What stands still in a clip, from its photos alone.

Every frame is compared with what its parts have looked like since they came to rest, not with the
frame before: so something that creeps is found as well, once it has come far enough.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

# Root mean square differences of colour, sRGB. Grain of video is 0.005 to 0.02.
LEAST_CHANGE = 0.01  # that may be a change, and not grain or coding
LARGEST_GRAIN = 0.04  # of a clip; where more differs everywhere, everything moves
OVER_GRAIN = 2.0  # times the usual difference in the frame, from which on a change is seen
WINDOW = 2  # px around a pixel over which differences are averaged
BESIDE = 0.01  # of the width: as far around a moving thing networks' depth goes along with it
CUT = 0.5  # share of a frame that changes at once in a cut


class StillParts:
    """Tells frame by frame what stands still; keeps one picture, whatever the number of frames.

    Attributes:
        seen: [H,W,3], what the still parts look like, averaged over frames; None at first.

    Example:
        >>> parts, photo = StillParts(0.1), torch.full((16, 200, 3), 0.5)
        >>> moved = photo.clone()
        >>> moved[:, :9] = 0.9
        >>> [round(float(parts.next(one).mean()), 3) for one in (photo, photo, moved)]
        [0.0, 1.0, 0.925]
    """

    def __init__(self, gain: float) -> None:
        """Set how fast the averaged picture follows, 0…1 a frame."""
        self.gain = gain
        self.seen: Tensor | None = None

    def next(self, photo: Tensor) -> Tensor:
        """Return how surely each pixel of the next frame stands still, [H,W], 0…1.

        Args:
            photo: [H,W,3], sRGB, 0…1; of another size than before it begins a new clip.
        """
        photo = photo[..., :3].float()
        if self.seen is None or self.seen.shape != photo.shape:
            self.seen = photo
            return torch.zeros_like(photo[..., 0])
        still = _still_share(photo, self.seen)
        if float((still < 0.5).float().mean()) > CUT:
            still = torch.zeros_like(still)
        self.seen = torch.lerp(photo, self.seen, (1 - self.gain) * still[..., None])
        return still


def _still_share(photo: Tensor, seen: Tensor) -> Tensor:
    """Return [H,W], 1 where nothing changed, 0 where something did, and close to that."""
    square = (photo - seen).square().mean(dim=-1)[None, None]
    side = 2 * WINDOW + 1
    padded = F.pad(square, (WINDOW,) * 4, mode="replicate")
    change = F.avg_pool2d(padded, side, 1).sqrt()
    usual = float(change[..., ::2, ::2].median())
    limit = min(max(LEAST_CHANGE, OVER_GRAIN * usual), LARGEST_GRAIN)
    moving = (change / limit - 1).clamp(0, 1)
    reach = reach_beside(photo.shape[1])
    wide = F.max_pool2d(moving, (1, 2 * reach + 1), 1, (0, reach))
    return 1 - F.max_pool2d(wide, (2 * reach + 1, 1), 1, (reach, 0))[0, 0]


def reach_beside(width: int) -> int:
    """Return how far, px, networks' depth goes along with a thing in a picture `width` px wide."""
    return round(BESIDE * width) + WINDOW
