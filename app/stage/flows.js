// What solvers integrate: a world's velocity for given particles, counted. Three kinds: exact (closed form), paired (full OT's own pairs), learned (a grid).

// The exact field for particles of these classes (n), or of none (null) where the field sees the position.
function exactFlowOf(field, classes) {
  const flow = {
    nfe: 0,
    velocity(x, t, out) {
      flow.nfe += 1;
      averageFold(field, velocityFold(field, t), x, classes, out);
    },
    blend(x, t, p, q, out) {
      flow.nfe += 1;
      averageFold(field, foldField(field, t, p, q, q * field.path.sigma(t)), x, classes, out);
    },
  };
  return flow;
}

// The velocity of given pairs, row by row: dAlpha x_1 + dSigma x_0, wherever the particles are. x0, x1 (2n).
function pairedFlowOf(x0, x1, path) {
  const blend = (p, q, out) => { for (let i = 0; i < out.length; i++) out[i] = p * x1[i] + q * x0[i]; };
  const flow = {
    nfe: 0,
    velocity(x, t, out) {
      flow.nfe += 1;
      blend(path.dAlpha(t), path.dSigma(t), out);
    },
    blend(x, t, p, q, out) {
      flow.nfe += 1;
      blend(p, q, out);
    },
  };
  return flow;
}

// A learned field on a grid; the expected ends follow from the velocity and the path, where these determine them.
function gridFlowOf(grid, path, classes) {
  const flow = {
    nfe: 0,
    velocity(x, t, out) {
      flow.nfe += 1;
      gridVelocity(grid, path, x, t, classes, out);
    },
    blend(x, t, p, q, out) {
      const a = path.alpha(t), s = path.sigma(t), da = path.dAlpha(t), ds = path.dSigma(t), det = a * ds - s * da;
      if (Math.abs(det) < 1e-12) throw new Error(`ddim cannot tell x_0 from x_1 at t = ${t} on the ${path.name} path: the velocity does not determine them there`);
      flow.velocity(x, t, out);
      for (let i = 0; i < out.length; i++) out[i] = (p * (ds * x[i] - s * out[i]) + q * (a * out[i] - da * x[i])) / det;
    },
  };
  return flow;
}
