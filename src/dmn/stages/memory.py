"""memory: build the static memories of one split seed, one for each K.

Slot 0 of a class is its text feature, slots 1 to K are its un-augmented shots
(docs/method.md, section 5).
"""

from __future__ import annotations

import numpy as np

from dmn.artifacts import read_tensors, sha256, write_tensors
from dmn.errors import run_main
from dmn.evaluation.shots import read_shots
from dmn.stages.arguments import add, add_list, command


def main() -> None:
    """Read text and shot features, write [C, 1+K, D] for each K."""
    parser = command("memory", __doc__)
    add(parser, "text", "train")
    add_list(parser, "shots", "K, shots of each class; one for each file to write", int)
    add_list(parser, "out", "files to write")
    arguments = parser.parse_args()
    text = read_tensors(arguments.text)["text"]
    sources = {name: sha256(getattr(arguments, name)) for name in ("text", "train")}
    for shots, out in zip(arguments.shots, arguments.out, strict=True):
        drawn = read_shots(arguments.train, shots)
        memory = np.concatenate([text[:, None], drawn[:, :, 0]], axis=1)
        write_tensors(out, {"memory": memory}, {"inputs": sources})


if __name__ == "__main__":
    run_main(main)
