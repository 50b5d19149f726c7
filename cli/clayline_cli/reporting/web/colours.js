// What a chip's colour says, layer by layer.
const colours = (() => {
  const ramp = (text) =>
    text.split(" ").map((colour) => [0, 2, 4].map((at) => Number.parseInt(colour.slice(at, at + 2), 16)));
  const RAMPS = {
    loss: ramp("440154 46327e 365c8d 277f8e 1fa187 4ac16d a0da39 fde725"),
    cloud: ramp("16324f 3c5f86 7b98b8 bccad8 ffffff"),
    valid: ramp("7f2704 c7501a f0944d f7cf9b f3f4e6"),
    likeness: ramp("000004 280b53 65156e 9f2a63 d44842 f57d15 fac127 fcffa4"),
  };
  const NAMES = {
    scene: "Scene", components: "Components", loss: "Loss", cloud: "Cloud", valid: "Valid", likeness: "Likeness",
  };

  const mix = (steps, part) => {
    const at = Math.min(Math.max(part, 0), 1) * (steps.length - 1);
    const low = Math.min(Math.floor(at), steps.length - 2);
    return steps[low].map((value, band) => Math.round(value + (at - low) * (steps[low + 1][band] - value)));
  };

  const quantile = (sorted, part) => sorted[Math.round((sorted.length - 1) * part)];

  // Give the numbers of a layer that has any, and the range that its ramp covers.
  const scale = (layer, values) => {
    const known = [];
    const whole = [];
    values.forEach((value, chip) => {
      if (value === null || Number.isNaN(value)) return;
      known.push(value);
      if (content.isWhole(chip)) whole.push(value);
    });
    if (!known.length) return null;
    const judged = (whole.length > known.length / 4 ? whole : known).sort((one, other) => one - other);
    known.sort((one, other) => one - other);
    const isFraction = layer === "cloud" || layer === "valid";
    const low = isFraction ? 0 : quantile(judged, 0.01);
    const high = isFraction ? 1 : quantile(judged, layer === "likeness" ? 1 : 0.99);
    return { values, known, low, high: high > low ? high : low + 1e-9, median: quantile(judged, 0.5) };
  };

  const of = (layer, value, { low, high }) => mix(RAMPS[layer], (value - low) / (high - low));

  // Give a chip's colour by its components; null of one whose vector tells of its padding, where others set the colours.
  const ofComponents = (chip) =>
    content.components.ofWhole && !content.isWhole(chip)
      ? null : content.componentColours.subarray(3 * chip, 3 * chip + 3);

  return { NAMES, RAMPS, mix, scale, of, ofComponents };
})();
