// Counter-based random numbers, the same as lab/random.py's: Philox4x32-10 and Box-Muller, a function of (seed, index, block, stream).
// Words are kept as signed 32-bit integers throughout: unsigned ones would become doubles and cost five times as much.

const PHILOX_M0 = 0xd2511f53 | 0, PHILOX_M1 = 0xcd9e8d57 | 0;
const PHILOX_W0 = 0x9e3779b9 | 0, PHILOX_W1 = 0xbb67ae85 | 0;

// Upper 32 bits of the product of two unsigned 32-bit words, by halves of 16 bits.
function upperProduct(a, b) {
  const aLow = a & 0xffff, aHigh = a >>> 16, bLow = b & 0xffff, bHigh = b >>> 16;
  const low = Math.imul(aLow, bLow), left = Math.imul(aHigh, bLow), right = Math.imul(aLow, bHigh);
  const carry = (low >>> 16) + (left & 0xffff) + (right & 0xffff);
  return (Math.imul(aHigh, bHigh) + (left >>> 16) + (right >>> 16) + (carry >>> 16)) | 0;
}

// Philox4x32-10 of counter (c0, c1, c2, c3) and key (k0, k1), all 32-bit words; writes four words into `out` (Int32Array). Source: Salmon et al. 2011.
function philox(c0, c1, c2, c3, k0, k1, out) {
  for (let round = 0; round < 10; round++) {
    const high0 = upperProduct(PHILOX_M0, c0), low0 = Math.imul(PHILOX_M0, c0);
    const high1 = upperProduct(PHILOX_M1, c2), low1 = Math.imul(PHILOX_M1, c2);
    c0 = high1 ^ c1 ^ k0; c1 = low1; c2 = high0 ^ c3 ^ k1; c3 = low0;
    k0 = (k0 + PHILOX_W0) | 0; k1 = (k1 + PHILOX_W1) | 0;
  }
  out[0] = c0; out[1] = c1; out[2] = c2; out[3] = c3;
}

// A uniform number of 53 random bits in (0, 1] from two words.
function uniformOfWords(high, low) {
  return ((high >>> 5) * 67108864 + (low >>> 6) + 0.5) * 1.1102230246251565e-16;
}

// Two standard normal numbers for each index 0 to count - 1, interleaved: Float64Array(2 count). seed in 0 to 2^32 - 1, stream likewise.
function normalPairs(seed, count, stream) {
  const out = new Float64Array(2 * count), words = new Int32Array(4), key = seed | 0;
  for (let i = 0; i < count; i++) {
    philox(i, 0, 0, stream, key, 0, words);
    const radius = Math.sqrt(-2 * Math.log(uniformOfWords(words[0], words[1])));
    const angle = 2 * Math.PI * uniformOfWords(words[2], words[3]);
    out[2 * i] = radius * Math.cos(angle);
    out[2 * i + 1] = radius * Math.sin(angle);
  }
  return out;
}
