"""Compiled trace of all writes of a stream into the dynamic memory (method.md, section 4)."""

from __future__ import annotations

import numpy as np
from numba import njit

from dmn.engine.compiled.options import OPTIONS


@njit(**OPTIONS)
def _before(h, ids, a, b):
    """Say whether entry a of a class goes before b: larger entropy, of equal ones the later."""
    return h[ids[a]] > h[ids[b]] or (h[ids[a]] == h[ids[b]] and ids[a] > ids[b])


@njit(**OPTIONS)
def _sift(heap, size, h, ids, place):
    """Restore the heap of slots after entry `place` changed, upwards and then downwards."""
    while place > 0 and _before(h, ids, heap[place], heap[(place - 1) // 2]):
        parent = (place - 1) // 2
        heap[place], heap[parent] = heap[parent], heap[place]
        place = parent
    while True:
        child = 2 * place + 1
        if child >= size:
            return
        if child + 1 < size and _before(h, ids, heap[child + 1], heap[child]):
            child += 1
        if not _before(h, ids, heap[child], heap[place]):
            return
        heap[place], heap[child] = heap[child], heap[place]
        place = child


@njit(**OPTIONS)
def _draw(seed, step):
    """SplitMix64, as dmn.method.dynamic_memory.draw."""
    z = seed + np.uint64(step + 1) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@njit(**OPTIONS)
def _full_slot(rule, heap, h, ids, step, seen, seed):
    """Return the slot of a full class that the entry rule gives to this step, -1 for none."""
    L = len(ids)
    if rule == 0:  # entropy
        worst = heap[0]
        return worst if h[step] < h[ids[worst]] else -1
    if rule == 1:  # first in, first out
        return (seen - 1) % L
    if rule == 2:  # random
        return np.int64(_draw(seed, step) % np.uint64(L))
    place = np.int64(_draw(seed, step) % np.uint64(seen))
    return place if place < L else -1


@njit(**OPTIONS)
def trace(label, h, classes, L, rule, seed):
    """Trace the writes of a stream; see dmn.method.dynamic_memory.Schedule for what is returned."""
    N = len(label)
    slot, evicted = np.full(N, -1, np.int64), np.full(N, -1, np.int64)
    end = np.full(N, -1, np.int64)
    count, seen = np.zeros(classes, np.int64), np.zeros(classes, np.int64)
    ids, heap = np.full((classes, L), -1, np.int64), np.zeros((classes, L), np.int64)
    for step in range(N):
        y = label[step]
        seen[y] += 1
        if count[y] < L:
            j, place = count[y], count[y]
            heap[y, place] = j
            count[y] += 1
        else:
            j, place = _full_slot(rule, heap[y], h, ids[y], step, seen[y], seed), 0
            if j < 0:
                continue
            evicted[step] = ids[y, j]
            end[ids[y, j]] = step
        ids[y, j] = step
        slot[step] = j
        end[step] = N
        if rule == 0:
            _sift(heap[y], count[y], h, ids[y], place)
    return slot, evicted, end, count, ids


@njit(**OPTIONS)
def settle(label, slot, evicted, classes, gap):
    """Give each image that enters a place in its class's Gram matrix: places [N], number [C].

    A place is not given away again until `gap` steps after its image was overwritten, so that
    images which are read within so many steps never share one. -1 for images that never enter.
    """
    N = len(label)
    place, count = np.full(N, -1, np.int64), np.zeros(classes, np.int64)
    # overwritten images wait in the order of their end: a queue for each class, linked
    following = np.full(N, -1, np.int64)
    ended = np.zeros(N, np.int64)
    head, tail = np.full(classes, -1, np.int64), np.full(classes, -1, np.int64)
    for step in range(N):
        if slot[step] < 0:
            continue
        y, old = label[step], evicted[step]
        if old >= 0:
            ended[old] = step
            if head[y] < 0:
                head[y] = old
            else:
                following[tail[y]] = old
            tail[y] = old
        first = head[y]
        if first >= 0 and ended[first] + gap <= step:
            place[step] = place[first]
            head[y] = following[first]
        else:
            place[step] = count[y]
            count[y] += 1
    return place, count
