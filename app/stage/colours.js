// Colours of the stage: classes, and the ink, accent and greys of a light and of a dark page.

// Okabe & Ito 2008, their black and yellow last: with few classes no class has the ghosts' ink, and none is pale. Past eight classes the colours repeat.
const CLASS_COLOURS = ["#E69F00", "#56B4E9", "#009E73", "#0072B2", "#D55E00", "#CC79A7", "#F0E442", "#000000"];
const BLACK_ON_DARK = "#C8C8C8"; // the eighth class where the page is dark
const STAGE_FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, 'DejaVu Sans', sans-serif";

const LIGHT_PAGE = {
  paper: "#ffffff", ink: "#1a1a1a", accent: "#b3261e", quiet: "#6e6e6e", line: "#9a9a9a", faint: "#e3e3e3",
  bands: ["#f5f5f6", "#eaeaec", "#dedee1", "#d0d0d4", "#c1c1c6"], particleOpacity: 0.55, traceOpacity: 0.5, rimShade: 0.62,
};
const DARK_PAGE = {
  paper: "#14161a", ink: "#f0f0ee", accent: "#ff8a7a", quiet: "#a2a6ad", line: "#7b8088", faint: "#33373e",
  bands: ["#1b1e23", "#23272d", "#2c3138", "#363c44", "#424952"], particleOpacity: 0.7, traceOpacity: 0.55, rimShade: 0.7,
};

// Everything about the look that is not data. dark, lecture, compact (a stage narrower than COMPACT): booleans.
// `stroke` scales line widths and particles, `text` is the size of words in pixels.
function makeLook(dark, lecture, compact = false) {
  const page = dark ? DARK_PAGE : LIGHT_PAGE;
  const classColours = CLASS_COLOURS.map((colour) => (dark && colour === "#000000" ? BLACK_ON_DARK : colour));
  return { ...page, dark, classColours, compact, stroke: lecture ? 1.6 : compact ? 0.7 : 1, text: lecture ? 20 : compact ? 10 : 12 };
}

// The colour of class c (0, 1, ...), as "#rrggbb".
function classColour(look, c) {
  return look.classColours[c % look.classColours.length];
}

// [r, g, b] in 0 to 255 of "#rrggbb".
function rgbOf(hex) {
  const word = parseInt(hex.slice(1), 16);
  return [word >> 16, (word >> 8) & 255, word & 255];
}

// A colour times `factor` in [0, 1]: 0 is black. "#rrggbb" in and out.
function darkened(hex, factor) {
  return "#" + rgbOf(hex).map((part) => Math.round(factor * part).toString(16).padStart(2, "0")).join("");
}

// "#rrggbb" as the 32-bit pixel of an ImageData's buffer, opaque (bytes r, g, b, a in memory, so abgr in a little-endian word).
function pixelOf(hex) {
  const [r, g, b] = rgbOf(hex);
  return ((255 << 24) | (b << 16) | (g << 8) | r) >>> 0;
}
