// ---- colours of the style, and pictures in them

const cssColour = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/// Paints `value(x, y)`, from 0 to 1, as one pixel each, from one colour of the style to another.
function paintPixels(canvas, width, height, low, high, value) {
  const rgb = name => cssColour(name).match(/[0-9a-f]{2}/gi).map(hex => parseInt(hex, 16));
  const [from, to] = [rgb(low), rgb(high)];
  canvas.width = width; canvas.height = height;
  const context = canvas.getContext("2d"), image = context.createImageData(width, height);
  for (let y = 0; y < height; y++) for (let x = 0; x < width; x++) {
    const share = value(x, y), at = 4 * (y * width + x);
    for (let c = 0; c < 3; c++) image.data[at + c] = from[c] + (to[c] - from[c]) * share;
    image.data[at + 3] = 255;
  }
  context.putImageData(image, 0, 0);
}
