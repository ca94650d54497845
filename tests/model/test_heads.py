"""The two heads, against the paper's equations written down again."""

import pytest
import torch

from corpus_lonely.model.heads import HDLNHead, MLPHead
from corpus_lonely.model.outputs import by_group
from corpus_lonely.taxonomy import loneliness

X = torch.randn(3, 8, generator=torch.Generator().manual_seed(0))


def sums(distributions: torch.Tensor) -> torch.Tensor:
    return torch.stack([distributions[:, p].sum(-1) for p in loneliness().slices.values()])


def hdln(beta: float = 0.5, *, rejoin: bool = False) -> HDLNHead:
    torch.manual_seed(1)
    return HDLNHead(8, loneliness(), 16, "layer", 0.0, beta, rejoin, "softmax").eval()


def test_every_group_sums_to_one() -> None:
    mlp = MLPHead(8, loneliness(), 16, "layer", 0.0, "softmax")
    for head in (mlp, hdln(), hdln(rejoin=True)):
        predictions = head(X)
        assert predictions.final_BL.shape == (3, 21)
        for part in (predictions.final_BL, *predictions.heads.values()):
            torch.testing.assert_close(sums(part), torch.ones(5, 3))


@pytest.mark.parametrize(("beta", "which"), [(1.0, "local"), (0.0, "global")])
def test_beta_chooses_between_local_and_global(beta: float, which: str) -> None:
    predictions = hdln(beta)(X)
    torch.testing.assert_close(predictions.final_BL, predictions.heads[which])


def test_hdln_is_hmcn_f_written_down_again() -> None:
    head = hdln(0.3)
    a1 = head.level_1(X)
    a2 = head.level_2(torch.cat([a1, X], -1))
    p_global = by_group("softmax", head.global_out(a2), loneliness())
    levels = {"lonely": a1, "duration": a2, "context": a2, "interpersonal": a2, "interaction": a2}
    p_local = torch.cat(
        [
            torch.softmax(head.local_outs[name](head.transitions[name](level)), -1)
            for name, level in levels.items()
        ],
        dim=-1,
    )
    torch.testing.assert_close(head(X).final_BL, 0.3 * p_local + 0.7 * p_global)


def test_rejoining_reads_the_encoder_once_more() -> None:
    assert hdln(rejoin=True).global_out.in_features == 16 + 8
    assert hdln().global_out.in_features == 16
