"""The network against outputs of the authors' program on real CLIP features, where these are.

The files lie beside the project (`../shared/golden`), not in it.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

from dmn import DualMemoryNetwork, Projections
from dmn.method.choices import NAMES
from dmn.method.training import train_projections
from feature_caches import SHARED

GOLDEN = SHARED / "golden"
SETS = ("oxford_pets", "oxford_flowers")
CASES = sorted(
    (folder.name, file.stem)
    for folder in (GOLDEN / name for name in SETS)
    for file in folder.glob("[zf]s_*.npz")
)
READOUTS = {
    "similarity_weighted": "similarity",
    "category_center": "center",
    "entropy_weighted": "entropy",
}
# the authors' float32 differs from itself in float64 by up to 1.6e-5
TOLERANCE = 1e-4

pytestmark = pytest.mark.skipif(not CASES, reason="../shared/golden is not here")


@cache
def load(folder: str, name: str) -> dict[str, np.ndarray]:
    """Return the arrays of a golden file."""
    with np.load(Path(GOLDEN, folder, f"{name}.npz")) as file:
        return dict(file)


def features(inputs: dict[str, np.ndarray], name: str) -> torch.Tensor:
    """Return features as the authors' program got them: normalised in float32."""
    x = torch.from_numpy(inputs[name].astype(np.float32))
    return x / torch.linalg.vector_norm(x, dim=-1, keepdim=True)


def network(folder: str, case: dict[str, np.ndarray]) -> DualMemoryNetwork:
    """Return the network of a case."""
    inputs, shots = load(folder, "inputs"), int(case["K"])
    projections = None
    if case["biases"]:
        projections = Projections.bias(**{name: inputs[f"bias_{name}"] for name in NAMES})
    return DualMemoryNetwork(
        features(inputs, "text"),
        features(inputs, f"shots_{shots}") if shots else None,
        length=int(case["L"]),
        beta=float(inputs["beta"]),
        logit_scale=float(inputs["logit_scale"]),
        view_share=float(inputs["selection_p"]),
        readout=READOUTS[str(case["readout"])],
        position=str(case["position"]) if case["biases"] else "all",
        projections=projections,
    )


@pytest.mark.parametrize(("folder", "name"), CASES)
def test_a_recorded_stream_matches_the_authors_program(folder: str, name: str) -> None:
    case = load(folder, name)
    found = network(folder, case).evaluate(features(load(folder, "inputs"), "views"))
    text = load(folder, str(case["text_file"]).removesuffix(".npz"))
    assert np.allclose(found.text, text["p_text"], atol=TOLERANCE)
    assert np.array_equal(found.pseudo_label, case["pseudo_label"])
    assert np.allclose(found.entropy, case["entropy"], atol=TOLERANCE)
    for key in ("slot", "evicted"):
        assert np.array_equal(getattr(found, key), case[key])
    assert found.schedule is not None
    assert np.array_equal(found.schedule.memory_ids, case["memory_ids"])
    assert np.array_equal(found.schedule.count, case["memory_count"])
    assert np.allclose(found.dynamic, case["p_dynamic"], atol=TOLERANCE)
    fused = found.text + found.dynamic
    if found.static is not None:
        assert np.allclose(found.static, case["p_static"], atol=TOLERANCE)
        fused = fused + found.static
    assert np.array_equal(fused.argmax(dim=-1), case["pred_fused_equal"])


@pytest.mark.parametrize(("folder", "name"), [case for case in CASES if "fs_K16_L5_" in case[1]])
def test_a_live_stream_matches_the_authors_program(folder: str, name: str) -> None:
    case = load(folder, name)
    views, live = features(load(folder, "inputs"), "views"), network(folder, case)
    for step, image in enumerate(views[:150]):
        found = live.step(image)
        assert int(found.pseudo_label) == case["pseudo_label"][step]
        assert (int(found.slot), int(found.evicted)) == (case["slot"][step], case["evicted"][step])
        assert np.allclose(found.dynamic, case["p_dynamic"][step], atol=TOLERANCE)


@pytest.mark.parametrize("folder", SETS)
def test_training_matches_the_authors_program(folder: str) -> None:
    inputs, train = load(folder, "inputs"), load(folder, "train_K16")
    text = torch.from_numpy(inputs["text"]).double()
    plain = torch.from_numpy(inputs["shots_16"]).double()
    shown = torch.from_numpy(train["train_features"]).double()
    # view 0 is the plain image, view 1+e what epoch e shows
    views = torch.cat([plain[:, :, None], shown.reshape(-1, *plain.shape).movedim(0, 2)], dim=2)
    perms = train["perms"]
    plan = [(order, np.full(len(order), 1 + epoch)) for epoch, order in enumerate(perms)]
    rates = train["lr_per_step"]
    result = train_projections(
        text,
        views,
        learning_rate=float(rates[0]),
        epochs=len(perms),
        generator=np.random.default_rng(0),
        beta=float(inputs["beta"]),
        logit_scale=float(inputs["logit_scale"]),
        plan=plan,
    )
    losses = [[row["loss_static"], row["loss_text"]] for row in result.history]
    assert np.allclose(losses, train["losses_static_text"], rtol=1e-9)
    assert np.allclose([row["learning_rate"] for row in result.history], rates, rtol=1e-9)
    for name, bias in result.projections.tensors().items():
        wanted = torch.from_numpy(train[f"bias_{name}"]).double()
        assert torch.cosine_similarity(bias.flatten(), wanted.flatten(), dim=0) > 0.9999
