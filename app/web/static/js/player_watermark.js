/* The viewer's name over the picture. It is inside the element that goes full screen, so it goes along. */

const MOVE_EVERY_MS = 20_000;

/** Keep `text` in `stage`, wandering between the corners; gives a function that moves it on now. */
export function watermark(stage, text) {
  if (!text) return () => {};
  const mark = document.createElement("p");
  mark.className = "app-player__watermark";
  mark.setAttribute("aria-hidden", "true"); // said once in the page's words, not over the recording
  mark.textContent = text;
  let corner = 0;
  const move = () => {
    if (!mark.isConnected) stage.append(mark);
    mark.dataset.corner = String(corner++ % 4);
  };
  move();
  setInterval(move, MOVE_EVERY_MS);
  return move;
}
