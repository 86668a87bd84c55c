"""What decides the training of an adapter; a run that goes on must be told the same."""

from dataclasses import asdict, dataclass

from ...checks import check_number
from ..course import check_course, check_word
from .flow import TIMES

SIDE = 16  # px; what one token of FLUX covers


@dataclass(frozen=True)
class GeneratorSettings:
    """How an adapter is trained.

    Attributes:
        rank: of the low-rank pairs; the pairs are scaled by alpha / rank.
        alpha: of them.
        steps: updates of the weights.
        batch: examples of one process at once.
        accumulate: batches before an update.
        size: side of the square pictures, px.
        group: strengths of one photo side by side in a batch, with the same noise and time.
        grounded: grounded attention within such a group, see `network.py`.
        prompt_dropout: share of the examples whose prompt is left empty.
        strength_dropout: share of the examples whose strength is kept from the adapter.
        image_dropout: share of the examples whose photo is blank.
        times: how t is drawn, one of `TIMES`.
        shift: above 1 moves times towards noise.
        guidance: embedded guidance that the base is given, where it takes one.
        learning_rate: of AdamW.
        schedule: of the learning rate after the warm-up.
        warmup: updates until the learning rate is full.
        weight_decay: of AdamW, on matrices.
        clip: largest norm of the gradient.
        ema: share that the averaged weights keep at each update.
        precision: of the base model; "bf16" also computes in bf16, by autocast. The adapter is
            kept in float32.
        seed: decides weights, pairs and draws.
        base: what the adapter is trained on, in words.
        start: of the adapter that is gone on from, in words; None for a new one.
        data: what the pairs are, in words; a run goes on with the same ones only.
    """

    rank: int = 128
    alpha: float = 128.0
    steps: int = 5000
    batch: int = 1
    accumulate: int = 8
    size: int = 512
    group: int = 1
    grounded: bool = False
    prompt_dropout: float = 0.1
    strength_dropout: float = 0.05
    image_dropout: float = 0.05
    times: str = TIMES[0]
    shift: float = 1.0
    guidance: float = 1.0
    learning_rate: float = 1e-4
    schedule: str = "cosine"
    warmup: int = 100
    weight_decay: float = 0.01
    clip: float = 1.0
    ema: float = 0.999
    precision: str = "bf16"
    seed: int = 0
    base: str = ""
    start: str | None = None
    data: str = ""

    def __post_init__(self) -> None:
        check_course(self)
        for name in ("rank", "group"):
            check_number(getattr(self, name), name, 1)
        for name in ("prompt_dropout", "strength_dropout", "image_dropout"):
            check_number(getattr(self, name), name, 0, 1)
        for name in ("weight_decay", "guidance"):
            check_number(getattr(self, name), name, 0)
        for name in ("alpha", "shift", "learning_rate"):
            check_number(getattr(self, name), name, above=0)
        check_word(self.times, "times", TIMES)
        if self.size < SIDE or self.size % SIDE:
            raise ValueError(f"size: expected a multiple of {SIDE} px, found {self.size}.")
        if self.batch % self.group:
            raise ValueError(
                f"batch: expected a multiple of the group of {self.group}, found {self.batch}."
            )
        if self.grounded and self.group == 1:
            raise ValueError("grounded: needs a --group of 2 strengths or more, found 1.")

    @property
    def rate(self) -> float:
        """Learning rate."""
        return self.learning_rate

    def record(self) -> dict[str, object]:
        """Return the settings as they are written beside the weights."""
        return asdict(self)
