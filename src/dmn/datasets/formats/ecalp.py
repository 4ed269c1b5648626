"""ECALP's dictionaries: <RN or VIT>/<data set>.pt with image_features, text_features and labels.

image_features [N, D] and labels [N] are the test images, text_features [C, D]. The file of the
same name below few_shots/ has the training images, image_features [C, K, D] and one-hot labels
[C, K, C]. The 15 corruptions of ImageNet-C are data sets of the form.
"""

from __future__ import annotations

from dmn.datasets.formats.rules import IMAGES, Held, Rule

TITLE = "ECALP's dictionaries"
NAME = r"(?:.*?/)??(?:(?P<backbone>RN|VIT)/)?"
FEATURES, LABELS, TEXT = ("image_features",), ("labels",), ("text_features",)
RULES = (
    Rule(
        rf"{NAME}few_shots/(?P<dataset>[^/]+)\.pt",
        (
            Held("features", "N D|C K D", part="train", keys=FEATURES),
            Held("labels", part="train", keys=LABELS),
        ),
    ),
    Rule(
        rf"{NAME}(?P<dataset>[^/]+)\.pt",
        (
            Held("features", IMAGES, part="test", keys=FEATURES),
            Held("labels", part="test", keys=LABELS),
            Held("text", keys=TEXT),
        ),
    ),
)
