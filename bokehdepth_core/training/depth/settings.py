"""What decides a training run; a run that goes on must be told the same."""

from dataclasses import asdict, dataclass

from ...checks import check_number
from ..course import check_course, check_word

LOSSES = ("rho", "silog", "both")
SMALL = "small"
PRETRAINED_RATE = 5e-6  # arXiv 2512.12425
SMALL_RATE = 2e-3


@dataclass(frozen=True)
class Settings:
    """How a network is trained.

    Attributes:
        encoder: "small", or the file of a depth network to start from.
        steps: updates of the weights.
        batch: samples of one process at once.
        accumulate: batches before an update.
        size: side of the pictures, px; a multiple of the network's patch.
        loss: "rho" (signed blur in px), "silog" (metric depth), or "both", added.
        silog_lambda: 0 punishes a wrong scale in full, 1 not at all.
        photo_share: share of the updates that see the photo without its stack.
        learning_rate: of everything but encoder and DSFA; None by the kind of encoder.
        encoder_rate: factor of it for the encoder; 0 freezes the encoder.
        dsfa_rate: factor of it for DSFA.
        schedule: of the learning rate after the warm-up.
        warmup: updates until the learning rate is full.
        weight_decay: of AdamW, on matrices and kernels.
        clip: largest norm of the gradient.
        ema: share that the averaged weights keep at each update.
        precision: "fp32", or "bf16" by autocast.
        k_scale: factor of strengths within DSFA.
        alibi: of DSFA, for strengths after `k_scale`.
        stages: of a file's encoder that get DSFA where it has none, 0-based.
        max_depth: range of a Depth Anything, m; None as its file says, else 80.
        seed: decides weights and samples.
        data: what the samples are, in words; a run goes on with the same ones only.
        assume_focus: "nearest" or "farthest": what is sharp where a manifest does not say it; None
            refuses such samples where the loss needs to know.
    """

    encoder: str = SMALL
    steps: int = 2000
    batch: int = 8
    accumulate: int = 1
    size: int = 64
    loss: str = "rho"
    silog_lambda: float = 0.5
    photo_share: float = 0.25
    learning_rate: float | None = None
    encoder_rate: float = 1.0
    dsfa_rate: float | None = None
    schedule: str = "cosine"
    warmup: int = 50
    weight_decay: float = 0.01
    clip: float = 1.0
    ema: float = 0.999
    precision: str = "fp32"
    k_scale: float = 1 / 30
    alibi: float = 1.0
    stages: tuple[int, ...] = (2, 3)
    max_depth: float | None = None
    seed: int = 0
    data: str = "scenes"
    assume_focus: str | None = None

    def __post_init__(self) -> None:
        check_course(self)
        check_number(self.size, "size", 16)
        for name in ("photo_share", "silog_lambda"):
            check_number(getattr(self, name), name, 0, 1)
        for name in ("encoder_rate", "weight_decay", "alibi"):
            check_number(getattr(self, name), name, 0)
        check_number(self.k_scale, "k_scale", above=0)
        check_word(self.loss, "loss", LOSSES)
        check_word(self.assume_focus, "assume_focus", (None, "nearest", "farthest"))

    @property
    def is_small(self) -> bool:
        """True where the small network is trained, from nothing."""
        return self.encoder == SMALL

    @property
    def rate(self) -> float:
        """Learning rate of everything but encoder and DSFA."""
        if self.learning_rate is not None:
            return self.learning_rate
        return SMALL_RATE if self.is_small else PRETRAINED_RATE

    @property
    def fusion_rate(self) -> float:
        """Factor of the learning rate for DSFA; ten times beside a pretrained encoder."""
        if self.dsfa_rate is not None:
            return self.dsfa_rate
        return 1.0 if self.is_small else 10.0

    def record(self) -> dict[str, object]:
        """Return the settings as they are written beside the weights."""
        written = asdict(self)
        written["stages"] = list(self.stages)
        return written
