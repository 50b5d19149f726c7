// Chips as small pictures, cut from the scene's; where there is none, in the colour of their components.
const thumbs = (() => {
  const SIDE = 96;
  const picture = document.getElementById("picture");

  const cut = (chip) => {
    const canvas = document.createElement("canvas");
    canvas.className = "cut";
    canvas.width = SIDE;
    canvas.height = SIDE;
    canvas.setAttribute("aria-hidden", "true");
    const brush = canvas.getContext("2d");
    if (!content.picture.width) {
      const colour = colours.ofComponents(chip);
      if (colour) brush.fillStyle = `rgb(${colour.join()})`;
      if (colour) brush.fillRect(0, 0, SIDE, SIDE);
      return canvas;
    }
    const down = content.picture.height / content.grid.height;
    const across = content.picture.width / content.grid.width;
    const draw = () => brush.drawImage(
      picture,
      content.chips.col[chip] * across, content.chips.row[chip] * down, content.size * across, content.size * down,
      0, 0, SIDE, SIDE,
    );
    if (picture.complete) draw();
    else picture.addEventListener("load", draw, { once: true });
    return canvas;
  };

  return { cut };
})();
