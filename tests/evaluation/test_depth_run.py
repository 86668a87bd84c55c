"""Depth with the stack, without, and with another scene's; the command line around it."""

import csv
import json

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from bokehdepth_core import DepthMap, cli
from bokehdepth_core.depth.networks.small import SmallDepth, SmallShape
from bokehdepth_core.depth.sweep.estimator import SweepEstimator
from bokehdepth_core.evaluation.depth_run import Scene, conditions_of, run_depth_evaluation
from bokehdepth_core.evaluation.depth_summary import summarise
from bokehdepth_core.files.pictures.images import write_image
from bokehdepth_core.training.scenes import SceneSource

SOURCE = SceneSource(0, 16, largest_radius=6.0, focus="near", disturb=False)


class Spy:
    """Sees the true disparity with a stack whose frames belong to the photo, else a constant."""

    def __init__(self, scenes):
        self.scenes, self.seen = scenes, []

    def estimate(self, image, stack=None, *, focus_depth=None, **others):
        mine = next(i for i, one in enumerate(self.scenes) if equal(one, image))
        frames = None if stack is None else stack.frames
        owner = None
        if stack is not None:
            owner = next(
                i
                for i, one in enumerate(self.scenes)
                if torch.equal(one.sample.pictures[1:], frames)
            )
        self.seen.append((mine, owner, stack and stack.strengths, focus_depth, others["focus"]))
        sample = self.scenes[mine].sample
        if owner == mine:
            return DepthMap(1 / sample.disparity[None].clamp(min=1e-3))
        return DepthMap(torch.ones_like(sample.disparity[None]), metric=stack is not None)


def equal(scene, image):
    return torch.equal(scene.sample.pictures[:1], image)


@pytest.fixture(scope="module")
def scenes():
    return [Scene(f"scene {i}", SOURCE[i]) for i in range(3)]


def test_the_control_sees_the_frames_of_another_scene(scenes):
    spy, steps = Spy(scenes), []
    results = run_depth_evaluation(
        {"spy": spy}, scenes, focus="nearest", count=3, on_progress=lambda *one: steps.append(one)
    )
    assert steps == [(1, 3), (2, 3), (3, 3)]
    own = {(mine, owner) for mine, owner, *_ in spy.seen}
    pairs = {(mine, owner) for mine, owner in own if owner not in (None, mine)}
    assert pairs == {(0, 2), (1, 0), (2, 1)}
    assert {(i, i) for i in range(3)} | {(i, None) for i in range(3)} | pairs == own
    for mine, owner, strengths, focus_depth, focus in spy.seen:
        assert focus == "nearest"
        if owner is not None:  # K and the plane stay the scene's own
            assert strengths == tuple(scenes[mine].sample.strengths[1:].tolist())
            assert focus_depth == pytest.approx(1 / scenes[mine].sample.focus_disparity)
    scored = {(one.scene, one.condition): one.scores for one in results}
    assert len(scored) == 9
    for (_, condition), scores in scored.items():
        assert (scores.affine_error < 1e-4) == (condition == "stack")


def test_differences_are_those_of_each_scene_with_itself(scenes):
    results = run_depth_evaluation({"spy": Spy(scenes)}, scenes)
    rows = {row.condition: row for row in summarise(results)}
    assert set(rows) == {"stack", "none", "shuffled", "stack - none", "stack - shuffled"}
    errors = [one.scores.affine_error for one in results if one.condition == "none"]
    found = rows["stack - none"].scores["affine_error"]
    assert found.mean == pytest.approx(-sum(errors) / 3, abs=1e-4)
    assert -max(errors) - 1e-6 <= found.low <= found.high <= -min(errors) + 1e-4
    # The photo alone gave no metres, so there is nothing to take the difference of.
    assert "abs_rel" in rows["stack"].scores
    assert "abs_rel" not in rows["stack - none"].scores


def test_conditions_follow_from_estimator_and_scene(scenes):
    sweep = SweepEstimator(torch.device("cpu"))
    assert conditions_of(sweep, scenes[0]) == ("stack",)
    photo = Spy(scenes)
    photo.reads_stack = False
    assert conditions_of(photo, scenes[0]) == ("none",)


def test_the_work_can_be_stopped(scenes):
    def stop():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_depth_evaluation({"spy": Spy(scenes)}, scenes, check_cancelled=stop)


def test_an_estimate_that_fails_is_named_or_skipped(scenes):
    class Fails(Spy):
        def estimate(self, image, stack=None, **others):
            if equal(self.scenes[1], image) and stack is not None:
                raise ValueError("depth_model: no number.")
            return super().estimate(image, stack, **others)

    with pytest.raises(ValueError, match="scene 1: depth_model: no number"):
        run_depth_evaluation({"spy": Fails(scenes)}, scenes)
    said = []
    results = run_depth_evaluation(
        {"spy": Fails(scenes)}, scenes, on_bad="skip", report=said.append
    )
    assert said == ["skipped scene 1: depth_model: no number."]
    assert {one.scene for one in results} == {"scene 0", "scene 2"}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("net") / "small.safetensors"
    state = SmallDepth(SmallShape((4, 8), 16)).state_dict()
    save_file({key: value.contiguous() for key, value in state.items()}, path)
    return path


def run(capsys, *arguments):
    code = cli.main(["evaluate", "depth", *map(str, arguments)])
    said = capsys.readouterr()
    return code, said.out, said.err


def test_made_scenes_give_a_table_a_csv_and_a_plot(checkpoint, tmp_path, capsys):
    table, plot = tmp_path / "all.csv", tmp_path / "all.png"
    options = ["--samples", 2, "--size", 16, "--clean", "--csv", table, "--plot", plot]
    code, out, err = run(capsys, "--checkpoint", checkpoint, *options)
    assert (code, err) == (0, "")
    heading = out.splitlines()[0].split("  ")
    assert [one.strip() for one in heading if one] == [
        *("small.safetensors", "stack", "none", "shuffled", "stack - none", "stack - shuffled")
    ]
    assert "made scenes of seed 1000003, 16 px" in out
    with table.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [one["condition"] for one in rows] == 2 * ["stack", "none", "shuffled"]
    mean = sum(float(one["affine_error"]) for one in rows if one["condition"] == "none") / 2
    assert f"{mean:.3f} [" in next(line for line in out.splitlines() if line.startswith("affine"))
    with Image.open(plot) as sheet:
        assert sheet.size == (720, 2 * (38 + 3 * 30 + 34))


@pytest.fixture
def manifest(tmp_path, monkeypatch):
    """Three photos with stacks and depth, the second with NaN in it, and a line that is none."""
    monkeypatch.chdir(tmp_path)
    lines = []
    for index, name in enumerate("abc"):
        sample = SOURCE[index]
        for place, picture in enumerate(sample.pictures):
            write_image(tmp_path / f"{name}{place}.png", picture)
        depth = (1 / sample.disparity.clamp(min=1e-2)).numpy()
        if name == "b":
            depth[3, 3] = np.nan
        np.save(tmp_path / f"{name}.npy", depth)
        line = {"ref": f"{name}0.png", "depth": f"{name}.npy"}
        line |= {"stack": [f"{name}{i}.png" for i in (1, 2, 3)], "focus_depth": 1.5}
        lines.append(json.dumps(line | {"k": sample.strengths[1:].tolist()}))
    (tmp_path / "m.jsonl").write_text("\n".join([*lines, "no JSON"]))


def test_bad_lines_of_a_manifest_are_named_and_refused_or_skipped(manifest, checkpoint, capsys):
    options = ["--checkpoint", checkpoint, "--manifest", "m.jsonl"]
    code, _, err = run(capsys, *options)
    assert (code, err.startswith("bokehdepth: m.jsonl:4: no JSON")) == (2, True)
    code, out, err = run(capsys, *options, "--on-bad", "skip")
    assert code == 0
    assert "skipped m.jsonl:4: no JSON" in err
    assert "skipped m.jsonl:2: b.npy holds NaN in 1 pixels" in err
    assert out.split("scenes")[1].split()[:3] == ["2", "2", "2"]
    code, out, err = run(
        capsys, *options, "--on-bad", "skip", "--nan-depth", "unknown", "--align", "metric"
    )
    assert "holds NaN" not in err
    assert "no metres in none; compared by the affine error" in out
    assert out.split("scenes")[1].split()[:3] == ["3", "3", "3"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("--on-bad skip", "on_bad: --on-bad is for a manifest"),
        ("--manifest m.jsonl --size 32", "size: --size is for made scenes"),
        ("--manifest none.jsonl", "none.jsonl: no such manifest"),
        ("--plot a.svg", "plot: expected a name that ends in .png, found a.svg"),
        ("--csv none/a.csv", "folder none does not exist"),
        ("--samples 0", "samples: expected at least 1, found 0"),
        ("--checkpoint none.pth", "none.pth"),
    ],
)
def test_what_cannot_be_evaluated_is_named(tmp_path, monkeypatch, capsys, options, said):
    monkeypatch.chdir(tmp_path)
    code, _, err = run(capsys, *options.split())
    assert code == 2
    assert said in err


def test_the_sweep_is_measured_on_its_stack(scenes):
    results = run_depth_evaluation({"sweep": SweepEstimator(torch.device("cpu"))}, scenes[:1])
    assert [one.condition for one in results] == ["stack"]
    assert results[0].metric
    assert results[0].scores.ause is not None
