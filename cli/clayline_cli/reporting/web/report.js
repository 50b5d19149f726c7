// The report: what is chosen, and what follows from it.
const state = {
  layer: "components", like: [], unlike: [], isUnlike: false, takesPadded: false, pointed: null, range: null,
  scores: null, ranked: null,
};
const FAINT = 20;
const { at, make } = panel;
const isFar = (value) => state.range && (value === null || value < state.range[0] || value > state.range[1]);

// Give the likeness of the chips that are compared, null of the others.
const compared = () =>
  Array.from(state.scores, (score, chip) => (state.takesPadded || content.isWhole(chip) ? score : null));
const valuesOf = (layer) => (layer === "likeness" ? state.scores && compared() : content.chips[layer]);
const isThere = (layer) => {
  if (layer === "scene") return content.picture.width > 0;
  if (layer === "components") return true;
  return Boolean(valuesOf(layer)?.some((value) => value !== null));
};

// Say what the hatching means in a layer whose numbers it makes doubtful; "" where nothing is hatched.
const HATCHED = {
  components: () => (content.components.ofWhole
    ? "their vectors tell of the padding, and they have no colour"
    : "their colour tells of the padding too, for too few chips are whole"),
  loss: () => "their loss is one of the padding too",
  likeness: () => (state.takesPadded
    ? "they find each other by their padding" : "they are not compared"),
};
const hatched = (layer) => {
  const { length } = content.padded;
  if (!length || !HATCHED[layer]) return "";
  const least = content.likeness.validLeast * 100;
  return ` Hatched: ${length.toLocaleString("en")} ${length === 1 ? "chip" : "chips"} less than ${least} % valid;`
    + ` ${HATCHED[layer]()}.`;
};

const LEGENDS = {
  scene: () => "The scene in red, green and blue, as bright as its ground.",
  components: () =>
    "Red, green and blue are the three strongest principal components of the vectors:"
    + ` ${Math.round(content.components.share * 100)} % of their variance. Like colours, like ground.`,
  loss: ({ median }) =>
    `Loss, ${content.scene.lossMetric}; median ${panel.number(median)}. How ill the chip can be told back from its vector.`,
  cloud: ({ known }) => `Cloud fraction. Unknown of ${content.count - known.length} chips.`,
  valid: () => "Valid fraction: of the chip's pixels, those that have a value.",
  likeness: () => "Likeness to the examples: centred cosine, 1 is the same direction.",
};

// Give the opacity of a chip: hardly any of one beyond the range.
const strength = (value) => (isFar(value) ? FAINT : 255);

const paint = () => {
  const { layer } = state;
  chipmap.showHatching(Boolean(HATCHED[layer]));
  if (layer === "scene") {
    chipmap.paint(() => null);
    plot.clear();
    at("legend-text").textContent = LEGENDS.scene();
    return;
  }
  if (layer === "components") {
    chipmap.paint((chip) => {
      const colour = colours.ofComponents(chip);
      return colour && [...colour, 255];
    });
    plot.clear();
    at("legend-text").textContent = LEGENDS.components() + hatched(layer);
    return;
  }
  const values = valuesOf(layer);
  const scale = colours.scale(layer, values);
  chipmap.paint((chip) => {
    if (values[chip] === null) return null;
    return [...colours.of(layer, values[chip], scale), strength(values[chip])];
  });
  if (!state.range) {
    at("legend-text").textContent = `${LEGENDS[layer](scale)}${hatched(layer)} Drag over the bars to see only some.`;
    plot.draw(layer, scale, (range) => {
      if (range || state.range) {
        state.range = range;
        repaint(values, scale);
      }
    });
  }
};

// A range was drawn: the plot stays as it is.
const repaint = (values, scale) => {
  const { layer } = state;
  chipmap.paint((chip) =>
    values[chip] === null ? null : [...colours.of(layer, values[chip], scale), strength(values[chip])]);
};

const showLayers = () => {
  for (const button of at("layers").children) {
    button.setAttribute("aria-pressed", String(button.dataset.layer === state.layer));
    button.disabled = !isThere(button.dataset.layer);
  }
};

const setLayer = (layer) => {
  state.layer = layer;
  state.range = null;
  showLayers();
  paint();
};

const scoreOf = (chip) => (state.scores ? state.scores[chip] : null);

const point = (chip, isSpoken = false) => {
  if (chip === null) return;
  state.pointed = chip;
  chipmap.point(chip);
  panel.showChip(chip, scoreOf(chip), isSpoken);
};

const search = () => {
  const { like, unlike } = state;
  state.scores = likeness.scores(like, unlike);
  state.ranked = state.scores && likeness.rank(state.scores, new Set([...like, ...unlike]), state.takesPadded);
  panel.showExamples(like, unlike, (chip) => add(chip, unlike.includes(chip)));
  at("examples-empty").hidden = Boolean(state.ranked) || !content.likeness.form;
  if (like.length && !state.scores) at("examples-empty").textContent = "These examples cancel each other out.";
  else if (unlike.length) at("examples-empty").textContent = "Add a chip of what you look for, too.";
  else at("examples-empty").textContent = "No example yet: click or tap a chip of what you look for.";
  panel.showSimilar(state.ranked, state.scores, does);
  chipmap.show({ similar: state.ranked ? state.ranked.slice(0, panel.SHOWN) : [], unlike, like });
  if (state.ranked) setLayer("likeness");
  else setLayer(state.layer === "likeness" ? "components" : state.layer);
  if (state.pointed !== null) panel.showChip(state.pointed, scoreOf(state.pointed), false);
};

// Add an example; one that is there already is taken back, or changes its kind.
const add = (chip, isUnlike) => {
  if (!content.likeness.form) return;
  const [kind, other] = isUnlike ? ["unlike", "like"] : ["like", "unlike"];
  state[other] = state[other].filter((each) => each !== chip);
  state[kind] = state[kind].includes(chip) ? state[kind].filter((each) => each !== chip) : [...state[kind], chip];
  search();
};

const clear = () => {
  state.like = [];
  state.unlike = [];
  search();
};

const setMode = (isUnlike) => {
  state.isUnlike = isUnlike;
  at("mode-like").setAttribute("aria-pressed", String(!isUnlike));
  at("mode-unlike").setAttribute("aria-pressed", String(isUnlike));
};

const does = {
  go: (chip) => {
    point(chip);
    chipmap.reveal(chip);
  },
  point: (chip) => point(chip),
  add,
};

const about = () => {
  const { scene, grid, likeness: asked } = content;
  const centres = {
    card: "the mean that the model's card states",
    codebook: "the centre of the dataset's codebook",
    rows: `the mean of this scene's chips, for the model's statistics were not at hand`,
  };
  const lines = [
    `File: ${scene.file}. Chips: ${content.count.toLocaleString("en")} with a vector, of ${grid.windows.toLocaleString("en")} windows;`
    + " the receipt says why the others have none.",
  ];
  if (asked.form) {
    lines.push(`Likeness is the cosine of vectors less ${centres[asked.centredBy]} (centre: ${asked.centredBy}).`);
    lines.push(asked.form === "int8"
      ? `Vectors of ${asked.dimensions} dimensions stand in this page as 8-bit numbers.`
      : `Vectors of ${asked.dimensions} dimensions stand in this page as their signs, one bit each: likeness is an estimate.`);
  }
  lines.push("Nothing is asked of any network. Map: Leaflet 1.9.4 (BSD-2-Clause); plot: uPlot 1.6.32 (MIT).");
  at("about").replaceChildren(...lines.map((line) => make("li", "", line)));
};

const start = () => {
  const { scene } = content;
  at("facts").textContent = [scene.day, scene.instrument, scene.model, `${content.count.toLocaleString("en")} chips`].join(" \u00b7 ");
  at("untrained").hidden = !scene.untrained;
  for (const [id, said] of [["no-picture", content.picture.missing], ["other-picture", content.picture.changed]]) {
    at(id).hidden = !said;
    at(id).textContent = said || "";
  }
  for (const [layer, name] of Object.entries(colours.NAMES)) {
    const button = make("button", "", name);
    button.type = "button";
    button.dataset.layer = layer;
    button.addEventListener("click", () => setLayer(layer));
    at("layers").append(button);
  }
  const padded = content.padded.length;
  at("padded-text").textContent = `Take in ${padded.toLocaleString("en")} chips of which less than`
    + ` ${content.likeness.validLeast * 100} % is valid: they find each other by their padding.`;
  at("padded").disabled = !padded;
  at("likeness-refused").hidden = Boolean(content.likeness.form);
  at("likeness-refused").textContent = content.likeness.refused || "";
  at("mode-like").disabled = at("mode-unlike").disabled = !content.likeness.form;
  about();
  panel.showOutliers(does);
  at("strength").addEventListener("input", (event) => chipmap.setStrength(event.target.value / 100));
  chipmap.setStrength(at("strength").value / 100);
  at("mode-like").addEventListener("click", () => setMode(false));
  at("mode-unlike").addEventListener("click", () => setMode(true));
  at("clear").addEventListener("click", clear);
  at("padded").addEventListener("change", (event) => {
    state.takesPadded = event.target.checked;
    search();
  });
  chipmap.onPoint((chip) => point(chip));
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => setLayer(state.layer));
  search();
};

// What compares vectors waits until the page has them: they stand at its end, so that the scene is seen before.
const listen = () => {
  chipmap.onChoose((chip, isTurned) => {
    point(chip);
    add(chip, isTurned !== state.isUnlike);
  });
  keys.listen(at("map"), {
    current: () => state.pointed,
    move: (chip) => {
      point(chip, true);
      chipmap.reveal(chip);
    },
    add: (chip, isTurned) => add(chip, isTurned !== state.isUnlike),
    clear,
  });
  document.documentElement.dataset.ready = "yes";
};

start();
document.addEventListener("DOMContentLoaded", listen, { once: true });
