"""AdamW on one flat tensor against torch's optimiser and schedule."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from dmn.method.optimiser import AdamW, cosine


def leaves():
    random = torch.Generator().manual_seed(0)
    shapes = [(3, 4), (5,), (2, 2, 2)]
    drawn = [torch.randn(s, generator=random, dtype=torch.float64) for s in shapes]
    return [tensor.requires_grad_() for tensor in drawn]


def loss_of(tensors, step):
    return sum(((tensor - step) ** 4).sum() for tensor in tensors)


def test_steps_equal_those_of_torch_with_its_cosine_schedule():
    options = {"betas": (0.8, 0.99), "eps": 1e-6, "weight_decay": 0.03}
    own, expected = leaves(), leaves()
    optimiser = AdamW(own, **options)
    reference = torch.optim.AdamW(expected, lr=0.1, **options)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(reference, 12, eta_min=1e-4)
    for step in range(12):
        rate = cosine(step, 12, 0.1, 1e-4)
        assert rate == pytest.approx(reference.param_groups[0]["lr"], rel=1e-12)
        optimiser.zero_grad()
        reference.zero_grad()
        loss_of(own, step).backward()
        loss_of(expected, step).backward()
        optimiser.step(rate)
        reference.step()
        schedule.step()
    for got, wanted in zip(own, expected, strict=True):
        torch.testing.assert_close(got, wanted, rtol=1e-12, atol=1e-14)


def test_the_schedule_runs_from_the_first_rate_to_the_last():
    assert cosine(0, 10, 0.5, 0.1) == 0.5
    assert cosine(5, 10, 0.5, 0.1) == pytest.approx(0.3)
    assert cosine(10, 10, 0.5, 0.1) == pytest.approx(0.1)


def test_training_does_not_load_the_compiler_of_torch():
    program = (
        "import sys, torch; from dmn.method.optimiser import AdamW;"
        "AdamW([torch.ones(2)]).step(0.1); sys.exit('torch._dynamo' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
