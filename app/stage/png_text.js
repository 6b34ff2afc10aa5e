// Texts inside a PNG: iTXt chunks after its header (PNG 1.2, section 4.2.3.3).

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, n) => {
  let c = n;
  for (let k = 0; k < 8; k++) c = c & 1 ? 0xedb88320 ^ (c >>> 1) : c >>> 1;
  return c >>> 0;
});

function crc32(bytes) {
  let c = 0xffffffff;
  for (const byte of bytes) c = CRC_TABLE[(c ^ byte) & 0xff] ^ (c >>> 8);
  return (c ^ 0xffffffff) >>> 0;
}

// The same PNG (Uint8Array) with a text for each keyword, in UTF-8.
function pngWithText(png, texts) {
  const header = 8 + 25, chunks = Object.entries(texts).map(([keyword, text]) => textChunk(keyword, text)), size = chunks.reduce((sum, chunk) => sum + chunk.length, 0), out = new Uint8Array(png.length + size);
  out.set(png.subarray(0, header));
  let at = header;
  for (const chunk of chunks) { out.set(chunk, at); at += chunk.length; }
  out.set(png.subarray(header), at);
  return out;
}

// Length, type, keyword, no compression, no language, text, checksum.
function textChunk(keyword, text) {
  const coder = new TextEncoder(), body = [...coder.encode("iTXt"), ...coder.encode(keyword), 0, 0, 0, 0, 0, ...coder.encode(text)], chunk = new Uint8Array(body.length + 8), view = new DataView(chunk.buffer);
  view.setUint32(0, body.length - 4);
  chunk.set(body, 4);
  view.setUint32(body.length + 4, crc32(body));
  return chunk;
}
