import torch

from cmpose_mm.models.layers import gather_tokens, put_tokens


def test_what_is_gathered_goes_back_to_its_place():
    tokens, indices = torch.randn(2, 6, 4), torch.tensor([[4, 0, 3], [1, 5, 2]])
    chosen = gather_tokens(tokens[:, None], indices)
    for b in range(2):
        for number, index in enumerate(indices[b]):
            assert torch.equal(chosen[b, number], tokens[b, index])
    assert torch.equal(put_tokens(tokens, chosen, indices), tokens)
    replaced = put_tokens(tokens, chosen + 1, indices)
    for b in range(2):
        for index in range(6):
            step = 1 if index in indices[b] else 0
            torch.testing.assert_close(replaced[b, index], tokens[b, index] + step)


def test_gradients_go_to_what_is_seen():
    tokens = torch.randn(1, 4, 2, requires_grad=True)
    chosen = torch.randn(1, 2, 2, requires_grad=True)
    put_tokens(tokens, chosen, torch.tensor([[3, 1]])).sum().backward()
    assert tokens.grad[0, :, 0].tolist() == [1, 0, 1, 0] and (chosen.grad == 1).all()
