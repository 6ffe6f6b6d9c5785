// Raster tiles below the cells, if a tile server is configured. Without it there are no requests.

const SIZE = 256;
const MAX_KEPT = 200;
const images = new Map();

/** Draw the tiles in the view of a map; the map is drawn again when another tile has loaded. */
export function drawTiles(pen, map) {
  const { x, y, scale } = map.view;
  const zoom = Math.max(0, Math.min(19, Math.round(Math.log2(scale / SIZE))));
  const count = 2 ** zoom;
  const size = scale / count;
  const first = (centre, half) => Math.floor((centre - half / scale) * count);
  const last = (centre, half) => Math.floor((centre + half / scale) * count);
  for (let row = Math.max(0, first(y, map.height / 2)); row <= Math.min(count - 1, last(y, map.height / 2)); row += 1) {
    for (let column = first(x, map.width / 2); column <= last(x, map.width / 2); column += 1) {
      const image = tile(map, zoom, ((column % count) + count) % count, row);
      if (image.complete && image.naturalWidth) {
        pen.drawImage(image, map.width / 2 + (column / count - x) * scale, map.height / 2 + (row / count - y) * scale, size + 0.5, size + 0.5);
      }
    }
  }
}

function tile(map, zoom, column, row) {
  const url = map.tiles.replace("{z}", zoom).replace("{x}", column).replace("{y}", row);
  let image = images.get(url);
  if (!image) {
    image = new Image();
    image.addEventListener("load", () => map.draw());
    image.src = url;
    images.set(url, image);
    if (images.size > MAX_KEPT) images.delete(images.keys().next().value);
  }
  return image;
}
