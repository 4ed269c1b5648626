"""Caches of Tip-Adapter's program and of those built on it: APE, TransCLIP, StatA, LP++.

keys_<K>shots.pt [D, N] (of TransCLIP [V, N, D]) and values_<K>shots.pt, one-hot [N, C], are the
training images; {val,test}_f.pt [N, D] and {val,test}_l.pt [N]. APE adds text_weights_cupl_t.pt
[D, C]; the others save no text, so a file `text...` lies beside. A part may be missing.
"""

from __future__ import annotations

from dmn.datasets.formats.rules import FOLDER, IMAGES, Held, Rule, text_rule

TITLE = "Tip-Adapter's cache (also of APE, TransCLIP, StatA, LP++)"
RULES = (
    Rule(
        rf"{FOLDER}keys_(?P<shots>\d+)shots\.pt",
        (Held("features", "D N|V N D", part="train"),),
    ),
    Rule(rf"{FOLDER}values_(?P<shots>\d+)shots\.pt", (Held("labels", part="train"),)),
    Rule(rf"{FOLDER}(?P<part>val|test)_f\.pt", (Held("features", IMAGES),)),
    Rule(rf"{FOLDER}(?P<part>val|test)_l\.pt", (Held("labels"),)),
    text_rule(),
)
