import pytest
import torch

from mapllava.analysis.diagnosis.spectrum import TokenSpectrum, effective_rank, mean_cosine, singular_values


def test_effective_rank_of_known_matrices():
    crossed = torch.tensor(
        [[1.0, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0]]
    )  # mean zero, two equal directions
    assert singular_values(crossed).tolist() == pytest.approx([2**0.5, 2**0.5, 0.0])
    assert float(effective_rank(singular_values(crossed))) == pytest.approx(2.0)
    line = torch.arange(4.0)[:, None] * torch.tensor([1.0, 2.0, 3.0]) + 5
    assert float(effective_rank(singular_values(line))) == pytest.approx(1.0)
    assert float(effective_rank(singular_values(torch.ones(4, 3)))) == 0.0
    # shares 3/4 and 1/4: exp(3/4 ln 4/3 + 1/4 ln 4)
    assert float(effective_rank(torch.tensor([3.0, 1.0]))) == pytest.approx(1.7548, abs=1e-4)


def test_mean_cosine_is_that_of_all_pairs():
    assert float(mean_cosine(torch.eye(3))) == pytest.approx(0.0)
    assert float(mean_cosine(torch.tensor([[1.0, 2], [2, 4], [3, 6]]))) == pytest.approx(1.0)
    assert float(mean_cosine(torch.tensor([[1.0, 0], [-3, 0]]))) == pytest.approx(-1.0)
    tokens = torch.randn(2, 5, 4)
    unit = torch.nn.functional.normalize(tokens, dim=-1)
    pairs = [(unit[1, i] @ unit[1, j]).item() for i in range(5) for j in range(5) if i != j]
    assert mean_cosine(tokens)[1].item() == pytest.approx(sum(pairs) / 20, abs=1e-6)


def test_dependence_on_the_input():
    torch.manual_seed(0)
    fixed, changing = TokenSpectrum("fixed"), TokenSpectrum("changing")
    slots = torch.randn(1, 6, 4)
    for _ in range(3):
        fixed.update(slots.expand(2, -1, -1))
        changing.update(torch.randn(2, 1, 4).expand(-1, 6, -1))
    assert fixed.result()["varies_with_input"] == pytest.approx(0.0, abs=1e-12)
    assert changing.result()["mean_cosine"] == pytest.approx(1.0)


@pytest.mark.parametrize(("second", "share"), [(1.0, 0.0), (3.0, 0.2), (-1.0, 1.0)])
def test_dependence_counts_against_all_that_a_token_is(second, share):
    """Tokens v and 3 v: mean square 5, of which the mean's 4 never change."""
    tokens = TokenSpectrum("t")
    tokens.update(torch.tensor([1.0, second]).view(2, 1, 1).expand(2, 3, 4))
    assert tokens.result()["varies_with_input"] == pytest.approx(share)


def test_batches_may_be_cut_anywhere():
    torch.manual_seed(0)
    tokens = torch.randn(5, 6, 4)
    whole, cut = TokenSpectrum("t"), TokenSpectrum("t")
    whole.update(tokens)
    cut.update(tokens[:1])
    cut.update(tokens[1:])
    first, second = whole.result(), cut.result()
    assert first.pop("spectrum") == pytest.approx(second.pop("spectrum"))
    assert (first.pop("name"), second.pop("name")) == ("t", "t")
    assert first == pytest.approx(second)
    assert first["largest_rank"] == 4
