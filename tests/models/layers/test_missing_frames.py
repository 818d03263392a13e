import torch

from cmpose_mm.models.layers import key_for_missing


def test_the_key_frame_stands_in():
    frames = torch.arange(2 * 4 * 3).reshape(2, 4, 3)
    valid = torch.tensor([[True, True, True, True], [False, True, True, False]])
    found = key_for_missing(frames, valid, 2)
    assert torch.equal(found[0], frames[0])
    assert torch.equal(found[1], frames[1, [2, 1, 2, 2]])
