"""The command `train`: one file for each kind of network."""

import argparse

from ...options import OneLineParser
from .depth import add_train_depth
from .generator import add_train_generator


def add_train_commands(commands: "argparse._SubParsersAction[OneLineParser]") -> None:
    """Add `train` and what can be trained to the program's commands."""
    train = commands.add_parser("train", help="train a network of the pack")
    kinds = train.add_subparsers(required=True, metavar="what")
    add_train_depth(kinds)
    add_train_generator(kinds)
