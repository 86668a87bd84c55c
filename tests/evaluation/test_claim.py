"""Pairs of networks, trained with stacks and without: what they are shown, and what comes of it."""

import csv
import json

import pytest
import torch
from PIL import Image

from bokehdepth_core import DepthMap, cli
from bokehdepth_core.evaluation.claim import find_runs, measure_claim, summarise_claim
from bokehdepth_core.evaluation.claim.measure import GENERATED_RADIUS, Pair, generated_stack
from bokehdepth_core.evaluation.depth_run import DepthResult, Scene
from bokehdepth_core.evaluation.depth_scores import DepthScores
from bokehdepth_core.training.scenes import SceneSource

SOURCE = SceneSource(0, 16, largest_radius=6.0, focus="near", disturb=False)
TINY = "--train-steps 2 --size 16 --batch 2 --max-radius 6 --clean --samples 3"


class Spy:
    """Gives disparity that grows to the right, and remembers the stacks it was shown."""

    def __init__(self):
        self.shown = []

    def estimate(self, image, stack=None, *, focus_depth=None, **others):
        self.shown.append(stack)
        ramp = torch.linspace(0.1, 0.9, image.shape[2]).expand(image.shape[:3])
        return DepthMap(1 / ramp, metric=False)


@pytest.fixture(scope="module")
def scenes():
    return [Scene(f"scene {i}", SOURCE[i]) for i in range(3)]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("claim")
    assert cli.main(["evaluate", "claim", str(folder), *TINY.split(), "--seeds", "3", "4"]) == 0
    return folder


def test_each_network_sees_what_the_row_says(scenes):
    pair = Pair(Spy(), Spy())
    results = measure_claim({0: pair}, scenes)
    assert len(results) == 3 * 4
    assert all(stack is None for stack in pair.photo.shown)  # never a stack
    right, wrong, made = pair.stack.shown[:3]
    photo = right.reference
    owner = next(one for one in scenes if torch.equal(one.sample.pictures[0], photo)).sample
    assert torch.equal(right.frames, owner.pictures[1:])
    others = [one.sample.pictures[1:] for one in scenes if one.sample is not owner]
    assert any(torch.equal(wrong.frames, one) for one in others)
    for stack in (right, wrong, made):
        assert torch.equal(stack.reference, photo)
        assert stack.strengths == tuple(owner.strengths[1:].tolist())
    assert not torch.equal(made.frames, right.frames)


def test_a_generated_stack_is_made_of_the_guess_alone(scenes):
    photo = torch.rand(24, 40, 3, generator=torch.Generator().manual_seed(0))
    sample = scenes[0].sample
    pictures = torch.stack([photo] * len(sample.pictures))
    plane = torch.ones(24, 40)
    empty = type(sample)(pictures, sample.strengths, plane, plane > 0)
    guess = torch.full((1, 24, 40), 2.0)
    guess[..., 20:] = 5.0  # nearest, whatever its unit
    stack = generated_stack(Scene("a", empty), DepthMap(1 / guess, metric=False))
    change = (stack.frames - photo).abs().amax(-1)
    near = change[:, :, 24:]  # beyond the blur of the far half, 0.1 * 24 px
    assert GENERATED_RADIUS * 24 < 4
    assert float(near.max()) < 0.02
    assert bool((change[1:, :, :16].mean((1, 2)) > change[:-1, :, :16].mean((1, 2))).all())
    flat = generated_stack(Scene("a", empty), DepthMap(torch.ones(1, 24, 40), metric=False))
    assert float((flat.frames - photo).abs().max()) < 0.02  # no depth, no blur


def result(seed, scene, condition, error):
    return DepthResult(f"seed {seed}", scene, condition, DepthScores(error, 9), False)


def test_ratios_are_of_means_over_the_same_scenes():
    errors = {"stack": (0.1, 0.3), "shuffled": (0.4, 0.8), "generated": (0.4, 0.8)}
    errors["none"] = (0.4, 0.8)
    results = [
        result(seed, f"scene {place}", condition, factor * value)
        for seed, factor in ((0, 1.0), (1, 0.5))
        for condition, values in errors.items()
        for place, value in enumerate(values)
    ]
    found = summarise_claim(results)
    ratio = found.ratios["affine_error"]["stack"]
    assert ratio.interval.mean == pytest.approx(0.4 / 1.2)
    assert ratio.seeds == pytest.approx((1 / 3, 1 / 3))
    assert (ratio.interval.low, ratio.interval.high) == pytest.approx((0.1 / 0.4, 0.3 / 0.8))
    assert found.ratios["affine_error"]["shuffled"].interval.mean == 1
    assert found.scores["affine_error"]["none"].seeds == pytest.approx((0.6, 0.3))
    assert found.scores["affine_error"]["none"].interval.mean == pytest.approx(0.45)
    assert found.is_reached
    assert "abs_rel" not in found.scores  # no scene had metres
    half = [result(0, f"{i}", name, 0.55) for i in range(3) for name in errors]
    assert not summarise_claim(half).is_reached


def test_the_command_trains_pairs_goes_on_and_writes_everything(trained, tmp_path, capsys):
    names = ["no-stack-3", "no-stack-4", "stack-3", "stack-4"]
    assert sorted(one.name for one in trained.iterdir()) == names
    before = {name: (trained / name / "depth.safetensors").read_bytes() for name in names}
    files = [str(tmp_path / name) for name in ("a.csv", "a.png", "a.json")]
    flags = [
        part for pair in zip(("--csv", "--plot", "--json"), files, strict=True) for part in pair
    ]
    command = ["evaluate", "claim", str(trained), *TINY.split(), "--seeds", "3", "4", *flags]
    assert cli.main(command) == 0
    # Done runs are left as they are, and a run of its own gives the same weights.
    assert before == {name: (trained / name / "depth.safetensors").read_bytes() for name in names}
    said = capsys.readouterr().out
    assert "not reached" in said
    assert "Only 2 seeds" in said
    assert "Each run: 2 steps, 4 pictures" in said
    record = json.loads((tmp_path / "a.json").read_text())
    assert [(one["arm"], one["seed"], one["steps"]) for one in record["runs"]] == [
        ("stack", 3, 2),
        ("no stack", 3, 2),
        ("stack", 4, 2),
        ("no stack", 4, 2),
    ]
    rows = list(csv.DictReader((tmp_path / "a.csv").open()))
    assert len(rows) == 2 * 3 * 4
    mine = [float(row["affine_error"]) for row in rows if row["condition"] == "none"]
    shown = record["scores"]["affine_error"]["none"]
    assert shown["mean"] == pytest.approx(sum(mine) / len(mine), abs=1e-4)
    assert f"{shown['mean']:.3f}" in said
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.size == (760, 548)


def test_arms_are_told_apart_by_what_they_were_shown(trained):
    runs = find_runs([trained / "stack-3", trained / "no-stack-3"])
    assert [(one.arm.value, one.seed, one.samples) for one in runs] == [
        ("stack", 3, 4),
        ("no stack", 3, 4),
    ]


@pytest.mark.parametrize(
    ("names", "options", "said"),
    [
        (["stack-3"], "", "seed 3 has only the arm 'stack'"),
        (["no-stack-4"], "", "--photo-share 0"),
        (["stack-3", "stack-3", "no-stack-3"], "", "both of seed 3, stack"),
        (["nowhere"], "", "no such folder"),
        (["."], "--seeds 1", "--seeds goes with --train-steps"),
        (["."], "--on-bad skip", "--on-bad goes with --manifest"),
        (["."], "--manifest x.jsonl --clean", "--clean goes with made scenes"),
        (["."], "--manifest x.jsonl --train-steps 2", "Leave one out"),
        ([".", "stack-3"], "--train-steps 2", "one folder"),
        (["."], "--plot a.jpg", "ends in .png"),
        (["."], "--samples 1", "samples"),
        (["."], "--max-radius 50", "max_radius"),
    ],
)
def test_what_cannot_be_compared_is_named(trained, capsys, names, options, said):
    folders = [str(trained / name) for name in names]
    assert cli.main(["evaluate", "claim", *folders, *options.split()]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


def test_arms_with_other_settings_are_no_pair(trained, tmp_path, capsys):
    other = ["--seed", "3", "--photo-share", "1", "--size", "16", "--batch", "4", "--steps", "1"]
    more = ["--validation-samples", "2", "--focus", "near", "--max-radius", "6", "--clean"]
    assert cli.main(["train", "depth", "-o", str(tmp_path / "b"), *other, *more]) == 0
    capsys.readouterr()
    assert cli.main(["evaluate", "claim", str(trained / "stack-3"), str(tmp_path / "b")]) == 2
    assert "differ in batch, schedule" in capsys.readouterr().err
