# %% [markdown]
# # Your own pictures
#
# From a folder of pictures to a trained VAE and its figures. How a folder may look and how pictures are converted:
# [docs/own_images.md](../own_images.md).
#
# This page is made from `own_images.py` by `make notebooks`: change the script, not the page.

# %% [markdown]
# ## A folder of pictures
#
# Here it is made from the two photographs that scikit-learn ships, cut into patches of 64×64 pixels, with a folder for each
# photograph. With your own pictures, leave this cell out.

# %%
from pathlib import Path

from PIL import Image
from sklearn.datasets import load_sample_images

found = load_sample_images()
for name, photograph in zip(found.filenames, found.images, strict=True):
    folder = Path("pictures") / Path(name).stem
    folder.mkdir(parents=True, exist_ok=True)
    for top in range(0, photograph.shape[0] - 63, 16):
        for left in range(0, photograph.shape[1] - 63, 16):
            Image.fromarray(photograph[top : top + 64, left : left + 64]).save(folder / f"{top}-{left}.png")
{folder.name: len(list(folder.iterdir())) for folder in sorted(Path("pictures").iterdir())}

# %% [markdown]
# ## Training
#
# The first lines say what was found in the folder: the classes, how many pictures there are in each split, and what was
# converted or left out. The likelihood fits colours unless you choose one.

# %%
import vae_lightning as vl

run = vl.train("data=folder", "data.root=pictures", "data.size=32", "model=conv", "latent_dim=32", "trainer.max_epochs=15")

# %% [markdown]
# ## What came out

# %%
run

# %% [markdown]
# ## One of your pictures through the model
#
# The model takes pictures as it was trained on them: (batch, 3, 32, 32) in [0, 1].

# %%
import numpy as np
import torch

picture = Image.open("pictures/china/208-304.png").resize((32, 32))
x = torch.from_numpy(np.asarray(picture)).permute(2, 0, 1).unsqueeze(0) / 255
with torch.no_grad():
    mean = run.vae.reconstruct(x)[0]
both = torch.cat([x[0], mean], 2).clamp(0, 1)
Image.fromarray((both * 255).byte().permute(1, 2, 0).numpy()).resize((256, 128), Image.Resampling.NEAREST)

# %% [markdown]
# ## Measuring, from anywhere
#
# The run knows where its pictures are. When they have moved, say where they are now.

# %%
Path("pictures").rename("moved")
values = vl.evaluate(run, measures=["probes"], data={"root": "moved"})

# %% [markdown]
# ## A mistake in the data is one sentence

# %%
Path("moved/flower/broken.png").write_bytes(b"no picture")
try:
    vl.train("data=folder", "data.root=moved", "data.size=32")
except vl.UserError as error:
    print(error)
