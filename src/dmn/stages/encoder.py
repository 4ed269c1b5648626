"""encoder: pretrain the embedded small CLIP, or fetch released weights, as safetensors."""

from __future__ import annotations

import argparse
import logging
import sys

import pandas as pd
import torch

from dmn.artifacts import write_rows, write_tensors
from dmn.config import from_argument
from dmn.encoders.clip import fetch_weights
from dmn.encoders.pretrain import pretrain
from dmn.stages.arguments import add, add_config


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
    torch.set_num_threads(config.numerics.threads)
    if arguments.action == "pretrain":
        result = pretrain(config.pretraining)
        write_tensors(
            arguments.weights, result.weights, {"pretraining": config.pretraining.model_dump()}
        )
        write_rows(arguments.history, pd.DataFrame(result.history))
    else:
        settings = config.encoder(arguments.backbone)
        write_tensors(arguments.weights, fetch_weights(settings), settings.model_dump())
