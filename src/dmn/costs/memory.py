"""Peak memory of a job in MB, and what else is priced by the size of what it reads."""

from __future__ import annotations

from dmn.costs.sizes import Sizes
from dmn.costs.studies import WHOLE, Design, arranged

MEGA = 1e6
# a process with torch and what it imports; one that reads and writes arrays alone
BASE, READING = 920.0, 150.0
# buffers of a worker: products, logits and probabilities of a block
BUFFERS = 400.0
# bytes of an image in a run: the classes that can win with their probabilities, joined from blocks;
# with a static memory more of them can
FRONT, WITH_SHOTS = 60.0, 240.0
# rows that a report reads count so often, for each is resampled
REPORT_ROWS = 1.0
# CPU seconds of a view of a photograph, drawn and decoded
PHOTOGRAPH = 0.008
# CPU seconds of a byte that is downloaded and hashed
HASHED = 1e-8


def evaluation(study: str, design: Design) -> float:
    """Return the peak of one job of a study."""
    s, used = design.sizes, design.used
    numbers = s.number_bytes
    features = s.N * s.V * s.D * 2 + s.N * s.D * (3 * numbers + 2 * 8)
    memories = s.C * sum(1 + K for K in s.shots) * s.D * (2 + numbers)
    cells = design.cells if study in ("main", "weights", "ablation") else design.ends
    alone = "zero_shot" in s.settings
    runs = used * (arranged(design) if study == "order" else 1)
    front = alone * FRONT + max(cells - alone, 0) * WITH_SHOTS
    if study == "length":
        # one cell after the other
        runs, front = used * (len(design.options.lengths) + 1), WITH_SHOTS if s.shots else FRONT
    fronts = runs * s.N * front
    whole = min(1.5 * WHOLE, used * s.N * s.C * numbers * 3) if study == "calibration" else 0
    return (
        BASE + BUFFERS * min(1.0, s.N * s.C / 1e6) + (features + memories + fronts + whole) / MEGA
    )


def training(sizes: Sizes) -> float:
    """Return the peak of training: slots, their products with a batch, and gradients."""
    slots = sizes.C * (sizes.most + 1)
    batch = min(128, sizes.C * sizes.most)
    numbers = slots * sizes.D * 6 + slots * batch * 24 + slots * (sizes.most + 1)
    return BASE + numbers * sizes.number_bytes / MEGA


def reading(count: float) -> float:
    """Return the peak of a job that reads and writes so many bytes."""
    return READING + 2 * count / MEGA


def report(rows: float) -> float:
    """Return the peak of a study's report."""
    return 450.0 + rows * 3e-3
