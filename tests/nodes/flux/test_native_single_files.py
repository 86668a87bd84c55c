"""ComfyUI's files in diffusers' classes and in ComfyUI's own: the same predictions and pictures.

COMFYUI_PATH names a ComfyUI checkout.
"""

import importlib

import comfyui_pack  # first: it sets ComfyUI up
import flux_files
import pytest
import torch
from safetensors.torch import load_file, save_file

import comfy.model_management as mm  # isort: skip
import folder_paths  # isort: skip

handles = importlib.import_module(f"{comfyui_pack.NAME}.nodes.handles")
host = importlib.import_module(f"{comfyui_pack.NAME}.nodes.host.services")

pytestmark = [pytest.mark.comfyui, pytest.mark.usefixtures("inference_mode")]


@pytest.fixture(scope="module")
def networks():
    return flux_files.make_tiny(words=(49408, 32128))  # for ComfyUI's own tokenizers


@pytest.fixture(scope="module")
def states(networks):
    return flux_files.file_states(networks)


@pytest.fixture(scope="module")
def models(tmp_path_factory, states):
    folder = tmp_path_factory.mktemp("models")
    flux_files.save_parts(folder, states)
    (folder / "bokehdepth").mkdir()
    flux_files.save_adapter(folder / "bokehdepth" / "bokeh_lora.safetensors")
    return folder


@pytest.fixture
def model_folders(models, monkeypatch):
    kinds = folder_paths.folder_names_and_paths
    for name in ("bokehdepth", "diffusion_models", "text_encoders", "vae"):
        monkeypatch.setitem(kinds, name, ([str(models / name)], {".safetensors"}))
    yield
    mm.unload_all_models()


def test_the_transformer_predicts_the_same_in_both_classes(networks, states):
    patcher = comfyui_pack.make_tiny_flux.flux_patcher(
        context_in_dim=flux_files.TEXT, vec_in_dim=flux_files.POOLED
    )
    flux = patcher.model.diffusion_model
    own = "weight" if any(key.endswith("_norm.weight") for key in flux.state_dict()) else "scale"
    state = {
        key.replace("_norm.scale", f"_norm.{own}"): value
        for key, value in states["transformer"].items()
    }
    flux.load_state_dict(state, strict=True)
    torch.manual_seed(0)
    latent, text = torch.randn(2, 16, 6, 10), torch.randn(2, 7, flux_files.TEXT)
    pooled, time = torch.randn(2, flux_files.POOLED), torch.tensor([0.7, 0.3])
    guidance = torch.tensor([3.5, 3.5])
    wanted = flux(latent, time, text, pooled, guidance)
    ids = torch.zeros(3, 5, 3)
    ids[..., 1] += torch.arange(3)[:, None]
    ids[..., 2] += torch.arange(5)
    tokens = latent.unflatten(2, (3, 2)).unflatten(4, (5, 2)).permute(0, 2, 4, 1, 3, 5)
    got = networks["transformer"](
        hidden_states=tokens.reshape(2, 15, 64),
        timestep=time,
        guidance=guidance,
        pooled_projections=pooled,
        encoder_hidden_states=text,
        txt_ids=torch.zeros(7, 3),
        img_ids=ids.reshape(15, 3),
        return_dict=False,
    )[0]
    got = got.reshape(2, 3, 5, 16, 2, 2).permute(0, 3, 1, 4, 2, 5).reshape(2, 16, 6, 10)
    # float32 through five blocks, as the golden predictions of the two classes
    torch.testing.assert_close(got, wanted, rtol=0, atol=2e-4)


def test_the_autoencoder_sees_and_draws_the_same_in_both_classes(networks, states):
    from comfy.ldm.modules.diffusionmodules.model import Decoder, Encoder

    shape = {"double_z": True, "z_channels": 16, "resolution": 256, "in_channels": 3, "out_ch": 3}
    shape |= {"ch": 32, "ch_mult": [1, 1, 2, 2], "num_res_blocks": 1, "attn_resolutions": []}
    own = {"encoder": Encoder(**shape, dropout=0.0), "decoder": Decoder(**shape, dropout=0.0)}
    torch.nn.ModuleDict(own).load_state_dict(states["vae"], strict=True)
    picture, ours = torch.rand(1, 3, 48, 64) * 2 - 1, networks["vae"]
    mean = ours.encode(picture).latent_dist.mode()
    # float32 through some twenty layers
    torch.testing.assert_close(mean, own["encoder"](picture)[:, :16], rtol=0, atol=1e-4)
    drawn = ours.decode(mean, return_dict=False)[0]
    torch.testing.assert_close(drawn, own["decoder"](mean), rtol=0, atol=1e-4)


def generate(handle, on_preview=None, steps=2):
    torch.manual_seed(1)
    return handle.generate(
        torch.rand(48, 64, 3),
        [10.0, 20.0],
        steps=steps,
        guidance=7.0,
        seed=1,
        match_color=True,
        depth=None,
        on_progress=lambda done, total: None,
        on_preview=on_preview,
        check_cancelled=lambda: None,
    ).frames


BASE = "diffusion_models/kontext.safetensors"


@pytest.mark.usefixtures("model_folders")
def test_frames_and_weights_stay_the_same_after_comfyui_unloaded_the_parts(networks):
    handle = handles.BokehGenerator("bokeh_lora.safetensors", BASE, "fp32")
    first = generate(handle)
    assert len(mm.current_loaded_models) >= 3
    mm.unload_all_models()
    assert mm.current_loaded_models == []
    assert torch.equal(generate(handle), first)
    loaded = handle._loaded.pipeline.transformer.state_dict()
    wanted = networks["transformer"].state_dict()
    assert all(torch.equal(loaded[key], value) for key, value in wanted.items())


@pytest.mark.usefixtures("model_folders")
def test_the_adapter_works_as_its_file_says(models):
    plain = load_file(models / "bokehdepth" / "bokeh_lora.safetensors")
    rank = plain["adapter_modules.0.to_q_adp.down.weight"].shape[0]
    trained = {"alpha": str(2 * rank), "lora_scale": "0.5", "query_only": "true"}
    save_file(plain, models / "bokehdepth" / "trained.safetensors", metadata=trained)
    adapter = handles.BokehGenerator("trained.safetensors", BASE, "fp32")._generator().adapter
    assert (adapter.scale, adapter.lora_scale, adapter.query_only) == (2.0, 0.5, True)
    same = generate(handles.BokehGenerator("bokeh_lora.safetensors", BASE, "fp32"))
    assert not torch.equal(
        generate(handles.BokehGenerator("trained.safetensors", BASE, "fp32")), same
    )


@pytest.mark.usefixtures("model_folders")
def test_parts_get_memory_one_after_the_other(monkeypatch):
    asked, load = [], mm.load_models_gpu

    def watched(models, memory_required=0, **options):
        names = [name for one in models for name in one.model]
        asked.append((tuple(names), memory_required))
        return load(models, memory_required=memory_required, **options)

    monkeypatch.setattr(mm, "load_models_gpu", watched)
    generate(handles.BokehGenerator("bokeh_lora.safetensors", BASE, "fp32"))
    parts = [names for names, _ in asked]
    text = ("text_encoder", "text_encoder_2")
    assert parts == [text, ("vae",), ("transformer",), ("vae",)]
    assert all(needed > 0 for names, needed in asked if names != text)


@pytest.mark.usefixtures("model_folders")
def test_previews_show_on_the_bar_where_comfyui_wants_them(monkeypatch):
    import latent_preview

    shown, bar = [], host.start_bar()
    monkeypatch.setattr(bar, "hook", lambda done, total, preview, **_: shown.append(preview))
    monkeypatch.setattr(
        latent_preview.args, "preview_method", latent_preview.LatentPreviewMethod.NoPreviews
    )
    assert host.previewer(bar) is None
    monkeypatch.setattr(
        latent_preview.args, "preview_method", latent_preview.LatentPreviewMethod.Latent2RGB
    )
    handle = handles.BokehGenerator("bokeh_lora.safetensors", BASE, "fp32")
    generate(handle, host.previewer(bar), steps=3)
    pictures = [image for _, image, *_ in filter(None, shown)]
    assert [picture.size for picture in pictures] == [(8, 6)] * 3


def test_comfyui_s_tokenizers_are_there():
    clip, t5 = host.flux_sources().tokenizers
    assert (clip / "vocab.json").is_file()
    assert (t5 / "tokenizer.json").is_file()
