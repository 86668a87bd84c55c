"""The bokeh adapter as published, literally: low-rank products and an attention in every layer.

Every query of a layer attends to one context token, whose key and value come from the strength's
embedding. Hooks on diffusers' class, for FLUX.1 and FLUX.2.
"""

from contextlib import ExitStack, contextmanager

import torch
import torch.nn.functional as F


@contextmanager
def published(layers, adapter, values, keys=None, seed=0):
    """Run a transformer with the published form of an adapter.

    Args:
        layers: the transformer's, as from `attention_layers`.
        adapter: a BokehAdapter.
        values: one bokeh strength for each sample of the batch.
        keys: (down, up) of the context token's key in each layer; random ones by default, since a
            softmax over one key ignores them.
    """
    generator = torch.Generator().manual_seed(seed)
    like = layers.outputs[0][0].weight
    embedded = adapter.embed(values).to(like)[:, None]
    with ExitStack() as hooks:
        for index, attention in enumerate(layers.attention):
            layer, kept = adapter.layers[index], {}
            value_pair = layer.value_down, layer.value_up * adapter.scale
            key_pair = keys[index] if keys else _random_pair(value_pair, generator)
            pairs = adapter.query_key_pairs()[index]
            for which, rows in enumerate(layers.projections[index]):
                hook = _low_rank(rows.first, pairs[0][which].to(like), pairs[1][which].to(like))
                hooks.callback(rows.linear.register_forward_hook(hook).remove)
            norms = [attention.norm_q]
            if getattr(attention, "added_kv_proj_dim", None) is not None:
                norms.append(attention.norm_added_q)
            for which, norm in enumerate(norms):
                hooks.callback(norm.register_forward_hook(_keep(kept, which)).remove)
            for which, linear in enumerate(layers.outputs[index]):
                token = [F.linear(F.linear(embedded, down.to(like)), up.to(like)) for down, up in
                         (key_pair, value_pair)]  # fmt: skip
                hook = _one_token_attention(kept, which, *token)
                hooks.callback(linear.register_forward_pre_hook(hook).remove)
        yield


def _random_pair(like, generator):
    return tuple(torch.randn(part.shape, generator=generator) * 0.01 for part in like)


def _low_rank(first, down, up):
    def hook(_, __, out):
        rows = out[..., first : first + len(up)]
        change = F.linear(F.linear(rows, down), up)
        if out.shape[-1] == len(up):
            return out + change
        rows += change  # of a fused projection, made for this call alone
        return None

    return hook


def _keep(kept, which):
    def hook(_, __, out):
        kept[which] = out  # [B,T,heads,head width]

    return hook


def _one_token_attention(kept, which, key, value):
    def hook(_, args):
        query = kept[which].transpose(1, 2)
        split = (-1, query.shape[-1])
        key_, value_ = (one.unflatten(-1, split).transpose(1, 2) for one in (key, value))
        attended = F.scaled_dot_product_attention(query, key_, value_)
        attended = attended.transpose(1, 2).flatten(2)
        args[0][..., : attended.shape[2]].add_(attended)

    return hook
