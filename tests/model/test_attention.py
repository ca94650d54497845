"""Posts end to end on a CPU: each attends to itself alone, whatever fills its last tile."""

from itertools import accumulate

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

from corpus_lonely.model.attention import packed_attention

LENGTHS = [1, 5, 15, 16, 17, 17, 31, 64, 65, 383, 384, 385, 400]


def attended(x_3HND: torch.Tensor, lengths: list[int]) -> torch.Tensor:
    bounds = torch.tensor([0, *accumulate(lengths)], dtype=torch.int32)
    query, key, value = (x_HND[None] for x_HND in x_3HND)
    out_1NHD, _ = packed_attention(
        torch.nn.Module(),
        query,
        key,
        value,
        None,
        cu_seq_lens_q=bounds,
        max_length_q=max(lengths),
    )
    return out_1NHD[0]


@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 0.02)], ids=str
)
def test_each_post_attends_to_itself_alone(dtype: torch.dtype, tolerance: float) -> None:
    dice = torch.Generator().manual_seed(0)
    x_3HND = torch.randn(3, 4, sum(LENGTHS), 32, generator=dice)
    found = attended(x_3HND.to(dtype), LENGTHS)
    assert found.dtype == dtype
    for length, end in zip(LENGTHS, accumulate(LENGTHS), strict=True):
        query, key, value = x_3HND[:, :, end - length : end].to(dtype).float()
        expected_HTD = scaled_dot_product_attention(query[None], key[None], value[None])[0]
        off = found[end - length : end].float() - expected_HTD.transpose(0, 1)
        assert off.abs().max() < tolerance, length


def test_what_fills_a_tile_weighs_nothing() -> None:
    # keys that point away from every query: a filled row of zeros would outweigh them all
    x_3HND = torch.ones(3, 2, 20, 32, dtype=torch.bfloat16)
    x_3HND[1] *= -8
    torch.testing.assert_close(attended(x_3HND, [20]), torch.ones(20, 2, 32, dtype=torch.bfloat16))
