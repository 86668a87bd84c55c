"""Who votes for what: pixels that were outvoted vote for what they were given."""

from types import SimpleNamespace

import torch

from bokehdepth_core.depth.sweep.labelling.energy import (
    OUTVOTED,
    Labelling,
    first_voters,
    next_voters,
)


def measured(offset, confidence):
    return SimpleNamespace(
        offset=torch.tensor([offset]),
        confidence=torch.tensor([confidence]),
        offsets=[0.0, 0.5, 1.0, 1.5, 2.0],
    )


def test_a_pixel_first_votes_for_its_own_best_candidate():
    voters = first_voters(measured([0.5, 1.75], [0.8, 0.4]), torch.tensor([[1.0, 0.5]]))
    torch.testing.assert_close(voters.labels, torch.tensor([[1.0, 3.5]]))
    torch.testing.assert_close(voters.weight, torch.tensor([[0.8, 0.2]]))


def test_who_was_outvoted_votes_for_its_new_label():
    own = measured([0.5, 0.5, 1.0], [0.8, 0.8, 0.0])
    share = torch.tensor([[1.0, 0.5, 1.0]])
    # The first was given its own, within a tenth; the others something else.
    labelled = Labelling(torch.tensor([[0.53, 2.0, 1.5]]), torch.tensor([[1.0, 0.6, 0.0]]))
    voters = next_voters(own, share, labelled, 20.0)
    torch.testing.assert_close(voters.labels, torch.tensor([[1.0, 4.0, 3.0]]))
    torch.testing.assert_close(voters.weight, torch.tensor([[0.8, OUTVOTED * 0.6 * 0.5, 0.0]]))
