"""Linear light, cut-outs, compositors' outputs and depth files in a real ComfyUI, over HTTP.

COMFYUI_PATH names a ComfyUI checkout, COMFYUI_PYTHON the Python that runs it.
"""

import importlib.util
import os
import urllib.request
import uuid

import pytest

if not os.environ.get("COMFYUI_PATH"):
    pytest.skip("COMFYUI_PATH does not name a ComfyUI checkout", allow_module_level=True)

import heic_portrait
import numpy as np
import OpenEXR
from comfyui_server import PROBE_NODES, ComfyServer
from depth_files import METRES, SHARE, gdepth_xmp, iphone_packet, photo, write_exr, write_pfm
from PIL import Image

pytestmark = [pytest.mark.comfyui, pytest.mark.slow]
HEIGHT, WIDTH = 48, 96
LAMP = (24, 12)  # row, column: in the sharp half, far from its edge
OUTPUTS = ("image", "defocus", "coc", "focus_view", "alpha")


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = ComfyServer(tmp_path_factory.mktemp("comfyui"), PROBE_NODES)
    yield server
    server.stop()


def node(kind, **inputs):
    return {"class_type": kind, "inputs": inputs}


def given(server, name, array):
    """Put an array where `TensorFromFile` finds it; return that node."""
    file = f"{name}-{uuid.uuid4().hex}.npy"  # ComfyUI keeps results by what inputs say
    np.save(server.folder / "input" / file, array.astype(np.float32))
    return node("TensorFromFile", file=file)


def upload(server, path):
    """Send a file as the browser does; return its name there."""
    line = "----bokehdepth"
    body = (
        f'--{line}\r\nContent-Disposition: form-data; name="image"; filename="{path.name}"\r\n'
        "Content-Type: application/octet-stream\r\n\r\n"
    ).encode() + path.read_bytes()
    request = urllib.request.Request(
        f"http://127.0.0.1:{server.port}/upload/image",
        body + f"\r\n--{line}--\r\n".encode(),
        {"Content-Type": f"multipart/form-data; boundary={line}"},
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        assert answer.status == 200
    return path.name


def halves(near=1.0, far=4.0):
    """Return depth, m: the left half near, the right half far."""
    depth = np.full((1, HEIGHT, WIDTH, 1), near, np.float32)
    depth[:, :, WIDTH // 2 :] = far
    return depth.repeat(3, axis=-1)  # an IMAGE with values above 1 is metres


def scene_linear():
    light = np.full((1, HEIGHT, WIDTH, 3), 0.18, np.float32)
    light[(0, *LAMP)] = 500
    return light


def rendered(server, image, depth=None, **inputs):
    """Return every output of Render Bokeh as arrays; the focus is on the left half."""
    graph = {
        "image": given(server, "image", image),
        "depth": given(server, "depth", halves() if depth is None else depth),
    }
    for name, value in inputs.items():
        if isinstance(value, np.ndarray):
            graph[name] = given(server, name, value)
            inputs[name] = [name, 1]  # a mask
    graph["render"] = node(
        "RenderBokeh",
        **{"image": ["image", 0], "depth": ["depth", 0], "strength": 8.0},
        **{"focus_x": 0.1, "focus_y": 0.5, "focus_distance": 0.0, **inputs},
    )
    for index, name in enumerate(OUTPUTS):
        graph[f"out {name}"] = node("TensorToFile", value=["render", index], file=f"{name}.npy")
    run = server.run(graph)
    assert run.status == "success", run.error
    return {name: np.load(server.folder / "output" / f"{name}.npy") for name in OUTPUTS}


def test_scene_linear_light_passes_as_it_is(server):
    light = scene_linear()
    out = rendered(server, light, color_space="linear Rec.709")["image"]
    np.testing.assert_array_equal(out[0, :, :24], light[0, :, :24])  # 24 px from the depth edge


def test_an_exr_goes_in_and_out_through_comfyuis_own_nodes(server, tmp_path):
    if "SaveImageAdvanced" not in server.get("/object_info"):
        pytest.skip("this ComfyUI writes no EXR")
    light = scene_linear()[0]
    write_exr(tmp_path / "lamp.exr", {c: light[..., i].copy() for i, c in enumerate("RGB")})
    run = server.run(
        {
            "photo": node("LoadImage", image=upload(server, tmp_path / "lamp.exr")),
            "depth": given(server, "depth", halves()),
            "render": node(
                "RenderBokeh",
                **{"image": ["photo", 0], "depth": ["depth", 0], "strength": 8.0},
                **{"focus_x": 0.1, "focus_y": 0.5, "focus_distance": 0.0},
                color_space="linear Rec.709",
            ),
            "save": node(
                "SaveImageAdvanced",
                **{"images": ["render", 0], "filename_prefix": "lamp", "format": "exr"},
                **{"format.bit_depth": "32-bit float", "format.input_color_space": "linear"},
            ),
        }
    )
    assert run.status == "success", run.error
    (written,) = (server.folder / "output").glob("lamp_*.exr")
    with OpenEXR.File(str(written)) as file:
        pixels = next(iter(file.channels().values())).pixels
    np.testing.assert_array_equal(pixels[:, :24, :3], light[:, :24])


def test_a_cut_out_lies_over_another_picture_without_a_halo(server):
    """White inside, black where it is transparent: over white, black would show as a halo."""
    alpha = np.zeros((1, HEIGHT, WIDTH), np.float32)
    alpha[:, 12:36, 60:84] = 1
    cut_out = np.repeat(alpha[..., None], 3, axis=-1)
    out = rendered(server, cut_out, halves(far=1.5), alpha=alpha)
    colour, coverage = out["image"][0], out["alpha"][0]
    assert 0 < coverage[24, 58] < 1  # it is blurred
    over = colour * coverage[..., None] + (1 - coverage[..., None])
    np.testing.assert_allclose(over, 1, atol=0.01)  # two steps of 8 bits
    assert coverage[:, :40].max() < 1e-3


def test_a_held_out_region_stays_and_spills_nothing(server):
    image = np.full((1, HEIGHT, WIDTH, 3), 0.2, np.float32)
    image[:, 12:36, 60:84] = [1, 0, 0]
    mask = np.zeros((1, HEIGHT, WIDTH), np.float32)
    mask[:, 12:36, 60:84] = 1
    out = rendered(server, image, hold_out=mask)["image"]
    np.testing.assert_array_equal(out[mask > 0], image[mask > 0])
    around = (mask == 0)[0]
    assert np.abs(out[0][around] - 0.2).max() < 0.01


def test_the_outputs_for_compositors_are_signed_px(server):
    picture = np.random.default_rng(0).random((1, HEIGHT, WIDTH, 3))
    out = rendered(server, picture, halves(2.0, 1.0))
    np.testing.assert_allclose(out["coc"][0, :, WIDTH // 2 :], 8 * (1 / 1 - 1 / 2), rtol=1e-6)
    assert out["coc"][0, 5, 5] == 0
    behind = rendered(server, picture, halves(1.0, 4.0))
    np.testing.assert_allclose(behind["coc"][0, 5, -5], 8 * (1 / 4 - 1), rtol=1e-6)
    front, back = out["focus_view"][0, 24, 80], behind["focus_view"][0, 24, 80]
    assert front[0] - front[2] > back[0] - back[2]  # orange in front, blue behind
    assert (out["alpha"] == 1).all()


def _files(folder):
    write_exr(folder / "z.exr", {"ViewLayer.Depth.Z": METRES})
    Image.fromarray((METRES * 1000).round().astype(np.uint16)).save(folder / "mm.png")
    Image.fromarray(METRES).save(folder / "metres.tif")
    write_pfm(folder / "metres.pfm", METRES)
    np.save(folder / "metres.npy", METRES)
    np.savez(folder / "metres.npz", depth_map=METRES)
    xmp = gdepth_xmp((SHARE * 255).round().astype(np.uint8), Near=1.5, Far=4.5)
    photo().save(folder / "portrait.jpg", xmp=xmp.encode())


@pytest.mark.parametrize(
    "name",
    ["z.exr", "mm.png", "metres.tif", "metres.pfm", "metres.npy", "metres.npz", "portrait.jpg"],
)
def test_every_kind_of_depth_file_is_uploaded_and_read(server, tmp_path, name):
    _files(tmp_path)
    load = node("LoadMetricDepth", file=upload(server, tmp_path / name), values="automatic")
    load["inputs"] |= {"scale": 0.0, "holes": "fill", "channel": ""}
    keep = node("TensorToFile", value=["load", 0], file="read.npy")
    run = server.run({"load": load, "keep": keep})
    assert run.status == "success", run.error
    found = np.load(server.folder / "output" / "read.npy")[0]
    step = 0.5 * 3 / 255 if name.endswith("jpg") else 0.0005  # half of 8 bits, half a millimetre
    np.testing.assert_allclose(found, METRES, rtol=0, atol=1.01 * step)
    assert name not in run.error
    assert run.outputs["load"]["text"]


def test_a_heic_portrait_is_uploaded_and_read(server, tmp_path):
    if importlib.util.find_spec("pillow_heif") is None:
        pytest.skip("pillow-heif is not installed")
    levels = (np.tile(np.linspace(0, 1, 144), (96, 1)) * 255).round().astype(np.uint8)
    heic_portrait.write(tmp_path / "a.heic", photo().resize((288, 192)), levels, iphone_packet())
    load = node("LoadMetricDepth", file=upload(server, tmp_path / "a.heic"), values="automatic")
    load["inputs"] |= {"scale": 0.0, "holes": "fill", "channel": ""}
    render = node("RenderBokeh", image=["load", 1], depth=["load", 0], strength=10.0)
    render["inputs"] |= {"focus_x": 0.9, "focus_y": 0.5, "focus_distance": 0.0}
    graph = {"load": load, "render": render}
    for name, source in (("depth", "load"), ("picture", "render")):
        graph[name] = node("TensorToFile", value=[source, 0], file=f"{name}.npy")
    run = server.run(graph)
    assert run.status == "success", run.error
    found = np.load(server.folder / "output" / "depth.npy")[0]
    np.testing.assert_allclose(1 / found, 0.25 + levels / 255 * 1.75, rtol=1e-5)  # lossless
    assert np.load(server.folder / "output" / "picture.npy").shape == (1, 192, 288, 3)
    assert "depth inside the photo taken" in str(run.outputs["load"]["text"])


def test_a_heic_without_depth_is_refused_by_name(server, tmp_path):
    if importlib.util.find_spec("pillow_heif") is None:
        pytest.skip("pillow-heif is not installed")
    import pillow_heif

    pillow_heif.from_pillow(photo().resize((128, 96))).save(tmp_path / "plain.heic")
    load = node("LoadMetricDepth", file=upload(server, tmp_path / "plain.heic"), values="automatic")
    load["inputs"] |= {"scale": 0.0, "holes": "fill", "channel": ""}
    keep = node("TensorToFile", value=["load", 0], file="read.npy")
    run = server.run({"load": load, "keep": keep})
    assert run.error.startswith("plain.heic: ")


def test_holes_follow_the_photo_that_is_connected(server, tmp_path):
    metres = np.full((HEIGHT, WIDTH), 1.0, np.float32)
    metres[:, 40:] = 4.0
    picture = np.full((1, HEIGHT, WIDTH, 3), 0.1, np.float32)
    picture[:, :, 40:] = 0.9
    metres[:, 30:50] = 0  # the depth edge itself is not measured
    np.save(tmp_path / "holes.npy", metres)
    load = node("LoadMetricDepth", file=upload(server, tmp_path / "holes.npy"), values="metres")
    load["inputs"] |= {"scale": 0.0, "holes": "fill", "channel": "", "photo": ["photo", 0]}
    keep = node("TensorToFile", value=["load", 0], file="read.npy")
    graph = {"photo": given(server, "photo", picture), "load": load, "keep": keep}
    run = server.run(graph)
    assert run.status == "success", run.error
    found = np.load(server.folder / "output" / "read.npy")[0]
    np.testing.assert_allclose(found[:, 30:40], 1.0, rtol=0.05)
    np.testing.assert_allclose(found[:, 40:50], 4.0, rtol=0.05)


def test_a_stack_of_linear_light_comes_out_as_it_went_in(server):
    light = scene_linear()
    names = ("bokeh_adapter", "base_model", "depth_checkpoint")
    graph = {
        "image": given(server, "image", light),
        "depth": given(server, "depth", halves()),
        "load": node("LoadBokehDepth", **dict.fromkeys(names, "built-in"), precision="fp32"),
        "stack": node(
            "GenerateBokehStack",
            **{"image": ["image", 0], "generator": ["load", 0], "strengths": "4, 8"},
            **{"steps": 1, "guidance": 1.0, "seed": 0, "match_color": True, "depth": ["depth", 0]},
            color_space="linear Rec.709",
        ),
        "keep": node("TensorToFile", value=["stack", 1], file="frames.npy"),
    }
    run = server.run(graph)
    assert run.status == "success", run.error
    frames = np.load(server.folder / "output" / "frames.npy")
    assert frames.shape == (2, HEIGHT, WIDTH, 3)
    np.testing.assert_allclose(frames[:, :, :24], light[:, :, :24].repeat(2, 0), rtol=1e-4)
