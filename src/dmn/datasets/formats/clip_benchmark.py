"""CLIP_benchmark's linear-probe cache: features_<part>.pt [N, D] and targets_<part>.pt [N].

A folder is called <data set>-<backbone>. No text is saved by the probe; a text or classifier file,
[C, D] or [D, C], lies beside. Older versions call the test part val.
"""

from __future__ import annotations

from dmn.datasets.formats.rules import IMAGES, Held, Rule, text_rule

TITLE = "CLIP_benchmark's cache"
OWNER = r"(?:.*?/)??(?:(?P<dataset>[^/-]+)-(?P<backbone>[^/]+)/)?"
RULES = (
    Rule(rf"{OWNER}features_(?P<part>train|val|test)\.pt", (Held("features", IMAGES),)),
    Rule(rf"{OWNER}targets_(?P<part>train|val|test)\.pt", (Held("labels"),)),
    text_rule(OWNER),
)
