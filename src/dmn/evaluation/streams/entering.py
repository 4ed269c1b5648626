"""A dynamic memory that some images of a stream may not enter, whatever its entry rule says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from dmn.engine.schedule import Schedule
    from dmn.evaluation.contract import Part
    from dmn.method.model import Model


def answers_entering(model: Model, part: Part, enters: np.ndarray) -> np.ndarray:
    """Return the memory's answers [N] to a part as it comes; images that may not enter still ask.

    enters [N]: which images are offered to the memory.
    """
    import torch

    from dmn.engine.readers import dynamic_reader
    from dmn.engine.recorded import BLOCK, blocks, open_stream, room
    from dmn.workers import workers

    N = len(part)
    with workers(1) as pool, torch.no_grad():
        stream = open_stream(model, part.views, None, pool)
        schedule = schedule_entering(model, stream.label, stream.entropy, enters)
        longest = schedule.memory_ids.shape[1]
        reader = dynamic_reader(model, stream, schedule, [longest], pool)
        found = room(model, 1, 1, N, model.classes)
        for start, stop in blocks(N, BLOCK):
            reader.read(start, stop, found[:, :, start:stop])
    return found[0, 0].argmax(dim=1).cpu().numpy()


def schedule_entering(
    model: Model, label: np.ndarray, entropy: np.ndarray, enters: np.ndarray
) -> Schedule:
    """Return the writes of the images that enter, counted as steps of the whole stream [N]."""
    from dmn.engine.schedule import Schedule, write_schedule

    kept = np.flatnonzero(enters)
    own = write_schedule(
        label[kept], entropy[kept], model.classes, model.length, model.entry_rule, model.seed
    )
    # the step after the last, and none at all
    step = np.append(kept, [len(label), -1])

    def whole(values: np.ndarray, steps: bool) -> np.ndarray:
        found = np.full(len(label), -1, dtype=values.dtype)
        found[kept] = step[values] if steps else values
        return found

    return Schedule(
        slot=whole(own.slot, steps=False),
        evicted=whole(own.evicted, steps=True),
        end=whole(own.end, steps=True),
        label=label,
        count=own.count,
        memory_ids=step[own.memory_ids],
        memory_entropy=own.memory_entropy,
    )
