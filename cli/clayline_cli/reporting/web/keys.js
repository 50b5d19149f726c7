// The map by keyboard: arrows go from chip to chip.
const keys = (() => {
  const { chips, grid } = content;
  const STEPS = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };

  const nearest = (row, col) => {
    let best = 0;
    const away = (chip) => Math.hypot(chips.row[chip] + grid.size / 2 - row, chips.col[chip] + grid.size / 2 - col);
    for (let chip = 1; chip < content.count; chip += 1) if (away(chip) < away(best)) best = chip;
    return best;
  };

  // Give the next chip in a direction, over gaps; the chip itself where there is none.
  const next = (chip, [down, across]) => {
    let row = chips.row[chip] + grid.size / 2;
    let col = chips.col[chip] + grid.size / 2;
    for (;;) {
      row += down * grid.size;
      col += across * grid.size;
      if (row < grid.start[0] || col < grid.start[1]) return chip;
      if (row > grid.height + grid.size || col > grid.width + grid.size) return chip;
      const found = chipmap.chipAt(row, col);
      if (found !== null && found !== chip) return found;
    }
  };

  const first = () => {
    const { lat, lng } = chipmap.map.getCenter();
    return nearest(-lat / grid.aspect, lng);
  };

  // `does`: current(), move(chip), add(chip, isUnlike), clear().
  const listen = (element, does) => {
    element.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey) return;
      const current = does.current();
      if (event.key in STEPS) does.move(current === null ? first() : next(current, STEPS[event.key]));
      else if (event.key === "Home") does.move(first());
      else if (event.key === "Enter" || event.key === " ") {
        const chip = current === null ? first() : current;
        does.move(chip);
        does.add(chip, event.shiftKey || event.altKey);
      } else if (event.key === "+" || event.key === "=") chipmap.map.zoomIn();
      else if (event.key === "-") chipmap.map.zoomOut();
      else if (event.key === "Escape") does.clear();
      else return;
      event.preventDefault();
    });
  };

  return { listen };
})();
