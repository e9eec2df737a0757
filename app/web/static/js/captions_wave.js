/* The loudness around the moment that is played, with the captions as bars over it: a help for the eye. Everything that it
   shows can be had without it, so it is hidden from assistive technology and takes no keys. */
import { call } from "./http.js";

const WINDOW_SECONDS = 10;

export class Wave {
  /** `url` answers audiowaveform's JSON, 8 bits a sample; `cues` gives the captions. */
  constructor(canvas, video, url, cues) {
    Object.assign(this, { canvas, video, cues });
    this.ready = this.#load(url);
  }

  async #load(url) {
    try {
      const shape = await call("GET", url);
      const interval = shape.samples_per_pixel / shape.sample_rate;
      if (!(interval > 0) || !Array.isArray(shape.data)) return;
      this.interval = interval;
      // lowest and highest sample in turn: the larger of the two is how loud it was, 0 to 1
      this.peaks = Array.from({ length: shape.length }, (_, n) => Math.max(-shape.data[2 * n], shape.data[2 * n + 1]) / 128);
      this.canvas.hidden = false;
      for (const event of ["timeupdate", "seeked"]) this.video.addEventListener(event, () => this.draw());
      this.draw();
    } catch (error) {
      console.info("No picture of the sound:", error.message);
    }
  }

  /** Seconds shown: from, until. */
  get window() {
    const from = Math.max(0, this.video.currentTime - WINDOW_SECONDS / 2);
    return [from, from + WINDOW_SECONDS];
  }

  draw() {
    if (!this.peaks) return;
    const { canvas } = this;
    const [width, height] = [(canvas.width = canvas.clientWidth), (canvas.height = canvas.clientHeight)];
    const pen = canvas.getContext("2d");
    const ink = getComputedStyle(canvas).color;
    const [from, until] = this.window;
    const x = (seconds) => ((seconds - from) / (until - from)) * width;
    pen.clearRect(0, 0, width, height);
    pen.fillStyle = ink;
    pen.globalAlpha = 0.2;
    for (const cue of this.cues()) {
      if (cue.end_ms / 1000 < from || cue.start_ms / 1000 > until) continue;
      pen.fillRect(x(cue.start_ms / 1000) + 1, 0, Math.max(1, x(cue.end_ms / 1000) - x(cue.start_ms / 1000) - 2), height);
    }
    pen.globalAlpha = 1;
    const step = Math.max(1, width / (WINDOW_SECONDS / this.interval));
    for (let n = Math.floor(from / this.interval); n * this.interval < until; n += 1) {
      const size = Math.min(1, this.peaks[n] ?? 0) * height;
      pen.fillRect(x(n * this.interval), (height - size) / 2, Math.max(1, step - 1), size);
    }
    pen.fillRect(x(this.video.currentTime), 0, 2, height);
  }
}
