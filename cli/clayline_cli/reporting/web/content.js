// What the page knows of the scene: numbers of its chips, by row of the file, and their vectors.
const content = (() => {
  const text = (id) => document.getElementById(id).textContent;
  const said = JSON.parse(text("content"));
  const { before, after, each } = said.chips.uci;
  const bytes = (base64) =>
    Uint8Array.fromBase64 ? Uint8Array.fromBase64(base64) : Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
  const count = each.length;
  const isWhole = (chip) => said.chips.valid[chip] >= said.likeness.validLeast;
  return {
    ...said,
    count,
    size: said.grid.size,
    uci: (chip) => before + each[chip] + after,
    isWhole,
    padded: each.map((_, chip) => chip).filter((chip) => !isWhole(chip)),
    componentColours: bytes(said.components.colours),
    vectors: () => bytes(text("vectors")),
  };
})();
