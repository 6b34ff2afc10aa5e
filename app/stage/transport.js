// Exact optimal transport between few weighted components: what chooses the plan of component OT (toy/blocks.py).

const TIE = 1e-9, TIE_STREAM = 0x544945; // a fixed change of the costs by a part in 10^9 chooses among plans that symmetry makes equal
const CRUMB = 1e-14; // joint weights below it are rounding

// Square root of a symmetric positive semidefinite 2 x 2 matrix [xx, xy, yy]: (A + sqrt(det) I) / sqrt(tr + 2 sqrt(det)).
function rootOfMatrix([a, b, d]) {
  const root = Math.sqrt(Math.max(0, a * d - b * b)), scale = Math.sqrt(a + d + 2 * root);
  return scale > 0 ? [(a + root) / scale, b / scale, (d + root) / scale] : [0, 0, 0];
}

// P Q P for symmetric P, Q: symmetric again.
function sandwich([p, q, r], [a, b, d]) {
  const left = [p * a + q * b, p * b + q * d, q * a + r * b, q * b + r * d];
  return [left[0] * p + left[1] * q, left[0] * q + left[1] * r, left[2] * q + left[3] * r];
}

function inverseOfMatrix([a, b, d]) {
  const det = a * d - b * b;
  return [d / det, -b / det, a / det];
}

// The optimal linear map between centred Gaussians, symmetric A with A S A = Sigma: S^-1/2 (S^1/2 Sigma S^1/2)^1/2 S^-1/2.
function gaussianTransportMap(s, sigma) {
  const root = rootOfMatrix(s);
  return sandwich(inverseOfMatrix(root), rootOfMatrix(sandwich(root, sigma)));
}

// Squared W2 between two Gaussians: |m - mu|^2 + tr(S + Sigma - 2 (S^1/2 Sigma S^1/2)^1/2).
function buresWasserstein2(m, s, mu, sigma) {
  const cross = rootOfMatrix(sandwich(rootOfMatrix(s), sigma));
  return (m[0] - mu[0]) ** 2 + (m[1] - mu[1]) ** 2 + s[0] + s[2] + sigma[0] + sigma[2] - 2 * (cross[0] + cross[2]);
}

// The optimal plan (Float64Array(J K)) between weights a (J) and b (K) of equal total under cost (J K): successive shortest augmenting paths with potentials.
// Supplies are sent one after the other along the cheapest way through the residual graph (Dijkstra on reduced costs), so every intermediate plan is optimal.
function optimalPlan(a, b, cost) {
  const J = a.length, K = b.length, plan = new Float64Array(J * K);
  const total = a.reduce((x, y) => x + y, 0), scale = total / b.reduce((x, y) => x + y, 0);
  const supply = Float64Array.from(a), demand = Float64Array.from(b, (w) => w * scale);
  const potentialA = new Float64Array(J), potentialB = new Float64Array(K), rest = CRUMB * total;
  const distanceA = new Float64Array(J), distanceB = new Float64Array(K), fromA = new Int32Array(K), fromB = new Int32Array(J);
  const doneA = new Uint8Array(J), doneB = new Uint8Array(K);
  for (let source = 0; source < J; source++) {
    while (supply[source] > rest) {
      distanceA.fill(Infinity); distanceB.fill(Infinity); doneA.fill(0); doneB.fill(0); fromB.fill(-1);
      distanceA[source] = 0;
      let sink = -1;
      while (sink < 0) {
        let best = Infinity, node = -1, isSource = true;
        for (let j = 0; j < J; j++) if (!doneA[j] && distanceA[j] < best) { best = distanceA[j]; node = j; isSource = true; }
        for (let k = 0; k < K; k++) if (!doneB[k] && distanceB[k] < best) { best = distanceB[k]; node = k; isSource = false; }
        if (node < 0) break;
        if (isSource) {
          doneA[node] = 1;
          for (let k = 0; k < K; k++) {
            const through = best + Math.max(0, cost[node * K + k] - potentialA[node] - potentialB[k]);
            if (!doneB[k] && through < distanceB[k]) { distanceB[k] = through; fromA[k] = node; }
          }
        } else if (demand[node] > rest) {
          sink = node;
        } else {
          doneB[node] = 1;
          for (let j = 0; j < J; j++) {
            if (doneA[j] || plan[j * K + node] <= 0) continue;
            const through = best + Math.max(0, potentialA[j] + potentialB[node] - cost[j * K + node]);
            if (through < distanceA[j]) { distanceA[j] = through; fromB[j] = node; }
          }
        }
      }
      if (sink < 0) break; // what is left over is rounding between the two totals
      const length = distanceB[sink];
      for (let j = 0; j < J; j++) if (distanceA[j] < length) potentialA[j] += length - distanceA[j];
      for (let k = 0; k < K; k++) if (distanceB[k] < length) potentialB[k] -= length - distanceB[k];
      let amount = Math.min(supply[source], demand[sink]);
      for (let k = sink; ; ) {
        const j = fromA[k];
        if (j === source) break;
        amount = Math.min(amount, plan[j * K + fromB[j]]);
        k = fromB[j];
      }
      for (let k = sink; ; ) {
        const j = fromA[k];
        plan[j * K + k] += amount;
        if (j === source) break;
        k = fromB[j];
        plan[j * K + k] -= amount;
      }
      supply[source] -= amount;
      demand[sink] -= amount;
    }
  }
  return plan.map((w) => (w > CRUMB ? w : 0));
}
