"""KL divergence of predicted positions: values, zero, gradients."""

import pytest
import slow_information as slow
import torch

from cmpose_mm.models.layers import prediction_kl


def maps():
    heatmaps = torch.randn(2, 2, 3, 4, 5, dtype=torch.float64) / 10
    weights = torch.tensor([[1.0, 0.0, 0.5], [1.0, 1.0, 0.0]]).double()
    return heatmaps[0], heatmaps[1], weights


@pytest.mark.parametrize('temperature', [0.05, 1.0])
def test_it_is_what_the_loops_give(temperature):
    teacher, student, weights = maps()
    found = prediction_kl(teacher, student, weights, temperature).item()
    arrays = (part.numpy() for part in (teacher, student, weights))
    assert found == pytest.approx(slow.prediction_kl(*arrays, temperature), rel=1e-10)


def test_zero_only_if_equal():
    teacher, student, weights = maps()
    ones = torch.ones_like(weights)
    assert prediction_kl(teacher, teacher, ones).item() == pytest.approx(0, abs=1e-12)
    # The softmax does not see a common offset.
    assert prediction_kl(teacher, teacher + 3, ones).item() == pytest.approx(0, abs=1e-9)
    changed = teacher.clone()
    changed[1, 2, 0, 0] += 0.05
    assert prediction_kl(teacher, changed, ones) > 1e-4
    assert prediction_kl(teacher, changed, weights).item() == pytest.approx(0, abs=1e-12)


def test_the_teacher_receives_no_gradient():
    teacher, student, weights = maps()
    teacher.requires_grad_()
    student.requires_grad_()
    prediction_kl(teacher, student, weights).backward()
    assert teacher.grad is None
    assert (student.grad[weights > 0].abs().sum(dim=(1, 2)) > 0).all()
    assert (student.grad[weights == 0] == 0).all()


def test_half_precision_is_computed_in_float32():
    teacher, student, weights = (part.bfloat16() for part in maps())
    with torch.autocast('cpu', dtype=torch.bfloat16):
        found = prediction_kl(teacher, student, weights)
    expected = prediction_kl(teacher.double(), student.double(), weights.double())
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.double(), expected, rtol=1e-4, atol=1e-6)
