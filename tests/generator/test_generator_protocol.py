"""Both kinds of bokeh generator keep what the protocol promises."""

import inspect
import threading
import time

import pytest
import torch
from golden import recipe_state
from kontext_parts import (
    STAGE1,
    load_transformer,
    make_pipeline,
    tiny_text_encoders,
)
from needs_flux import skip_without_flux
from safetensors.torch import save_file

from bokehdepth_core import DepthMap
from bokehdepth_core.generator import BokehGenerator, load_bokeh_generator
from bokehdepth_core.generator.flux.layers import one_at_a_time

KEYWORDS = {"steps": 1, "guidance": 2.5, "seed": 3, "match_color": False}


@pytest.fixture(scope="module")
def network_files(tmp_path_factory):
    skip_without_flux()
    home = tmp_path_factory.mktemp("base")
    make_pipeline(load_transformer(STAGE1), tiny_text_encoders()).save_pretrained(home / "kontext")
    adapter = recipe_state(STAGE1["parameters"]["adapter"], STAGE1["seed"])
    save_file(adapter, home / "bokeh_lora.safetensors")
    return home / "bokeh_lora.safetensors", home / "kontext"


@pytest.fixture(scope="module", params=["built-in", "network"])
def generator(request):
    if request.param == "built-in":
        return load_bokeh_generator("built-in")
    return load_bokeh_generator(*request.getfixturevalue("network_files"))


def test_a_generator_takes_the_keywords_of_the_protocol_and_gives_the_photo_s_kind(generator):
    assert isinstance(generator, BokehGenerator)
    assert generator.device == torch.device("cpu")
    photo, done = torch.rand(32, 48, 3, dtype=torch.float64), []
    stack = generator.generate(
        photo,
        [4.0, 8.0],
        depth=DepthMap(torch.linspace(1, 4, 48).expand(1, 32, 48)),
        on_progress=lambda *share: done.append(share),
        check_cancelled=lambda: None,
        **KEYWORDS,
    )
    assert (stack.frames.device, stack.frames.dtype) == (photo.device, photo.dtype)
    assert stack.frames.shape == (2, 32, 48, 3)
    assert stack.strengths == (4.0, 8.0)
    assert done[-1][0] == done[-1][1]


def test_the_keywords_and_their_defaults_are_those_of_the_protocol(generator):
    wanted = inspect.signature(BokehGenerator.generate).parameters
    own = inspect.signature(type(generator).generate).parameters
    assert {name: own[name].default for name in wanted} == {
        name: one.default for name, one in wanted.items()
    }


def test_paths_and_their_text_load_alike(network_files):
    by_path = load_bokeh_generator(*network_files)
    by_text = load_bokeh_generator(*map(str, network_files))
    assert by_path.adapter.layer_count == by_text.adapter.layer_count


def test_the_vae_never_runs_in_half_precision(network_files):
    made = load_bokeh_generator(*network_files, dtype=torch.float16)
    assert made.pipeline.transformer.dtype == torch.float16
    assert made.pipeline.vae.dtype == torch.float32
    made = load_bokeh_generator(*network_files, dtype=torch.bfloat16)
    assert made.pipeline.vae.dtype == torch.bfloat16


def test_two_threads_leave_the_weights_bit_for_bit_and_give_what_one_gives(network_files):
    made = load_bokeh_generator(*network_files)
    network = made.pipeline.transformer
    before = {key: value.clone() for key, value in network.state_dict().items()}
    torch.manual_seed(0)
    photo = torch.rand(32, 32, 3)
    wanted = [made.generate(photo, [k], steps=2, seed=1).frames for k in (4.0, 20.0)]
    got = {}

    def run(index, strength):
        got[index] = made.generate(photo, [strength], steps=2, seed=1).frames

    threads = [threading.Thread(target=run, args=pair) for pair in enumerate((4.0, 20.0))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    for index, frames in enumerate(wanted):
        torch.testing.assert_close(got[index], frames, rtol=0, atol=0)
    for key, value in network.state_dict().items():
        assert torch.equal(value, before[key]), key


def test_a_call_that_waits_can_be_cancelled():
    transformer, inside, leave = torch.nn.Linear(1, 1), threading.Event(), threading.Event()

    def hold():
        with one_at_a_time(transformer):
            inside.set()
            leave.wait(20)

    thread = threading.Thread(target=hold)
    thread.start()
    assert inside.wait(10)

    def cancel():
        raise InterruptedError("cancelled")

    start = time.monotonic()
    with pytest.raises(InterruptedError), one_at_a_time(transformer, cancel):
        pass
    assert time.monotonic() - start < 10  # not until the other is through
    leave.set()
    thread.join(10)
    with one_at_a_time(transformer, cancel):  # free again
        pass
