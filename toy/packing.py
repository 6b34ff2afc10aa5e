"""A mixture as a short text that an address can carry, exact to the last bit."""

import base64
import binascii
import struct

from toy.mixtures import Mixture

MOST = 64
COMPONENT = struct.Struct("<6dB")  # weight, mean, the three numbers of the covariance, class


def pack(mixture: Mixture) -> str:
    """Base64 (the alphabet of addresses) of 49 bytes a component. Raises ValueError for more than 64 components or 256 classes."""
    if len(mixture.weights) > MOST:
        raise ValueError(f"a mixture of {len(mixture.weights)} components is too long for an address; at most {MOST} fit")
    w, m, s, c = mixture.weights.tolist(), mixture.means.tolist(), mixture.covariances.tolist(), mixture.classes.tolist()
    rows = (COMPONENT.pack(w[k], *m[k], s[k][0][0], s[k][0][1], s[k][1][1], c[k]) for k in range(len(w)))
    return base64.urlsafe_b64encode(b"".join(rows)).decode().rstrip("=")


def unpack(text: str) -> Mixture:
    """The mixture that `pack` wrote; ValueError, in one sentence, for anything else."""
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except binascii.Error as error:
        raise ValueError(f"it is not base64 ({error})") from error
    if not data or len(data) % COMPONENT.size or len(data) // COMPONENT.size > MOST:
        raise ValueError(f"it must hold 1 to {MOST} components of {COMPONENT.size} bytes, not {len(data)} bytes")
    rows = list(COMPONENT.iter_unpack(data))
    return Mixture(
        weights=[r[0] for r in rows],
        means=[r[1:3] for r in rows],
        covariances=[[[r[3], r[4]], [r[4], r[5]]] for r in rows],
        classes=[r[6] for r in rows],
    )
