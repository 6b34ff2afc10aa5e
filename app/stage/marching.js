// Level lines of a grid by marching squares.

const MARCH = [ // for each of the 16 patterns of corners above the level (a, b, c, d clockwise from the upper left): edges entered and left, inside to the left on screen
  [], ["LT"], ["TR"], ["LR"], ["RB"], null, ["TB"], ["LB"], ["BL"], ["BT"], null, ["BR"], ["RL"], ["RT"], ["TL"], [],
];
const MARCH_SADDLES = { 5: [["LT", "RB"], ["RT", "LB"]], 10: [["TR", "BL"], ["TL", "BR"]] }; // apart, and joined where the middle is above the level

// The lines on which a grid (columns x rows) has the value `level`: a list of Float64Array polylines, interleaved column and row numbers (0 to columns - 1, 0 to rows - 1).
// A closed line repeats its first point; a line that ends on the grid's edge stays open. Values must be finite.
function marchingSquares(grid, columns, rows, level) {
  const next = new Map(), entered = new Set();
  const edgeOf = (side, i, j) =>
    side === "T" ? 2 * (i * columns + j) : side === "B" ? 2 * ((i + 1) * columns + j) : side === "L" ? 2 * (i * columns + j) + 1 : 2 * (i * columns + j + 1) + 1;
  for (let i = 0; i < rows - 1; i++) {
    for (let j = 0; j < columns - 1; j++) {
      const at = i * columns + j, a = grid[at], b = grid[at + 1], c = grid[at + columns + 1], d = grid[at + columns];
      const pattern = (a > level ? 1 : 0) | (b > level ? 2 : 0) | (c > level ? 4 : 0) | (d > level ? 8 : 0);
      if (pattern === 0 || pattern === 15) continue;
      const pieces = MARCH[pattern] ?? MARCH_SADDLES[pattern][0.25 * (a + b + c + d) > level ? 1 : 0];
      for (const [from, to] of pieces) {
        const end = edgeOf(to, i, j);
        next.set(edgeOf(from, i, j), end);
        entered.add(end);
      }
    }
  }
  const place = (edge, out) => {
    const at = edge >> 1, i = Math.floor(at / columns), j = at % columns, vertical = edge & 1;
    const first = grid[at], second = grid[vertical ? at + columns : at + 1], share = (level - first) / (second - first);
    if (vertical) out.push(j, i + share); else out.push(j + share, i);
  };
  const lines = [];
  const follow = (start) => {
    const out = [];
    let edge = start;
    place(edge, out);
    while (next.has(edge)) {
      const to = next.get(edge);
      next.delete(edge);
      edge = to;
      place(edge, out);
    }
    lines.push(Float64Array.from(out));
  };
  for (const edge of [...next.keys()]) if (!entered.has(edge)) follow(edge);
  for (const edge of [...next.keys()]) if (next.has(edge)) follow(edge);
  return lines;
}
