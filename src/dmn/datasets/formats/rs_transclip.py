"""RS-TransCLIP's folders, <model>/<architecture>/: images.pt [N, D], classes.pt [N], texts_*.pt.

All images are one pool. A text, [C, D], is of one prompt, or averageprompt: the mean over 106.
"""

from __future__ import annotations

from dmn.datasets.formats.rules import IMAGES, Held, Rule

TITLE = "RS-TransCLIP's folders"
OWNER = r"(?:(?P<dataset>.+?)/)??(?P<backbone>(?:[^/]+/)?[^/]+)/"
RULES = (
    Rule(rf"{OWNER}images\.pt", (Held("features", IMAGES, part="all"),)),
    Rule(rf"{OWNER}classes\.pt", (Held("labels", part="all"),)),
    Rule(rf"{OWNER}texts_(?P<prompt>[^/]+)\.pt", (Held("text"),)),
)
