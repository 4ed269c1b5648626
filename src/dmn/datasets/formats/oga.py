"""OGA's pairs of .pt: <backbone>_<part>_features.pt [N, D] and <part>_target.pt [N].

The targets serve every backbone. No text is saved: <backbone>_text.pt lies beside, or text.pt where
there is one backbone.
"""

from __future__ import annotations

from dmn.datasets.formats.rules import FOLDER, IMAGES, Held, Rule, text_rule

TITLE = "OGA's pairs"
RULES = (
    Rule(
        rf"{FOLDER}(?P<backbone>[^/]+)_(?P<part>train|val|test)_features\.pt",
        (Held("features", IMAGES),),
    ),
    Rule(rf"{FOLDER}(?P<part>train|val|test)_target\.pt", (Held("labels"),)),
    text_rule(rf"{FOLDER}(?:(?P<backbone>[^/]+?)_)?"),
)
