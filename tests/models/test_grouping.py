import numpy as np
import pytest
import torch

from models.lcoins.grouping import (
    GroupingAttention,
    GroupingBlock,
    GroupingLayer,
    GroupingTransformer,
    ImageTokensAsGroups,
    JointAttention,
    Tokens,
)

B, P, L, G, C, H = 2, 9, 5, 3, 12, 2  # all different: a swapped axis cannot pass


@pytest.fixture
def tokens() -> Tokens:
    torch.manual_seed(0)
    return Tokens(torch.randn(B, P, C).double(), torch.randn(B, L, C).double(), torch.randn(B, G, C).double())


MASK = torch.tensor([[True] * 5, [True, True, True, False, False]])


def softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def attend(q, k, v, mask=None):
    scores = q @ k.T / np.sqrt(q.shape[-1])
    if mask is not None:
        scores = np.where(mask, scores, -np.inf)
    return softmax(scores) @ v


def heads(linear: torch.nn.Linear, z: torch.Tensor):
    """q, k, v of every head of one sample's tokens, in NumPy."""
    weight, bias = (p.detach().double().numpy() for p in (linear.weight, linear.bias))
    qkv = z.numpy() @ weight.T + bias
    D = C // H
    return [[qkv[:, part * C + h * D : part * C + (h + 1) * D] for h in range(H)] for part in range(3)]


def test_grouping_attention_is_equations_6_to_9(tokens):
    attention = GroupingAttention(C, H).double()
    out = attention(tokens, MASK)
    weight, bias = (p.detach().numpy() for p in (attention.proj.weight, attention.proj.bias))
    for b in range(B):
        (qi, ki, vi), (ql, kl, vl), (qg, kg, vg) = (heads(attention.qkv, z[b]) for z in tokens)
        words = MASK[b].numpy()
        streams = {
            "image": [(attend(qi[h], ki[h], vi[h]), attend(qi[h], kg[h], vg[h])) for h in range(H)],
            "language": [(attend(ql[h], kl[h], vl[h], words), attend(ql[h], kg[h], vg[h])) for h in range(H)],
            "group": [(attend(qg[h], ki[h], vi[h]), attend(qg[h], kl[h], vl[h], words)) for h in range(H)],
        }
        for name, pairs in streams.items():
            joined = np.concatenate([stream for pair in pairs for stream in pair], axis=1)
            np.testing.assert_allclose(getattr(out, name)[b].detach().numpy(), joined @ weight.T + bias, atol=1e-12)


def test_joint_attention_is_plain_self_attention_over_all_tokens(tokens):
    attention = JointAttention(C, H).double()
    out = attention(tokens, MASK)
    weight, bias = (p.detach().numpy() for p in (attention.proj.weight, attention.proj.bias))
    for b in range(B):
        q, k, v = heads(attention.qkv, torch.cat([z[b] for z in tokens]))
        visible = np.concatenate([np.ones(P, bool), MASK[b].numpy(), np.ones(G, bool)])
        joined = np.concatenate([attend(q[h], k[h], v[h], visible) for h in range(H)], axis=1)
        np.testing.assert_allclose(
            torch.cat([z[b] for z in out]).detach().numpy(), joined @ weight.T + bias, atol=1e-12
        )


def test_groups_are_the_only_bridge_from_words_to_patches(tokens):
    attention = GroupingAttention(C, H).double()
    other = tokens._replace(language=torch.randn(B, L, C).double())
    assert torch.equal(attention(other, MASK).image, attention(tokens, MASK).image)
    assert not torch.allclose(attention(other, MASK).group, attention(tokens, MASK).group)
    block = GroupingBlock(attention, C, mlp_ratio=4.0, drop_path=0.0).double()
    deep = GroupingTransformer([block, block], C).double()
    assert not torch.allclose(deep(other, MASK).image, deep(tokens, MASK).image)  # two blocks carry it across


@pytest.mark.parametrize("kind", [GroupingAttention, JointAttention])
def test_padding_reaches_no_other_token(tokens, kind):
    attention = kind(C, H).double()
    other = tokens._replace(language=tokens.language.masked_fill(~MASK[..., None], 1e3))
    out, same = attention(other, MASK), attention(tokens, MASK)
    torch.testing.assert_close(out.image, same.image)
    torch.testing.assert_close(out.group, same.group)
    torch.testing.assert_close(out.language[MASK], same.language[MASK])


def test_permuting_the_groups_permutes_their_output_and_nothing_else(tokens):
    attention, order = GroupingAttention(C, H).double(), [2, 0, 1]
    out, permuted = attention(tokens, MASK), attention(tokens._replace(group=tokens.group[:, order]), MASK)
    torch.testing.assert_close(permuted.image, out.image)
    torch.testing.assert_close(permuted.group, out.group[:, order])


def test_block_is_prenorm_with_two_residuals(tokens):
    block = GroupingBlock(GroupingAttention(C, H), C, mlp_ratio=2.0, drop_path=0.0).double()
    z = tokens.join()
    z_hat = z + block.attention(tokens.split(block.norm_attention(z)), MASK).join()
    expected = z_hat + block.mlp(block.norm_mlp(z_hat))
    torch.testing.assert_close(block(tokens, MASK).join(), expected)


def test_stochastic_depth_drops_a_sample_in_all_modalities_at_once():
    torch.manual_seed(0)
    block = GroupingBlock(GroupingAttention(C, H), C, mlp_ratio=2.0, drop_path=0.7).train()
    many = Tokens(*(torch.randn(1, n, C).expand(64, n, C) for n in (P, L, G)))
    out = block(many, torch.ones(64, L, dtype=torch.bool))
    unchanged = torch.stack(
        [(o == z).flatten(1).all(dim=1) for o, z in zip(out, many, strict=True)]
    )  # both residuals dropped
    assert 0 < unchanged[0].sum() < 64
    assert torch.equal(unchanged[0], unchanged[1]) and torch.equal(unchanged[0], unchanged[2])


def test_checkpointing_changes_memory_not_numbers(tokens):
    def make() -> GroupingTransformer:
        return GroupingTransformer([GroupingBlock(GroupingAttention(C, H), C, 2.0, 0.0) for _ in range(2)], C)

    torch.manual_seed(1)
    plain = make().double()
    checkpointed = make().double()
    checkpointed.load_state_dict(plain.state_dict())
    checkpointed.grad_checkpointing = True
    for model in (plain, checkpointed):
        sum(t.square().sum() for t in model(tokens, MASK)).backward()
    for a, b in zip(plain.parameters(), checkpointed.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad)


def test_every_parameter_gets_a_gradient(tokens):
    """So that DDP needs no search for unused ones."""
    model = GroupingTransformer([GroupingBlock(GroupingAttention(C, H), C, 2.0, 0.0)], C).double()
    sum(t.square().sum() for t in model(tokens, MASK)).backward()
    assert not [name for name, p in model.named_parameters() if p.grad is None]


def layer() -> GroupingLayer:
    torch.manual_seed(3)
    return GroupingLayer(C).double().eval()


def test_grouping_layer_is_equations_11_and_12(tokens):
    grouping = layer()
    merged, hard, soft = (t.detach().numpy() for t in grouping(tokens.image, tokens.group))
    linear = {n: (m.weight.detach().numpy(), m.bias.detach().numpy()) for n, m in grouping.named_children()}
    for b in range(B):
        x, g = tokens.image[b].numpy(), tokens.group[b].numpy()
        q, k, v = (z @ linear[n][0].T + linear[n][1] for z, n in ((g, "query"), (x, "key"), (x, "value")))
        expected = softmax((q @ k.T / np.sqrt(C)).T).T  # over groups
        np.testing.assert_allclose(soft[b], expected, atol=1e-6)
        one_hot = (expected == expected.max(axis=0)).astype(float)
        np.testing.assert_allclose(hard[b], one_hot, atol=1e-6)
        for group in range(G):
            members = v[one_hot[group] == 1]
            mean = members.mean(axis=0) if len(members) else 0.0
            np.testing.assert_allclose(merged[b, group], g[group] + mean, atol=1e-5)


def test_an_empty_group_keeps_its_own_token(tokens):
    grouping = layer()
    alike = tokens.image[:, :1].expand(B, P, C)  # all patches the same: one group takes them all
    merged, hard, _ = grouping(alike, tokens.group)
    empty = hard.sum(dim=2) < 0.5
    assert (~empty).sum(dim=1).tolist() == [1, 1]
    torch.testing.assert_close(merged[empty], tokens.group[empty])
    merged.sum().backward()
    assert all(torch.isfinite(p.grad).all() and p.grad.abs().max() < 1e3 for p in grouping.parameters())


def test_hard_assignment_passes_the_soft_gradient(tokens):
    grouping, weight = layer(), torch.randn(B, G, P)
    gradients = []
    for which in (1, 2):
        grouping.zero_grad()
        (grouping(tokens.image, tokens.group)[which] * weight).sum().backward()
        gradients.append(grouping.query.weight.grad.clone())
    torch.testing.assert_close(*gradients)
    assert gradients[0].abs().sum() > 0


def test_noise_is_drawn_while_training_only(tokens):
    grouping = layer()
    assert torch.equal(grouping(tokens.image, tokens.group)[2], grouping(tokens.image, tokens.group)[2])
    grouping.train()
    soft = grouping(tokens.image, tokens.group)[2]
    assert not torch.equal(soft, grouping(tokens.image, tokens.group)[2])
    torch.testing.assert_close(soft.sum(dim=1), torch.ones(B, P).double())


def test_gumbel_noise_draws_a_group_with_its_softmax_probability():
    """The Gumbel-max theorem: argmax(logits + noise) falls on a group as often as its softmax says."""
    torch.manual_seed(0)
    grouping = GroupingLayer(4).train()
    image, group = torch.randn(1, 1, 4).expand(1, 20_000, 4), torch.randn(1, 3, 4)
    drawn = grouping(image, group)[1].mean(dim=2)[0]
    expected = grouping.eval()(image[:, :1], group)[2][0, :, 0]
    torch.testing.assert_close(drawn, expected, atol=0.015, rtol=0)


def test_without_groups_the_image_tokens_stand_in(tokens):
    merged, hard, soft = ImageTokensAsGroups()(tokens.image, tokens.group[:, :0])
    assert merged is tokens.image and hard.shape == soft.shape == (B, 0, P)
