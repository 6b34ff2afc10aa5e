// Trajectories as CSV: a row for each particle and each of the solver's states, beside the exact flow at the same time.

// run, exact: flows of n particles; condition: Int32Array(n) of classes; rows: how many particles. Numbers are written so that reading them gives the same doubles.
function trajectoriesCsv(run, exact, condition, rows = run.n) {
  const lines = ["particle,class,state,t,x,y,exact_x,exact_y"], truth = run.t.reduce((states, t) => [...states, statesAt(exact, t, new Float64Array(2 * exact.n))], []);
  for (let row = 0; row < rows; row++) {
    for (let k = 0; k < run.t.length; k++) {
      const at = 2 * (run.n * k + row);
      lines.push([row, condition[row], k, run.t[k], run.x[at], run.x[at + 1], truth[k][2 * row], truth[k][2 * row + 1]].join(","));
    }
  }
  return lines.join("\n") + "\n";
}
