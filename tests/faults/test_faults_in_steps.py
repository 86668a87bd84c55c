"""Lack of memory and cancelling anywhere in a long step: said as such, and nothing stays changed.

Memory runs out at an operator, as it would at its allocation; cancelling comes at a tick. After
either the same call must give what it gave before, the weights be the same bits, and no hook be
left. `--deep` stops at every operator in place of a few.
"""

import concurrent.futures

import golden
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

import bokehdepth_core as core
from bokehdepth_core.depth.estimator import NetworkEstimator
from bokehdepth_core.depth.loading import network_from
from bokehdepth_core.devices import is_out_of_memory
from bokehdepth_core.generator.rendered import RenderedStackGenerator

HEIGHT, WIDTH = 30, 40
FEW = 4  # places of a step at which it is stopped


class ShortMemory(TorchDispatchMode):
    """Counts operators, and fails at one of them."""

    def __init__(self, fails_at=None):
        super().__init__()
        self.fails_at, self.count = fails_at, 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count += 1
        if self.count == self.fails_at:
            raise torch.OutOfMemoryError("injected")
        return func(*args, **(kwargs or {}))


class CancelledError(Exception):
    """As the host's own."""


class Ticks:
    """Counts calls, and cancels at one of them."""

    def __init__(self, cancels_at=None):
        self.cancels_at, self.count = cancels_at, 0

    def __call__(self):
        self.count += 1
        if self.count == self.cancels_at:
            raise CancelledError


def places(count, deep):
    return range(1, count + 1) if deep else sorted({1 + count * at // FEW for at in range(FEW)})


@pytest.fixture(scope="module")
def network():
    case = golden.manifest("dav2_dsfa")
    state = golden.recipe_state(case["parameters"], case["seed"])
    return network_from(state, "file.pth", "cpu", torch.float32)


@pytest.fixture(scope="module")
def steps(network):
    """The long steps, by name: each takes `check_cancelled` and returns a tensor."""
    random = torch.Generator().manual_seed(3)
    photo = torch.rand(1, HEIGHT, WIDTH, 3, generator=random)
    depth = torch.full((1, HEIGHT, WIDTH), 4.0)
    depth[:, 10:20, 12:30] = 1.0
    made = RenderedStackGenerator(torch.device("cpu"))
    known = core.DepthMap(depth)
    stack = made.generate(photo[0], (3.0, 6.0), depth=known)
    track = core.focus_track(depth, "0: 1 m; 2: 4 m", 3)
    subject = (depth < 2).float()
    estimator = NetworkEstimator(network)
    return {
        "render": lambda tick: core.render_bokeh(photo, depth, 9.0, 1.0, check_cancelled=tick),
        "draft": lambda tick: core.render_bokeh(
            photo, depth, 9.0, 1.0, quality="draft", check_cancelled=tick
        ),
        "sweep": lambda tick: core.sweep_depth(stack, align=False, check_cancelled=tick).depth,
        "stack": lambda tick: (
            made.generate(photo[0], (3.0, 6.0), depth=known, check_cancelled=tick).frames
        ),
        "mask": lambda tick: core.depth_from_mask(photo, subject, check_cancelled=tick).depth.depth,
        "network": lambda tick: estimator.estimate(photo, resolution=0, check_cancelled=tick).depth,
        "pull": lambda tick: torch.stack(
            list(core.render_focus_pull(photo, depth, 9.0, track, check_cancelled=tick))
        ),
    }


STEPS = ("render", "draft", "sweep", "stack", "mask", "network", "pull")


def state_of(network):
    """Return the weights, and how many hooks each module has (transformers' own stay)."""
    hooks = [
        len(module._forward_hooks) + len(module._forward_pre_hooks) for module in network.modules()
    ]
    return hooks, {name: value.clone() for name, value in network.state_dict().items()}


def check_unchanged(network, before):
    hooks, weights = state_of(network)
    assert hooks == before[0]
    assert all(torch.equal(weights[key], value) for key, value in before[1].items())


@pytest.mark.parametrize("name", STEPS)
def test_memory_that_runs_out_anywhere_is_said_and_leaves_nothing(
    steps, network, name, pytestconfig
):
    step = steps[name]
    with ShortMemory() as counted:
        wanted = step(Ticks())
    before = state_of(network)
    for place in places(counted.count, pytestconfig.getoption("--deep")):
        try:
            with ShortMemory(place):
                found = step(Ticks())
        except RuntimeError as error:
            assert is_out_of_memory(error)
        else:
            assert torch.equal(found, wanted), f"another result after operator {place}"
    assert torch.equal(step(Ticks()), wanted)
    check_unchanged(network, before)


@pytest.mark.parametrize("name", STEPS)
def test_cancelling_at_a_tick_raises_what_the_host_raises_and_leaves_nothing(
    steps, network, name, pytestconfig
):
    step, ticks = steps[name], Ticks()
    wanted = step(ticks)
    before = state_of(network)
    assert ticks.count, "nothing asks whether it is cancelled"
    for place in places(ticks.count, pytestconfig.getoption("--deep")):
        with pytest.raises(CancelledError):
            step(Ticks(min(place, ticks.count)))
    assert torch.equal(step(Ticks()), wanted)
    check_unchanged(network, before)


def test_threads_that_share_a_network_and_a_generator_give_what_each_gives_alone(steps):
    names = ("network", "stack", "render", "sweep")
    alone = [steps[name](Ticks()) for name in names]
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda name: steps[name](Ticks()), names * 2))
    for one, wanted in zip(found, alone * 2, strict=True):
        # Sums may be added up in another order where threads share the cores.
        torch.testing.assert_close(one, wanted, rtol=1e-4, atol=1e-5)
