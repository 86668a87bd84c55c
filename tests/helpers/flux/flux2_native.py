"""What the native tests of FLUX.2 share: inputs, a sampler run, and a watch on what arrives."""

import make_tiny_flux2 as tiny
import native_parts as parts
import torch
from comfyui_pack import architectures, flux_hooks, native  # first: it sets ComfyUI up

import comfy.sample  # isort: skip
import comfy.samplers  # isort: skip

BASE = architectures.base_named(tiny.BASE)
LATENT = (128, 4, 6)


def make_inputs(batch=3, seed=1, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    x, reference = (torch.randn(batch, *LATENT, generator=generator).to(dtype) for _ in range(2))
    context = torch.randn(batch, 9, tiny.TEXT_WIDTH, generator=generator).to(dtype)
    return {
        "x": x,
        "timestep": torch.full((batch,), 0.7, dtype=dtype),
        "context": context,
        "ref_latents": [reference],
    }


def make_conditioning(seed=3):
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.randn(1, 9, tiny.TEXT_WIDTH, generator=generator)
    reference = torch.randn(1, *LATENT, generator=torch.Generator().manual_seed(5))
    return [[tokens, {"pooled_output": None, "reference_latents": [reference]}]]


def sample(model, cfg=1.0, steps=3, callback=None):
    latent = torch.zeros(1, *LATENT)
    return comfy.sample.sample_custom(
        model,
        comfy.sample.prepare_noise(latent, 4),
        cfg,
        comfy.samplers.sampler_object("euler"),
        native.noise_levels(architectures.FLUX2, steps, 24),
        make_conditioning(3),
        make_conditioning(8),
        latent,
        callback=callback,
        disable_pbar=True,
        seed=4,
    )


class RandomAdapter(parts.RandomAdapter):
    """A bokeh adapter of random numbers for the tiny FLUX.2."""

    base = BASE


def attached(model, vectors=None):
    """Return a MODEL with a random adapter on it."""
    down, up, all_vectors = parts.random_adapter()
    vectors = all_vectors[:1] if vectors is None else vectors
    return flux_hooks.attach(model, parts.updates_of(down, up), vectors)


class Arrivals:
    """Watches what the adapter's layers get and give, in every call of the network that runs.

    Attributes:
        calls: a set for each call: the layers that did in it exactly as they should. An output
            projection received its input plus the layer's vector; the rows of query and key that
            a projection made gained their update, and its other rows nothing.
    """

    def __init__(self, model, vectors):
        self.calls, self._seen, self._vectors = [], {}, vectors
        self._flux = model.model.diffusion_model
        self.found = flux_hooks.projections(self._flux, parts.LAYERS)
        self._down, self._up, _ = parts.random_adapter()
        self._handles = []

    def __enter__(self):
        # Each call begins with `img_in` of the tokens. These hooks come before the adapter's.
        self._hook_before(self._flux.img_in, lambda module, args: self.calls.append(set()))
        for one in self.found:
            if one.makes_queries:
                self._handles.append(one.module.register_forward_hook(self._keep_output(one)))
            else:
                self._hook_before(one.module, self._keep_input(one))
                one.module.forward = self._checked_input(one, one.module.forward)
        self._add_to = flux_hooks.QueryKeyUpdate.add_to
        watch = self

        def add_to(update, projected):
            out = watch._add_to(update, projected)
            watch._check_output(update, out)
            return out

        flux_hooks.QueryKeyUpdate.add_to = add_to
        return self

    def __exit__(self, *error):
        flux_hooks.QueryKeyUpdate.add_to = self._add_to
        for handle in self._handles:
            handle.remove()
        for one in self.found:
            one.module.__dict__.pop("forward", None)

    def _hook_before(self, module, hook):
        self._handles.append(module.register_forward_pre_hook(hook))

    def _keep_input(self, one):
        return lambda module, args: self._seen.__setitem__(one.name, args[0].clone())

    def _keep_output(self, one):
        return lambda module, args, out: self._seen.__setitem__(one.name, out.clone())

    def _checked_input(self, one, forward):
        def run(x, *args, **kwargs):
            vector, wanted = self._vectors[0, one.layer].to(x), self._seen[one.name]
            wanted[..., : len(vector)] += vector
            if torch.equal(x, wanted):
                self.calls[-1].add(one.name)
            return forward(x, *args, **kwargs)

        return run

    def _check_output(self, update, out):
        down = update.down.weight.float()
        layer = next(
            i for i in range(parts.LAYERS) if torch.equal(down, self._down[i].flatten(0, 1))
        )
        name = next(one.name for one in self.found if one.makes_queries and one.layer == layer)
        before, width = self._seen[name], tiny.HIDDEN
        wanted = before.clone()
        for part in range(2):
            q = before[..., part * width : (part + 1) * width]
            change = q @ self._down[layer, part].to(q).T @ self._up[layer, part].to(q).T
            wanted[..., part * width : (part + 1) * width] += change
        if torch.allclose(out, wanted, rtol=0, atol=1e-4):
            self.calls[-1].add(name)


def names(model):
    """Return the names of all projections that the adapter acts on."""
    found = flux_hooks.projections(model.model.diffusion_model, parts.LAYERS)
    return {one.name for one in found}
