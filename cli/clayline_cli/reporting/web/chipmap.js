// The map: the scene, chips over it, marks around some of them. Leaflet pans and zooms; a place is (row, column) in the
// scene's pixels, stretched by what a pixel is higher than wide on the ground.
const chipmap = (() => {
  const { grid, chips } = content;
  const size = grid.size;
  const place = (row, col) => L.latLng(-row * grid.aspect, col);
  const around = (row, col, rows, cols) => L.latLngBounds(place(row, col), place(row + rows, col + cols));
  const metres = (one, other) => Math.hypot(one.lat - other.lat, one.lng - other.lng) * grid.metres;
  const scene = around(0, 0, grid.height, grid.width);
  const tall = (grid.height * grid.aspect) / grid.width;
  document.documentElement.style.setProperty("--tall", tall.toFixed(4)); // the frame is no higher than the scene asks for
  const isStill = window.matchMedia("(prefers-reduced-motion: reduce)").matches;
  const map = L.map("map", {
    crs: L.extend({}, L.CRS.Simple, { distance: metres }),
    keyboard: false, // arrows go from chip to chip: keys.js
    boxZoom: false, // Shift adds what it should not be like
    doubleClickZoom: false, // a second click takes the first one back
    attributionControl: false,
    zoomSnap: 0.05,
    zoomDelta: 0.75,
    minZoom: -8,
    maxZoom: 4,
    zoomAnimation: !isStill,
    fadeAnimation: false,
    maxBounds: scene.pad(0.5),
    maxBoundsViscosity: 1,
  });

  const picture = document.getElementById("picture");
  if (content.picture.width) L.imageOverlay(picture, scene).addTo(map);
  else picture.remove();

  // Chips that overlap are cut finer than a chip: the later one wins, as in the picture beside the file.
  const [top, left] = grid.start;
  const cell = grid.cell;
  const canvas = document.createElement("canvas");
  canvas.height = Math.ceil(Math.max(grid.height - top, size) / cell);
  canvas.width = Math.ceil(Math.max(grid.width - left, size) / cell);
  const brush = canvas.getContext("2d");
  const side = size / cell;
  // Leaflet puts any element that it is given for an SVG over its bounds.
  const overlay = L.svgOverlay(canvas, around(top, left, canvas.height * cell, canvas.width * cell), {
    className: "chips",
  }).addTo(map);

  // Chips of which too little is valid are hatched, on an SVG of its own in the scene's pixels.
  const svg = (name, given) => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(given)) element.setAttribute(key, value);
    return element;
  };
  const hatching = (hatched) => {
    const step = size / 4;
    const [tall, wide] = [canvas.height * cell, canvas.width * cell];
    const lines = svg("pattern", {
      id: "hatch", width: step, height: step, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)",
    });
    lines.append(svg("rect", { class: "hatch-ground", width: step, height: step }));
    lines.append(svg("rect", { class: "hatch-line", width: step / 3, height: step }));
    const squares = hatched.map((chip) => `M${chips.col[chip] - left} ${chips.row[chip] - top}h${size}v${size}h-${size}z`);
    const element = svg("svg", { viewBox: `0 0 ${wide} ${tall}`, preserveAspectRatio: "none" });
    element.append(lines, svg("path", { d: squares.join(""), fill: "url(#hatch)" }));
    return L.svgOverlay(element, around(top, left, tall, wide), { className: "hatching" });
  };
  const padded = hatching(content.padded);
  const showHatching = (isShown) => (isShown && content.padded.length ? padded.addTo(map) : padded.remove());
  const all = L.latLngBounds(scene.getSouthWest(), scene.getNorthEast()).extend(overlay.getBounds());

  // Colour every chip by what `colour(chip)` gives: red, green, blue and opacity, 0 to 255; null leaves it out.
  const paint = (colour) => {
    const image = brush.createImageData(canvas.width, canvas.height);
    for (let chip = 0; chip < content.count; chip += 1) {
      const found = colour(chip);
      if (!found) continue;
      const row = Math.floor((chips.row[chip] - top) / cell);
      const col = Math.floor((chips.col[chip] - left) / cell);
      for (let y = row; y < Math.min(row + Math.ceil(side), canvas.height); y += 1) {
        for (let x = col; x < Math.min(col + Math.ceil(side), canvas.width); x += 1) {
          image.data.set(found, 4 * (y * canvas.width + x));
        }
      }
    }
    brush.putImageData(image, 0, 0);
  };

  const buckets = new Map();
  const bucket = (row, col) => `${Math.floor(row / size)} ${Math.floor(col / size)}`;
  for (let chip = 0; chip < content.count; chip += 1) {
    const [row, col] = [chips.row[chip], chips.col[chip]];
    const corners = [bucket(row, col), bucket(row + size - 1, col), bucket(row, col + size - 1)];
    for (const name of new Set([...corners, bucket(row + size - 1, col + size - 1)])) {
      if (!buckets.has(name)) buckets.set(name, []);
      buckets.get(name).push(chip);
    }
  }

  // Give the chip at a place in pixels, null where there is none; of several the later one.
  const chipAt = (row, col) => {
    const holds = (chip) =>
      row >= chips.row[chip] && row < chips.row[chip] + size && col >= chips.col[chip] && col < chips.col[chip] + size;
    const found = (buckets.get(bucket(row, col)) || []).filter(holds);
    return found.length ? found.reduce((one, other) => (chips.index[other] > chips.index[one] ? other : one)) : null;
  };
  const chipOf = (event) => chipAt(-event.latlng.lat / grid.aspect, event.latlng.lng);

  const marks = L.layerGroup().addTo(map);
  const pointed = L.layerGroup().addTo(map);
  const bounds = (chip) => around(chips.row[chip], chips.col[chip], size, size);
  const mark = (group, chip, kind) => {
    for (const className of [`mark halo`, `mark ${kind}`]) {
      L.rectangle(bounds(chip), { className, fill: false, interactive: false }).addTo(group);
    }
  };

  // Mark chips by kind: { similar: [...], like: [...], unlike: [...] }; the last kind lies above.
  const show = (kinds) => {
    marks.clearLayers();
    for (const [kind, marked] of Object.entries(kinds)) marked.forEach((chip) => mark(marks, chip, kind));
  };

  const point = (chip) => {
    pointed.clearLayers();
    if (chip !== null) mark(pointed, chip, "pointed");
  };

  // Until it is moved by hand, the map shows the whole scene, however its place changes.
  let isFitting = false;
  let isMoved = false;
  const fit = () => {
    isFitting = true;
    map.invalidateSize({ animate: false });
    map.fitBounds(all, { animate: false, padding: [6, 6] });
    isFitting = false;
  };
  fit();
  L.control.scale({ imperial: false, maxWidth: 120, position: "bottomleft" }).addTo(map);
  map.on("movestart", () => { isMoved ||= !isFitting; });
  new ResizeObserver(() => (isMoved ? map.invalidateSize() : fit())).observe(map.getContainer());

  return {
    map,
    paint,
    chipAt,
    show,
    point,
    reveal: (chip) => map.panInside(bounds(chip).getCenter(), { padding: [60, 60], animate: !isStill }),
    showHatching,
    setStrength: (part) => [overlay, padded].forEach((each) => each.setOpacity(part)),
    onPoint: (told) => map.on("mousemove", (event) => told(chipOf(event))).on("mouseout", () => told(null)),
    onChoose: (told) => map.on("click", (event) => {
      const chip = chipOf(event);
      if (chip !== null) told(chip, event.originalEvent.shiftKey || event.originalEvent.altKey);
    }),
  };
})();
