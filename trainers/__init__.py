"""Real data to checkpoints: readers, latents, priors, networks, methods, the training loop, sampling and scores. Knows `lab` alone.

The road: `data` looks at a folder, `cache` encodes it once, `prior` fits class statistics or a text mapper to the cache, `train` makes a run folder,
`sample`, `pairs` and `evaluate` read its checkpoints, `plan` says what a recipe would cost. Each is a command (python -m trainers ...) and a module.
"""
