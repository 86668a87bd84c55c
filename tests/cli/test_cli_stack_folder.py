"""`bokehdepth stack` over a folder and over a manifest makes training data."""

import json

import numpy as np
import pytest
import torch

from bokehdepth_core import cli, read_image
from bokehdepth_core.files.pictures.images import write_image
from bokehdepth_core.training.manifest import read_manifest
from bokehdepth_core.training.samples import load_sample

COMMAND = "stack photos --depth depths --strengths 4,8 --quality draft -o out"


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """Two photos with depth, a wall at 4 m with a card at 1 m and a corner not measured."""
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    for name in ("photos", "depths"):
        (tmp_path / name).mkdir()
    depth = np.full((17, 21), 4.0, np.float32)
    depth[5:12, 6:15] = 1.0
    depth[:2, :2] = 0.0
    for name in ("a", "b"):
        write_image(f"photos/{name}.png", torch.rand(17, 21, 3))
        np.save(f"depths/{name}.npy", depth)
    return tmp_path


def run(command, capsys):
    code = cli.main(command.split())
    said = capsys.readouterr()
    return code, said.out, said.err


def test_a_folder_of_photos_becomes_stacks_and_a_manifest_to_train_with(photos, capsys):
    code, out, err = run(COMMAND, capsys)
    assert code == 0, err
    assert "2 stacks, 2 of them made now, listed in manifest.jsonl" in out
    first, _ = read_manifest(photos / "out" / "manifest.jsonl")
    sample = load_sample(first)
    assert sample.strengths.tolist() == [0, 4, 8]
    assert sample.known.sum() == 17 * 21 - 4
    assert sample.disparity[0, 20] == 0.25
    assert sample.focus_disparity == pytest.approx(1.0)  # the nearest surface is in focus
    wall, card = sample.pictures[2, 8, 20], sample.pictures[2, 8, 10]
    photo = read_image("photos/a.png")
    assert (wall - photo[8, 20]).abs().max() > 0.05
    assert (card - photo[8, 10]).abs().max() <= 1 / 255


def test_a_run_that_was_stopped_goes_on_and_other_options_are_refused(photos, capsys):
    run(COMMAND, capsys)
    (photos / "out" / "b" / "stack.json").unlink()  # as if stopped before the last file
    kept = (photos / "out" / "a" / "stack.json").stat().st_mtime_ns
    code, out, _ = run(COMMAND, capsys)
    assert code == 0
    assert "2 stacks, 1 of them made now" in out
    assert (photos / "out" / "a" / "stack.json").stat().st_mtime_ns == kept
    code, _, err = run(COMMAND.replace("4,8", "4,9"), capsys)
    assert code == 2
    assert "holds a stack made with another strengths. Give another folder" in err


def test_a_photo_without_depth_is_refused_or_skipped_by_name(photos, capsys):
    (photos / "depths" / "a.npy").unlink()
    code, _, err = run(COMMAND, capsys)
    assert code == 2
    assert err.startswith("bokehdepth: a.png: no depth file a.* in depths.")
    code, out, err = run(f"{COMMAND} --on-bad skip", capsys)
    assert code == 0
    assert err.startswith("skipped a.png: no depth file")
    assert "1 stack, 1 of them made now" in out


def test_processes_share_the_photos(photos, capsys, monkeypatch):
    from bokehdepth_core.cli.commands import stack_folder
    from bokehdepth_core.training.processes import Processes

    def as_process(index):
        monkeypatch.setattr(stack_folder, "this_process", lambda: Processes(index, 2))
        return run(COMMAND, capsys)

    assert as_process(1)[0] == 0
    assert sorted(one.name for one in (photos / "out").iterdir()) == ["b"]
    assert "2 stacks, 1 of them made by this process" in as_process(0)[1]


def test_a_manifest_of_photos_and_depth_is_taken_too(photos, capsys):
    lines = [{"ref": f"photos/{n}.png", "depth": f"depths/{n}.npy"} for n in ("a", "b")]
    lines.insert(1, {"ref": "photos/none.png", "depth": "depths/a.npy"})
    (photos / "in.jsonl").write_text("\n".join(map(json.dumps, lines)))
    command = "stack in.jsonl --strengths 4 --quality draft -o out"
    assert "in.jsonl:2: ref: no file photos/none.png" in run(command, capsys)[2]
    code, out, _ = run(f"{command} --on-bad skip", capsys)
    assert code == 0, out
    names = [one.reference.parent.name for one in read_manifest(photos / "out/manifest.jsonl")]
    assert names == ["000001_a", "000003_b"]


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("stack photos/a.png --strengths 4 --on-bad skip -o out", "on_bad: is for a folder"),
        ("stack photos --strengths 4 --outside-files -o out", "outside_files: is for a manifest"),
        ("stack photos --strengths 4 --depth depths/a.npy -o out", "depths/a.npy is no folder"),
        ("stack depths --depth depths --strengths 4 -o out", "no usable photo in depths"),
    ],
)
def test_what_does_not_fit_is_named(photos, capsys, command, said):
    code, _, err = run(command, capsys)
    assert code == 2
    assert said in err


@pytest.mark.parametrize("lost", ["frames", "settings", "reference"])
def test_a_record_that_says_too_little_is_named(photos, capsys, lost):
    run(COMMAND, capsys)
    record = photos / "out" / "a" / "stack.json"
    facts = json.loads(record.read_text())
    record.write_text(json.dumps({name: facts[name] for name in facts if name != lost}))
    code, _, err = run(COMMAND, capsys)
    assert code == 2
    assert "stack.json is damaged. Remove its folder." in err
    assert "Traceback" not in err
