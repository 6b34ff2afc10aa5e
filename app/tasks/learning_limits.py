"""What a page may ask of a training beside what toy.learning allows: a visitor's networks are small and done within minutes."""

LIMITS: dict[str, int] = {
    "iterations": 20_000,
    "train_batch": 1024,
    "width": 256,
    "depth": 5,
    "seeds": 1,
    "data": 16_384,
    "caches": 4,
    "ot_batch": 512,
    "reflow": 2,
    "reflow_pairs": 32_768,
    "reflow_nfe": 128,
}
