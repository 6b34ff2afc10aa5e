"""Counter-based random numbers: uniform and normal numbers as a function of (seed, index), the same on every device and for every split into batches.

Philox4x32-10 (Salmon et al. 2011) turns a 128-bit counter and a 64-bit key into four 32-bit words; Box-Muller makes two normal numbers of them. Words are
identical everywhere; normal numbers agree to the rounding of log, sqrt, cos and sin.

    key = (seed low 32, seed high 32)      counter = (index low 32, index high 32, block, stream)
    u = ((high >> 5) 2^26 + (low >> 6) + 1/2) / 2^53, for (high, low) = (w0, w1) and (w2, w3)
    z = sqrt(-2 ln u_0) (cos 2 pi u_1, sin 2 pi u_1): numbers 2 block and 2 block + 1 of a row
"""

import math
from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor

MASK = 0xFFFFFFFF
MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
WEYL = (0x9E3779B9, 0xBB67AE85)
ROUNDS = 10
BELOW_ONE = 1 - 2.0**-53  # the largest float64 below 1
CHUNK = 1 << 17  # blocks at a time: ten arrays of 1 MB


def philox(key: tuple[int, int], counter: tuple[Tensor, Tensor, Tensor, Tensor]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Philox4x32-10: four 32-bit words for every counter. Words are held in int64; the counter's four tensors broadcast against one another.

    Source: Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"; tested against the known answers of Random123.
    """
    c0, c1, c2, c3 = (
        word.clone() for word in torch.broadcast_tensors(*counter)
    )  # changed in place: fresh memory costs as much as the sums
    p0, p1 = torch.empty_like(c0), torch.empty_like(c2)
    k0, k1 = key
    for _ in range(ROUNDS):
        # A product of two 32-bit words wraps around in int64; masking after the shift recovers its upper half all the same.
        torch.mul(c0, MULTIPLIERS[0], out=p0)
        torch.mul(c2, MULTIPLIERS[1], out=p1)
        torch.bitwise_right_shift(p1, 32, out=c0).bitwise_and_(MASK).bitwise_xor_(c1).bitwise_xor_(k0)
        torch.bitwise_right_shift(p0, 32, out=c2).bitwise_and_(MASK).bitwise_xor_(c3).bitwise_xor_(k1)
        torch.bitwise_and(p1, MASK, out=c1)
        torch.bitwise_and(p0, MASK, out=c3)
        k0, k1 = (k0 + WEYL[0]) & MASK, (k1 + WEYL[1]) & MASK
    return c0, c1, c2, c3


def _uniform_pairs(seed: int, index: Tensor, blocks: int, stream: int) -> tuple[Tensor, Tensor]:
    """Two 53-bit uniforms in (0, 1] for every index and block, (n, blocks) each: from 1/2 on float64 rounds u to even, once in 2^53 to 1."""
    if not 0 <= seed < 2**64:
        raise ValueError(f"seed={seed} must lie in 0 to 2^64 - 1")
    if not 0 <= stream <= MASK:
        raise ValueError(f"stream={stream} must lie in 0 to 2^32 - 1")
    rows = index.to(torch.int64)[:, None]
    block = torch.arange(blocks, dtype=torch.int64, device=index.device)[None, :]
    counter = (rows & MASK, (rows >> 32) & MASK, block, torch.full_like(block, stream))
    w0, w1, w2, w3 = philox((seed & MASK, seed >> 32), counter)
    return _uniform(w0, w1), _uniform(w2, w3)


def _uniform(high: Tensor, low: Tensor) -> Tensor:
    return ((high >> 5) * 2**26 + (low >> 6)).double().add_(0.5).mul_(2.0**-53)


def uniforms(seed: int, index: Int[Tensor, " n"], count: int, stream: int = 0) -> Float[Tensor, "n count"]:
    """`count` uniform numbers in (0, 1), float64 with 53 random bits, for every index. Rounding them to float32 makes 1 of one in 2^25."""
    u = _rows(lambda rows, blocks: torch.stack(_uniform_pairs(seed, rows, blocks, stream), dim=-1), index, count)
    return u.clamp_(max=BELOW_ONE)


def normals(
    seed: int, index: Int[Tensor, " n"], count: int, stream: int = 0, dtype: torch.dtype = torch.float64
) -> Float[Tensor, "n count"]:
    """`count` standard normal numbers for every index, (n, count). `stream` (0 to 2^32 - 1) separates uses of one seed.

    Computed in float64 and rounded to `dtype`. Raises ValueError for a seed outside 0 to 2^64 - 1 and a dtype of whole numbers.
    """
    if not dtype.is_floating_point:
        raise ValueError(f"dtype={dtype} cannot hold normal numbers; take a floating-point one")

    def draw(rows: Tensor, blocks: int) -> Tensor:
        u_0, u_1 = _uniform_pairs(seed, rows, blocks, stream)
        radius, angle = u_0.log_().mul_(-2).sqrt_(), u_1.mul_(2 * math.pi)
        return torch.stack((radius * angle.cos(), radius * angle.sin()), dim=-1).to(dtype)

    return _rows(draw, index, count)


def _rows(draw: Callable[[Tensor, int], Tensor], index: Tensor, count: int) -> Tensor:
    """Rows of numbers in pieces that fit in cache; the last number of an odd row is dropped."""
    if count < 1:
        raise ValueError(f"count={count} must be at least 1")
    if index.is_floating_point() or index.dtype == torch.bool:
        raise ValueError(f"index is {index.dtype}; numbers are drawn for whole indices: index.long()")
    blocks = (count + 1) // 2
    step = max(1, CHUNK // blocks)
    pieces = [draw(index[i : i + step], blocks).reshape(-1, 2 * blocks)[:, :count] for i in range(0, max(len(index), 1), step)]
    return pieces[0] if len(pieces) == 1 else torch.cat(pieces)


def generator(seed: int, number: int = 0, stream: int = 0) -> torch.Generator:
    """A torch generator for one purpose, on the CPU: a function of (seed, number, stream).

    torch keeps 32 bits of a generator's seed (seed and seed + 2^32 are one), so the 32 bits are drawn by the counter and not added up.
    """
    return torch.Generator().manual_seed(int(uniforms(seed, torch.tensor([number]), 1, stream) * 2**32))


def permutation(seed: int, count: int, stream: int = 0) -> Int[Tensor, " n"]:
    """A random permutation of 0 to count - 1, a function of the seed and stream alone."""
    return uniforms(seed, torch.arange(count), 1, stream)[:, 0].argsort()
