// Which chips are like the examples: docs/likeness.md, A probe. Vectors came centred; their lengths do not matter.
const likeness = (() => {
  const D = content.likeness.dimensions;
  const isBits = content.likeness.form === "bits";
  let vectors = null;
  let lengths = null;

  // Signs become -1 and 1, so that one way of counting does for both forms.
  const signs = (packed) => {
    const wide = new Int8Array(content.count * D);
    const each = Math.ceil(D / 8);
    for (let chip = 0; chip < content.count; chip += 1) {
      for (let d = 0; d < D; d += 1) {
        wide[chip * D + d] = (packed[chip * each + (d >> 3)] >> (7 - (d & 7))) & 1 ? 1 : -1;
      }
    }
    return wide;
  };

  const load = () => {
    const stored = content.vectors();
    vectors = isBits ? signs(stored) : new Int8Array(stored.buffer, stored.byteOffset, stored.length);
    lengths = new Float64Array(content.count);
    for (let chip = 0; chip < content.count; chip += 1) {
      let sum = 0;
      for (let at = chip * D; at < (chip + 1) * D; at += 1) sum += vectors[at] * vectors[at];
      lengths[chip] = Math.sqrt(sum) || 1;
    }
  };

  const add = (direction, chips, sign) => {
    for (const chip of chips) {
      const weight = sign / (chips.length * lengths[chip]);
      for (let d = 0; d < D; d += 1) direction[d] += weight * vectors[chip * D + d];
    }
  };

  // Give the likeness of every chip, -1 to 1; null where the examples cancel each other out, or there is none.
  const scores = (like, unlike) => {
    if (!content.likeness.form || !like.length) return null;
    if (!vectors) load();
    const direction = new Float64Array(D);
    add(direction, like, 1);
    add(direction, unlike, -1);
    const length = Math.hypot(...direction);
    if (length < 1e-6) return null;
    const found = new Float64Array(content.count);
    for (let chip = 0; chip < content.count; chip += 1) {
      let sum = 0;
      const from = chip * D;
      for (let d = 0; d < D; d += 1) sum += vectors[from + d] * direction[d];
      // Rounded, so that chips as like as each other stay in the order of their rows, whatever order sums are made in.
      const cosine = Math.round((sum / (length * lengths[chip])) * 1e9) / 1e9;
      found[chip] = isBits ? Math.sin((Math.PI / 2) * cosine) : cosine;
    }
    return found;
  };

  // Give the chips that take part and are no examples, the most similar first.
  const rank = (found, examples, takePadded) => {
    const taken = [];
    for (let chip = 0; chip < content.count; chip += 1) {
      if (!examples.has(chip) && (takePadded || content.isWhole(chip))) taken.push(chip);
    }
    return taken.sort((one, other) => found[other] - found[one] || one - other);
  };

  return { scores, rank };
})();
