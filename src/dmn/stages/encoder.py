"""encoder: pretrain the embedded small CLIP, or fetch released weights, as safetensors."""

from __future__ import annotations

import argparse
import logging
import sys

import pandas as pd

from dmn.artifacts import write_rows, write_tensors
from dmn.config import from_argument
from dmn.encoders.clip import fetch_weights, preprocessing
from dmn.encoders.pretrain import pretrain
from dmn.stages.arguments import add, add_config

# of an encoder, what its weights come from
SOURCE = {"model", "pretrained", "checkpoint"}


def declare(parser: argparse.ArgumentParser) -> None:
    """Add the options of `dmn stage encoder`."""
    parser.add_argument("action", choices=["pretrain", "fetch"], help="what to write")
    parser.add_argument("--backbone", help="name in `encoders` (action fetch)")
    parser.add_argument("--history", help="loss table to write (action pretrain)")
    add(parser, weights="weights to write (safetensors)")
    add_config(parser)


def main(arguments: argparse.Namespace) -> None:
    """Write the weights of one backbone."""
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(message)s")
    config = from_argument(arguments.config)
    if arguments.action == "pretrain":
        result = pretrain(config.pretraining)
        write_tensors(
            arguments.weights, result.weights, {"pretraining": config.pretraining.model_dump()}
        )
        write_rows(arguments.history, pd.DataFrame(result.history))
    else:
        chosen = config.encoders[arguments.backbone]
        weights = fetch_weights(chosen)
        facts = chosen.model_dump(include=SOURCE) | {"preprocessing": preprocessing(chosen)}
        write_tensors(arguments.weights, weights, facts)
