"""SuS-X's files: <set>_f_<part>_m<backbone>.pt [N, D] and <set>_t_<part>_m<backbone>.pt [N].

The K-shot part is train, ..._m<backbone>_k<K>.pt, features [D, N] and one-hot labels [N, C]. Text
is <set>_zeroshot_text_weights_m<backbone>_pt<prompt>.pt [D, C]. The support sets sus_lc_* and
sus_sd_* are retrieved or generated images, not labelled ones, and are left alone.
"""

from __future__ import annotations

from dmn.datasets.formats.rules import IMAGES, Held, Rule

TITLE = "SuS-X's files"
SET = r"(?:.*/)?(?!sus_(?:lc|sd)_)(?P<dataset>[^/]+)"
BACKBONE = r"_m(?P<backbone>[^/_]+)"
RULES = (
    Rule(rf"{SET}_f_(?P<part>val|test){BACKBONE}\.pt", (Held("features", IMAGES),)),
    Rule(rf"{SET}_t_(?P<part>val|test){BACKBONE}\.pt", (Held("labels"),)),
    Rule(
        rf"{SET}_f_(?P<part>train){BACKBONE}_k(?P<shots>\d+)\.pt",
        (Held("features", "D N|V N D"),),
    ),
    Rule(rf"{SET}_t_(?P<part>train){BACKBONE}_k(?P<shots>\d+)\.pt", (Held("labels"),)),
    Rule(rf"{SET}_zeroshot_text_weights{BACKBONE}_pt(?P<prompt>[^/]+)\.pt", (Held("text"),)),
)
