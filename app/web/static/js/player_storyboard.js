/* Small pictures of what is where on the slider. Reads our JSON
   {interval, width, height, columns, rows?, count, images: [url, ...]} or a WebVTT file with #xywh= addresses. */

const stamp = /(?:(\d+):)?(\d+):(\d+(?:\.\d+)?)/;

function seconds(text) {
  const [, h, m, s] = stamp.exec(text) ?? [];
  return (Number(h) || 0) * 3600 + Number(m) * 60 + Number(s);
}

function fromVtt(text, base) {
  const tiles = [];
  for (const block of text.replaceAll("\r\n", "\n").split(/\n{2,}/)) {
    const lines = block.split("\n");
    const timing = lines.findIndex((line) => line.includes("-->"));
    if (timing < 0 || !lines[timing + 1]) continue;
    const [start, end] = lines[timing].split("-->").map(seconds);
    const url = new URL(lines[timing + 1].trim(), base);
    const [x, y, width, height] = (new URLSearchParams(url.hash.slice(1)).get("xywh") ?? "0,0,0,0").split(",").map(Number);
    url.hash = "";
    tiles.push({ start, end, image: url.href, x, y, width, height });
  }
  return tiles;
}

function fromJson(board, base, image) {
  const images = board.images ?? [board.image ?? image];
  const rows = board.rows ?? Math.ceil(board.count / board.columns / images.length);
  return Array.from({ length: board.count }, (_, n) => {
    const within = n % (board.columns * rows);
    return {
      start: n * board.interval,
      end: (n + 1) * board.interval,
      image: new URL(images[Math.floor(n / (board.columns * rows))], base).href,
      x: (within % board.columns) * board.width,
      y: Math.floor(within / board.columns) * board.height,
      width: board.width,
      height: board.height,
    };
  });
}

/** The tiles of a storyboard in order; empty where there is none, because a player without previews still plays. */
export async function loadStoryboard(url, image) {
  if (!url) return [];
  const answer = await fetch(url, { headers: { Accept: "application/json, text/vtt" } });
  if (!answer.ok) return [];
  const isVtt = (answer.headers.get("Content-Type") ?? "").includes("vtt") || /\.vtt($|\?)/.test(url);
  const base = new URL(url, location.href); // not answer.url: it may be a signed address on another host
  return isVtt ? fromVtt(await answer.text(), base) : fromJson(await answer.json(), base, image);
}

/** Draw the tile of a moment into `box`; hides its picture where there is none. */
export function drawTile(box, tiles, at) {
  const tile = tiles.findLast((t) => t.start <= at);
  box.hidden = !tile;
  if (!tile) return;
  box.style.width = `${tile.width}px`;
  box.style.height = `${tile.height}px`;
  box.style.backgroundImage = `url("${tile.image.replaceAll('"', "%22")}")`;
  box.style.backgroundPosition = `-${tile.x}px -${tile.y}px`;
}
