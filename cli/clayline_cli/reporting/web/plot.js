// How a layer's numbers are spread: a histogram by uPlot. A range drawn over it leaves those chips alone in the map.
const plot = (() => {
  const BINS = 48;
  const place = document.getElementById("plot");
  let drawn = null;

  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  const counts = ({ known, low, high }) => {
    const [from, to] = [Math.min(low, known[0]), Math.max(high, known[known.length - 1])];
    const wide = (to - from) / BINS || 1;
    const found = new Array(BINS).fill(0);
    for (const value of known) found[Math.min(BINS - 1, Math.floor((value - from) / wide))] += 1;
    return { middles: found.map((_, bin) => from + (bin + 0.5) * wide), found, from, to, wide };
  };

  const clear = () => {
    drawn?.destroy();
    drawn = null;
    place.parentElement.classList.add("text-only");
  };

  // Draw a layer's scale. `chosen` is told the range that was drawn over it, null when that is taken back.
  const draw = (layer, scale, chosen) => {
    clear();
    place.parentElement.classList.remove("text-only");
    const { middles, found, from, to, wide } = counts(scale);
    const fills = middles.map((value) => `rgb(${colours.of(layer, value, scale).join()})`);
    const [ink, line] = [css("--soft"), css("--line")];
    const bars = uPlot.paths.bars({
      size: [1, Infinity],
      gap: 1,
      disp: { fill: { unit: 3, values: () => fills }, stroke: { unit: 3, values: () => fills } },
    });
    drawn = new uPlot(
      {
        width: Math.max(place.clientWidth, 160),
        height: 92,
        padding: [6, 16, 0, 16],
        legend: { show: false },
        cursor: { y: false, points: { show: false }, drag: { x: true, y: false, setScale: false } },
        select: { show: true },
        scales: { x: { time: false, range: [from - wide / 2, to + wide / 2] }, y: { range: (_, __, most) => [0, most] } },
        axes: [
          { stroke: ink, grid: { show: false }, ticks: { stroke: line, size: 4 }, size: 24, gap: 3, font: "11px sans-serif" },
          { show: false },
        ],
        series: [{}, { paths: bars, points: { show: false }, width: 0 }],
        hooks: {
          setSelect: [(u) => chosen(u.select.width > 2
            ? [u.posToVal(u.select.left, "x"), u.posToVal(u.select.left + u.select.width, "x")] : null)],
        },
      },
      [middles, found],
      place,
    );
    drawn.over.addEventListener("dblclick", () => chosen(null));
  };

  const resize = () => drawn?.setSize({ width: Math.max(place.clientWidth, 160), height: 92 });
  window.addEventListener("resize", resize);

  return { draw, clear };
})();
