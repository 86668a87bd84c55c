"""What is encoded once is kept on disk: by content, bounded, and whole."""

import os
import time

import pytest
import torch

from bokehdepth_core.training.generator.cache import Cache, fingerprint, key_of


def keys(*names):
    return [key_of(name) for name in names]


@pytest.fixture
def cache(tmp_path):
    """A cache of three entries of about 4 kB, the first the oldest."""
    cache = Cache(tmp_path / "kept", 10_000)
    for age, key in zip((300, 200, 100), keys("a", "b", "c"), strict=True):
        cache.write(key, {"latent": torch.ones(1000)})
        then = time.time() - age
        os.utime(tmp_path / "kept" / f"{key}.safetensors", (then, then))
    return cache


def names(cache):
    return {one.stem for one in cache.folder.iterdir()}


def test_what_is_kept_comes_back_and_what_is_not_is_none(cache):
    a, missing = keys("a", "missing")
    assert torch.equal(cache.found(a)["latent"], torch.ones(1000))
    assert cache.found(missing) is None


def test_the_oldest_that_is_not_used_goes_first(cache):
    a, _, c = keys("a", "b", "c")
    cache.make_room([a], time.time())
    assert names(cache) == {a, c}


def test_what_others_use_now_and_foreign_files_stay(cache):
    (cache.folder / "notes.safetensors").write_bytes(b"mine" * 3000)
    cache.make_room([], time.time() - 1000)
    assert len(names(cache)) == 4
    cache.make_room([], time.time())
    assert "notes" in names(cache)


def test_more_than_the_limit_is_refused_in_one_line(cache):
    with pytest.raises(ValueError, match=r"^cache_size: 1\.2\d*e-05 GB or more are needed"):
        cache.make_room(keys("a", "b", "c"), time.time())


def test_a_damaged_entry_is_made_again(cache):
    (key,) = keys("a")
    (cache.folder / f"{key}.safetensors").write_bytes(b"half")
    assert cache.found(key) is None
    cache.write(key, {"latent": torch.zeros(2)})
    assert torch.equal(cache.found(key)["latent"], torch.zeros(2))


def test_a_fingerprint_tells_weights_apart_by_name_shape_type_and_value():
    plain = {"a": torch.zeros(2, 3)}
    others = [
        {"b": torch.zeros(2, 3)},
        {"a": torch.zeros(3, 2)},
        {"a": torch.zeros(2, 3).half()},
        {"a": torch.eye(2, 3)},
    ]
    assert len({fingerprint(one) for one in (plain, *others)}) == 5
