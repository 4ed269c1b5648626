"""ZLaP's pairs of .npy: <backbone>_<part>_feats.npy [N, D] and <backbone>_<part>_targets.npy [N].

The texts are classifiers/<backbone>_<prompt>_classifier.npy [D, C], of the prompts text and
cupl_text, and InMaP's proxies, which were learned on the images of a part.
"""

from __future__ import annotations

from dmn.datasets.formats.rules import FOLDER, IMAGES, Held, Rule

TITLE = "ZLaP's npy pairs"
PAIR = rf"{FOLDER}(?P<backbone>[^/]+)_(?P<part>train|val|test)"
CLASSIFIER = rf"{FOLDER}classifiers/(?P<backbone>[^/]+?)_"
PROXY = r"(?P<prompt>(?:cupl_)?inmap_proxy_classifier(?:_train|_val|_test)?)"
RULES = (
    Rule(rf"{PAIR}_feats\.npy", (Held("features", IMAGES),)),
    Rule(rf"{PAIR}_targets\.npy", (Held("labels"),)),
    Rule(rf"{CLASSIFIER}(?P<prompt>(?:cupl_)?text)_classifier\.npy", (Held("text"),)),
    Rule(rf"{CLASSIFIER}{PROXY}\.npy", (Held("text"),)),
)
