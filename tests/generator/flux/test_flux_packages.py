"""What diffusers needs is asked for in one line, in one place."""

import importlib.util

import pytest
import torch

from bokehdepth_core.generator.flux.pipeline import check_packages, load_pipeline


def test_missing_diffusers_is_said_with_what_to_do(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    message = (
        r"^base_model: runs on the package diffusers, which is not installed\. Run python -m pip "
        r'install "diffusers>=0\.35", or connect model, clip and vae in ComfyUI\.$'
    )
    with pytest.raises(ImportError, match=message):
        load_pipeline("anything", torch.float32)


@pytest.mark.parametrize("version", ["2.4.0", "2.4.1+cu121", "1.13.1"])
def test_a_torch_that_diffusers_cannot_run_on_is_said(monkeypatch, version):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    monkeypatch.setattr(torch, "__version__", version)
    with pytest.raises(ImportError, match=r"^base_model: diffusers .* torch 2\.5 .* found \d\.\d"):
        check_packages()


@pytest.mark.parametrize("version", ["2.5.0", "2.13.0+cpu", "3.0.0a0+git12", "2.10.0"])
def test_newer_torch_is_taken(monkeypatch, version):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    monkeypatch.setattr(torch, "__version__", version)
    check_packages()
