"""Every method on one stream: the network's answers, the memory's remedies, the peers.

All of it is zero-shot, and a memory is empty at the beginning of each leg.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from dmn.config import Config
from dmn.evaluation.contract import StudyData
from dmn.evaluation.experiment import Experiment
from dmn.evaluation.run import Run
from dmn.evaluation.streams.course import Course, Leg, world
from dmn.evaluation.streams.entering import answers_entering
from dmn.evaluation.streams.methods import OWN, REMEDIES, ZERO_SHOT
from dmn.evaluation.streams.remedies import (
    LEAST_CONFIDENCE,
    abstains,
    confident,
    segments,
    without_prior,
)
from dmn.peers.contract import Given, Images, Peer
from dmn.peers.formulas import unit


def answers(
    data: StudyData,
    config: Config,
    course: Course,
    peers: Sequence[Peer],
    seed: int,
    short_length: int,
    least_confidence: float = LEAST_CONFIDENCE,
) -> Iterator[tuple[str, np.ndarray, np.ndarray | None]]:
    """Yield each method, its answers [M] as the images come, and the confidence [M] of them.

    short_length: slots a class of the remedy `short_memory`; least_confidence: of text in what
    enters by the remedy `confident_entry`.
    """
    vocabulary = world(data, course.text)

    def network(**changes: Any) -> Experiment:
        return Experiment(vocabulary, config, ZERO_SHOT, (), **changes)

    usual = Experiment(vocabulary, config, ZERO_SHOT, ("fixed", "label_free"), whole=True)
    runs = [usual.run(seed, leg.part, np.arange(len(leg.part))) for leg in course.legs]
    for method, (component, weights) in OWN.items():
        scores = np.concatenate([run.scores(component, weights) for run in runs])
        total = scores.sum(axis=1)
        answers = np.concatenate([run.answers(component, weights) for run in runs])
        yield method, answers, scores.max(axis=1) / total
    legs = list(zip(course.legs, runs, strict=True))
    remedies = {
        "abstaining": lambda leg, run: _abstaining(run),
        "prior_correction": lambda leg, run: _without_prior(run),
        "first_in_first_out": lambda leg, run: _dynamic(network(entry_rule="fifo"), seed, leg),
        "confident_entry": lambda leg, run: _confident(usual, leg, run, least_confidence),
        "short_memory": lambda leg, run: _dynamic(network(length=short_length), seed, leg),
        "reset_at_changes": lambda leg, run: _reset(network(), seed, leg, run),
    }
    for method in REMEDIES:
        yield method, np.concatenate([remedies[method](leg, run) for leg, run in legs]), None
    given = Given(unit(course.text), data.logit_scale)
    for peer in peers:
        found = [answered(peer, given, Images(leg.part.views), leg.ends) for leg in course.legs]
        yield peer.name, np.concatenate(found), None


def _abstaining(run: Run) -> np.ndarray:
    silent = abstains(run.pseudo_label, run.classes)
    return np.where(silent, run.answers("text"), run.answers("dynamic"))


def _without_prior(run: Run) -> np.ndarray:
    return without_prior(run.scores("dynamic")).argmax(axis=1)


def _dynamic(experiment: Experiment, seed: int, leg: Leg) -> np.ndarray:
    return experiment.run(seed, leg.part, np.arange(len(leg.part))).answers("dynamic")


def _confident(experiment: Experiment, leg: Leg, run: Run, least: float) -> np.ndarray:
    enters = confident(run.scores("text"), least)
    if enters.all():
        return run.answers("dynamic")
    return answers_entering(experiment.network.model, leg.part, enters)


def _reset(experiment: Experiment, seed: int, leg: Leg, run: Run) -> np.ndarray:
    found = segments(run.entropy, run.classes)
    if len(found) == 1:
        return run.answers("dynamic")
    return np.concatenate([_dynamic(experiment, seed, leg.between(*part)) for part in found])


def answered(peer: Peer, given: Given, images: Images, ends: np.ndarray) -> np.ndarray:
    """Return a peer's answers [M] to images as they come, with its own options.

    ends [B]: where batches end. A peer that sees the whole set is shown a batch in its place, and
    begins anew with each. Where it has no finite score, as of a batch without variance, the
    answer is CLIP's.
    """
    fitted = peer.fit(given, peer.options)
    if peer.sees != "set":
        return peer.answer(fitted, images, peer.options).argmax(axis=1)
    found = []
    for start, stop in pairwise([0, *ends.tolist()]):
        batch = images.take(np.arange(start, stop))
        with np.errstate(divide="ignore", invalid="ignore"):
            scores = peer.answer(fitted, batch, peer.options)
        finite = np.isfinite(scores).all(axis=1)
        clip = given.logits(batch.x).argmax(axis=1)
        found.append(np.where(finite, scores.argmax(axis=1), clip))
    return np.concatenate(found)
