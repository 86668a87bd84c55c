"""Reduced float32 arithmetic: where it is on, what it does, and that it is put back."""

import threading

import pytest
import torch
from reduced_precision import ReducedFloat32
from torch.nn import functional

from bokehdepth_core.devices import exact_float32

NEW = hasattr(torch.backends, "fp32_precision")
new_switches = pytest.mark.skipif(not NEW, reason="torch has these switches since 2.9")


def state():
    if not NEW:
        return torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    return tuple(
        torch._C._get_fp32_precision_getter(*one)
        for one in (
            ("generic", "all"),
            ("cuda", "all"),
            ("cuda", "matmul"),
            ("cuda", "conv"),
            ("cuda", "rnn"),
            ("mkldnn", "all"),
            ("mkldnn", "matmul"),
            ("mkldnn", "conv"),
        )
    )


@pytest.fixture(autouse=True)
def usual_switches():
    before = state()
    yield
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = True
    if NEW:
        torch.backends.fp32_precision = "none"
        torch.backends.cuda.matmul.fp32_precision = "none"
        torch.backends.mkldnn.matmul.fp32_precision = "none"
    assert state() == before


def convolved(picture, kernel):
    return functional.conv2d(picture, kernel)


def test_the_emulation_loses_thirteen_bits_where_tf32_is_on_and_none_in_the_block():
    torch.manual_seed(0)
    picture, kernel = torch.rand(1, 1, 9, 9), torch.rand(1, 1, 3, 3)
    whole = convolved(picture, kernel)
    with ReducedFloat32():
        reduced = convolved(picture, kernel)
        with exact_float32():
            exact = convolved(picture, kernel)
    assert torch.equal(exact, whole)
    error = ((reduced - whole) / whole).abs().max()
    assert 2**-14 < error < 2**-10  # each factor is rounded to 11 bits: at most 2^-11 each


def test_matrices_are_multiplied_exactly_whatever_was_asked_for():
    torch.manual_seed(0)
    a = torch.rand(5, 5)
    whole = a @ a
    torch.set_float32_matmul_precision("high")
    with ReducedFloat32():
        assert not torch.equal(a @ a, whole)
        with exact_float32():
            assert torch.equal(a @ a, whole)
    assert torch.get_float32_matmul_precision() == "high"


def set_nothing():
    pass


def set_old_convolution():
    torch.backends.cudnn.allow_tf32 = False


def set_medium():
    torch.set_float32_matmul_precision("medium")


def set_all():
    torch.backends.fp32_precision = "tf32"


def set_new_convolution():
    torch.backends.cudnn.conv.fp32_precision = "ieee"


def set_mixed():
    torch.set_float32_matmul_precision("high")
    torch.backends.cuda.matmul.fp32_precision = "ieee"


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "choose",
    [
        set_nothing,
        set_old_convolution,
        set_medium,
        pytest.param(set_all, marks=new_switches),
        pytest.param(set_new_convolution, marks=new_switches),
        pytest.param(set_mixed, marks=new_switches),
    ],
)
def test_switches_come_back_as_they_were_without_a_warning(choose):
    choose()
    before = state()
    with exact_float32():
        assert "tf32" not in state()[2:4]
        with exact_float32():
            pass
        assert "tf32" not in state()[2:4]
    assert state() == before


@new_switches
def test_a_switch_that_followed_the_one_above_it_still_does():
    torch.backends.fp32_precision = "tf32"
    with exact_float32():
        pass
    torch.backends.fp32_precision = "ieee"
    assert torch.backends.cuda.matmul.fp32_precision == "ieee"


def test_an_error_in_the_block_puts_the_switches_back():
    before = state()
    with pytest.raises(ValueError, match="injected"), exact_float32():
        raise ValueError("injected")
    assert state() == before


def test_blocks_of_two_threads_that_overlap_keep_each_other_exact():
    before, inside, seen = state(), threading.Event(), []
    leave = threading.Event()

    def other():
        with exact_float32():
            inside.set()
            leave.wait(10)
            seen.append(state())

    thread = threading.Thread(target=other)
    with exact_float32():
        thread.start()
        assert inside.wait(10)
        exact = state()
    assert state() == exact  # the other thread's block still runs
    leave.set()
    thread.join(10)
    assert seen == [exact]
    assert state() == before
