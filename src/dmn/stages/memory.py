"""memory: build the static memory of one K-shot training set.

Slot 0 of a class is its text feature, slots 1 to K are its un-augmented shots
(docs/method.md, section 5).
"""

from __future__ import annotations

import numpy as np

from dmn.artifacts import read_tensor_metadata, read_tensors, sha256, write_tensors
from dmn.errors import ArtifactError, run_main
from dmn.stages.arguments import add, command


def read_shots(train: str, shots: int) -> np.ndarray:
    """Return the features [C, K, V, D] of the `shots` images drawn for each class."""
    rows = read_tensor_metadata(train).get("rows", {})
    if str(shots) not in rows:
        known = ", ".join(sorted(rows, key=int)) or "none"
        raise ArtifactError(f"{train} holds shots {known}, not {shots}; add it to `shots`")
    return read_tensors(train)["views"][np.array(rows[str(shots)])]


def main() -> None:
    """Read text and shot features, write [C, 1+K, D]."""
    parser = command("memory", __doc__)
    add(parser, "text", "train", "out", shots="K, shots of each class")
    arguments = parser.parse_args()
    text = read_tensors(arguments.text)["text"]
    shots = read_shots(arguments.train, int(arguments.shots))
    memory = np.concatenate([text[:, None], shots[:, :, 0]], axis=1)
    sources = {name: sha256(getattr(arguments, name)) for name in ("text", "train")}
    write_tensors(arguments.out, {"memory": memory}, {"inputs": sources})


if __name__ == "__main__":
    run_main(main)
