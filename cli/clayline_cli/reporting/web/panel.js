// The side: what a chip's numbers are, examples, what is like them, outliers. Everything from the file goes in as text.
const panel = (() => {
  const SHOWN = 24;
  const at = (id) => document.getElementById(id);
  const make = (tag, className, text) => {
    const element = document.createElement(tag);
    if (className) element.className = className;
    if (text !== undefined) element.textContent = text;
    return element;
  };
  const percent = (value) => (value === null ? "unknown" : `${Math.round(value * 100)} %`);
  const number = (value, digits = 3) => (value === null ? "none" : value.toPrecision(digits));
  const degrees = (value, [plus, minus]) => `${Math.abs(value).toFixed(4)}\u00b0${value < 0 ? minus : plus}`;
  const where = (chip) => `${degrees(content.chips.lat[chip], "NS")} ${degrees(content.chips.lon[chip], "EW")}`;

  const values = (chip, score) => [
    ["valid", percent(content.chips.valid[chip])],
    ["cloud", percent(content.chips.cloud[chip])],
    ["loss", number(content.chips.loss[chip])],
    ["likeness", score === null ? "\u2013" : score.toFixed(3)],
    ["index", String(content.chips.index[chip])],
  ];

  const showChip = (chip, score, isSpoken) => {
    const list = values(chip, score);
    at("chip-thumb").replaceChildren(thumbs.cut(chip));
    at("chip-uci").className = "uci";
    at("chip-uci").textContent = content.uci(chip);
    const place = [make("dt", "", "place"), make("dd", "wide", where(chip))];
    at("chip-values").replaceChildren(...place, ...list.flatMap(([k, v]) => [make("dt", "", k), make("dd", "", v)]));
    if (isSpoken) at("spoken").textContent = `${content.uci(chip)}: ${list.map((pair) => pair.join(" ")).join(", ")}`;
  };

  const showExamples = (like, unlike, remove) => {
    const item = (chip, kind) => {
      const entry = make("li", kind);
      const button = make("button");
      button.type = "button";
      button.setAttribute("aria-label", `Take back the ${kind} example ${content.uci(chip)}`);
      button.append(thumbs.cut(chip));
      button.addEventListener("click", () => remove(chip));
      entry.append(button);
      return entry;
    };
    at("examples").replaceChildren(...like.map((c) => item(c, "like")), ...unlike.map((c) => item(c, "unlike")));
    at("examples-empty").hidden = like.length + unlike.length > 0;
    at("clear").hidden = like.length + unlike.length === 0;
  };

  // Fill a list of chips. `told(chip)` is what stands under each, `does` what its buttons do.
  const fill = (id, listed, told, does) => {
    at(id).replaceChildren(...listed.slice(0, SHOWN).map((chip, rank) => {
      const entry = make("li");
      entry.dataset.uci = content.uci(chip);
      const go = make("button", "go");
      go.type = "button";
      go.setAttribute("aria-label", `${rank + 1}: ${content.uci(chip)}, ${told(chip)}. Show it in the map`);
      const line = make("span", "told");
      line.append(make("span", "rank", String(rank + 1)), make("span", "", told(chip)));
      go.append(thumbs.cut(chip), line);
      go.addEventListener("click", () => does.go(chip));
      go.addEventListener("mouseenter", () => does.point(chip));
      go.addEventListener("focus", () => does.point(chip));
      const judge = make("span", "judge");
      for (const [sign, isUnlike, word] of [["+", false, "like"], ["\u2212", true, "unlike"]]) {
        const button = make("button", "", sign);
        button.type = "button";
        button.setAttribute("aria-label", `Add as ${word}: ${content.uci(chip)}`);
        button.title = `add as ${word}`;
        button.addEventListener("click", () => does.add(chip, isUnlike));
        judge.append(button);
      }
      entry.append(go, ...(content.likeness.form ? [judge] : []));
      return entry;
    }));
  };

  const showSimilar = (ranked, scores, does) => {
    at("similar-card").hidden = ranked === null;
    if (ranked === null) {
      at("similar").replaceChildren();
      return;
    }
    at("similar-count").textContent = `${Math.min(SHOWN, ranked.length)} of ${ranked.length.toLocaleString("en")}`;
    fill("similar", ranked, (chip) => scores[chip].toFixed(2), does);
  };

  const showOutliers = (does) => {
    const { rows, scores, median, judged, far } = content.outliers;
    if (!judged) return;
    at("outliers-card").hidden = false;
    const by = new Map(rows.map((chip, number) => [chip, scores[number]]));
    at("outliers-count").textContent = rows.length > SHOWN ? `${SHOWN} of ${rows.length}` : String(rows.length);
    fill("outliers", rows, (chip) => `${number(content.chips.loss[chip], 2)} ${by.get(chip) > 0 ? "\u2191" : "\u2193"}`, does);
    at("outliers-note").textContent =
      `${rows.length ? "" : "None. "}Chips whose loss (${content.scene.lossMetric}) is over ${far} modified z-scores from the`
      + ` median ${number(median)} of ${judged.toLocaleString("en")} chips. Loss goes with texture: smooth ground is low.`;
  };

  return { SHOWN, at, make, percent, number, showChip, showExamples, showSimilar, showOutliers };
})();
