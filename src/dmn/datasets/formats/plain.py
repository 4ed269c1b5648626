"""This project's own form: train, val, test and text, each .npz or .safetensors.

A part holds `features` [N, V, D] or [N, D] and `labels` [N], and may hold `class_names` [C],
`ids` [N] and `logit_scale`; `all` in place of the parts is a pool that they are drawn from. `text`
and `text_<prompt>` hold `features` [C, D]. The files of several backbones lie in a folder each.
"""

from __future__ import annotations

from dmn.datasets.formats.rules import IMAGES, Held, Rule

TITLE = "npz or safetensors"
OWNER = r"(?:(?P<backbone>[^/]+)/)?"
RULES = (
    Rule(
        rf"{OWNER}(?P<part>train|val|test|all)\.(?:npz|safetensors)",
        (Held("features", IMAGES, keys=("features",)), Held("labels", keys=("labels",))),
    ),
    Rule(
        rf"{OWNER}text(?:_(?P<prompt>[^/]+))?\.(?:npz|safetensors|npy|pt)",
        (Held("text", "C D", keys=("features", "")),),
    ),
)
