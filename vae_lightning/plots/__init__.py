"""Pictures of a VAE, each a function that returns a matplotlib figure, and the pages made of them.

`pictures.PICTURES` lists the pictures; they are drawn in `images` and `latents`. `film` is the film of a training run,
`projector` writes TensorBoard's projector files, and `explorer` an interactive page. Import from those modules: each pulls in
only what it needs.
"""
