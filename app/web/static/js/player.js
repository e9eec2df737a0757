/* The player over <video>: controls, captions, watermark, full screen of the whole container, and where I was. */
import { ApiError, call } from "./http.js";
import { Captions } from "./player_captions.js";
import { attachSource, PROBLEMS } from "./player_source.js";
import { drawTile, loadStoryboard } from "./player_storyboard.js";
import { watermark } from "./player_watermark.js";
import { readPreferences, writePreferences } from "./preferences.js";
import { clock, spoken } from "./words.js";

const KEPT_AS = "vignette.player";
const DEFAULTS = { speed: 1, captions: true, size: "medium", colour: "white", volume: 100, muted: false };
const STEP = 5;
const LEAP = 60;
const SAVE_EVERY_MS = 15_000;
const LOADING_AFTER_MS = 2_000;

export class Player {
  #savedAt = 0;
  #saved;
  #loading;
  #tiles = [];

  constructor(root) {
    this.root = root;
    this.video = root.querySelector("video");
    this.prefs = readPreferences(KEPT_AS, DEFAULTS);
    const start = Number(root.dataset.start) || 0;
    this.#saved = Math.floor(start);
    // A clip is a window: the slider and the spoken position know nothing outside it.
    this.clip = root.dataset.end ? { start, end: Number(root.dataset.end) } : null;

    this.captions = new Captions(this.video, this.part("captions-box"));
    this.video.controls = false;
    this.part("bar").hidden = false;
    root.classList.add("app-player--ready");
    this.moveWatermark = watermark(this.part("stage"), root.dataset.watermark);
    this.#bindVideo();
    this.#bindControls();
    this.#bindSeek();
    this.#bindFullScreen();
    this.#applyPreferences();
    this.ready = this.#load(start);
  }

  part(name) {
    return this.root.querySelector(`[data-part="${name}"]`);
  }

  get from() {
    return this.clip?.start ?? 0;
  }

  get to() {
    const length = Number.isFinite(this.video.duration) ? this.video.duration : 0;
    return this.clip ? Math.min(this.clip.end, length || this.clip.end) : length;
  }

  /** Go to a second of the recording, kept inside what may be seen here. */
  seek(seconds) {
    this.video.currentTime = Math.min(Math.max(seconds, this.from), this.to || seconds);
  }

  say(sentence) {
    this.part("status").textContent = sentence;
  }

  async #load(start) {
    this.source = await attachSource(this.video, {
      playlist: this.root.dataset.playlist,
      start,
      handlers: {
        onLevels: (levels) => this.#listLevels(levels),
        onSounds: (names) => this.#listSounds(names),
        onLevel: (name) => { this.part("quality").options[0].textContent = `Automatic (current: ${name})`; },
        onProblem: (reason) => this.#showProblem(reason),
      },
    });
    this.root.dataset.source = this.source.kind;
    this.part("quality").closest(".app-player__choice").hidden = this.source.kind !== "hls";
    try {
      this.#tiles = await loadStoryboard(this.root.dataset.storyboard, this.root.dataset.storyboardImage);
    } catch (error) {
      console.info("No previews on the slider:", error);
    }
  }

  /** Several tracks of sound are a choice; one is none. */
  #listSounds(names) {
    const sound = this.part("sound");
    sound.replaceChildren(...names.map((name, index) => new Option(name, String(index))));
    sound.closest(".app-player__choice").hidden = names.length < 2;
  }

  #listLevels(levels) {
    const quality = this.part("quality");
    quality.length = 1; // the automatic choice; the list is told again when the source begins anew
    for (const { index, name } of levels.toReversed()) quality.add(new Option(name, String(index)));
  }

  // -- the video ----------------------------------------------------------------------------------------------------

  #bindVideo() {
    const video = this.video;
    for (const event of ["play", "pause", "ended"]) video.addEventListener(event, () => this.#showPlaying());
    for (const event of ["timeupdate", "seeking", "durationchange", "progress"]) video.addEventListener(event, () => this.#showTime());
    for (const event of ["waiting", "stalled"]) video.addEventListener(event, () => this.#maybeLoading());
    for (const event of ["playing", "pause", "canplay"]) video.addEventListener(event, () => this.#notLoading());
    video.addEventListener("playing", () => { this.part("problem").hidden = true; });
    video.addEventListener("timeupdate", () => this.#stopAtEnd());
    video.addEventListener("timeupdate", () => this.#savePosition(SAVE_EVERY_MS));
    video.addEventListener("pause", () => this.#savePosition(0));
    document.addEventListener("visibilitychange", () => { if (document.hidden) this.#savePosition(0); });
    window.addEventListener("pagehide", () => this.#sayEnded());
    video.addEventListener("click", () => this.toggle());
    window.addEventListener("online", () => { if (this.root.dataset.problem === "offline") this.#retry(); });
  }

  /** Play or pause; at the end of a clip, from its start again. */
  async toggle() {
    const video = this.video;
    if (!video.paused) return video.pause();
    if (this.clip && video.currentTime >= this.to - 0.25) this.seek(this.from);
    try {
      await video.play();
    } catch (error) {
      // AbortError: paused or reloaded before it began. Everything else reaches the person through the source's error.
      if (error.name !== "AbortError") console.info("Playback did not start:", error);
    }
  }

  #stopAtEnd() {
    if (!this.clip || this.video.paused || this.video.currentTime < this.clip.end) return;
    this.video.pause();
    this.video.currentTime = this.clip.end;
    this.say("End of the clip");
  }

  #showPlaying() {
    const playing = !this.video.paused && !this.video.ended;
    this.#swap("play", playing, "Pause", "Play");
    this.root.classList.toggle("app-player--playing", playing);
  }

  #swap(part, on, textOn, textOff) {
    const [first, second] = this.part(part).querySelectorAll("svg");
    first.toggleAttribute("hidden", on);
    second.toggleAttribute("hidden", !on);
    this.part(`${part}-text`).textContent = on ? textOn : textOff;
  }

  #showTime() {
    const { from, to } = this;
    const at = Math.min(Math.max(this.video.currentTime, from), to || Infinity);
    const seek = this.part("seek");
    seek.min = String(from);
    seek.max = String(to);
    seek.value = String(at);
    seek.setAttribute("aria-valuetext", `${spoken(at - from)} of ${spoken(to - from)}`);
    this.part("now").textContent = clock(at - from);
    this.part("length").textContent = clock(to - from);
    const share = (seconds) => `${to > from ? Math.min(100, ((seconds - from) / (to - from)) * 100) : 0}%`;
    seek.style.setProperty("--played", share(at));
    seek.style.setProperty("--loaded", share(this.#bufferedUntil(at)));
    this.#showChapter(at);
    for (const field of document.querySelectorAll(`[data-player-time="${this.root.id}"]`)) field.value = at.toFixed(1);
  }

  #bufferedUntil(at) {
    const ranges = this.video.buffered;
    for (let i = 0; i < ranges.length; i++) if (ranges.start(i) <= at && at <= ranges.end(i)) return ranges.end(i);
    return at;
  }

  #showChapter(at) {
    const buttons = [...this.root.querySelectorAll("[data-chapter]")];
    const current = buttons.findLast((b) => Number(b.dataset.chapter) <= at);
    for (const button of buttons) button.toggleAttribute("aria-current", button === current);
    current?.setAttribute("aria-current", "true");
  }

  #maybeLoading() {
    clearTimeout(this.#loading);
    this.#loading = setTimeout(() => {
      if (this.video.paused || this.video.readyState >= HTMLMediaElement.HAVE_FUTURE_DATA) return;
      this.root.classList.add("app-player--loading");
      this.say("Loading");
    }, LOADING_AFTER_MS);
  }

  #notLoading() {
    clearTimeout(this.#loading);
    this.root.classList.remove("app-player--loading");
  }

  // -- controls -----------------------------------------------------------------------------------------------------

  #bindControls() {
    const on = (part, event, action) => this.part(part)?.addEventListener(event, action);
    on("play", "click", () => this.toggle());
    on("mute", "click", () => this.#prefer({ muted: !this.prefs.muted }));
    on("volume", "input", (e) => this.#prefer({ volume: Number(e.target.value), muted: false }));
    on("captions", "click", () => this.#prefer({ captions: !this.prefs.captions }));
    on("speed", "change", (e) => this.#prefer({ speed: Number(e.target.value) }));
    on("size", "change", (e) => this.#prefer({ size: e.target.value }));
    on("colour", "change", (e) => this.#prefer({ colour: e.target.value }));
    on("language", "change", (e) => this.captions.select(Number(e.target.value)));
    on("sound", "change", (e) => this.source.chooseSound(Number(e.target.value)));
    on("quality", "change", (e) => this.source.choose(Number(e.target.value)));
    on("retry", "click", () => this.#retry());
    for (const name of ["settings", "chapters"]) on(name, "click", () => this.#open(name));
    this.root.addEventListener("keydown", (e) => { if (e.key === "Escape") this.#open(""); });
    for (const button of this.root.querySelectorAll("[data-chapter]")) {
      button.addEventListener("click", () => this.seek(Number(button.dataset.chapter)));
    }
  }

  /** Open one panel (or close it when open) and close the other. */
  #open(name) {
    for (const each of ["settings", "chapters"]) {
      const panel = this.part(`${each}-panel`);
      if (!panel) continue;
      const open = each === name && panel.hidden;
      if (!panel.hidden && panel.contains(document.activeElement)) this.part(each).focus();
      panel.hidden = !open;
      this.part(each).setAttribute("aria-expanded", String(open));
    }
  }

  #prefer(change) {
    Object.assign(this.prefs, change);
    writePreferences(KEPT_AS, this.prefs);
    this.#applyPreferences();
  }

  #applyPreferences() {
    const { prefs, video } = this;
    video.defaultPlaybackRate = prefs.speed; // survives a reload of the source
    video.playbackRate = prefs.speed;
    video.volume = Math.min(100, Math.max(0, prefs.volume)) / 100;
    video.muted = prefs.muted;
    this.#swap("mute", prefs.muted, "Mute", "Mute");
    this.part("mute").setAttribute("aria-pressed", String(prefs.muted));
    const volume = this.part("volume");
    volume.value = String(prefs.muted ? 0 : prefs.volume);
    volume.setAttribute("aria-valuetext", prefs.muted ? "Muted" : `${prefs.volume}%`);
    volume.style.setProperty("--played", `${volume.value}%`);
    this.part("speed").value = String(prefs.speed);
    this.captions.show({ on: prefs.captions, size: prefs.size, colour: prefs.colour });
    this.part("captions")?.setAttribute("aria-pressed", String(prefs.captions));
    for (const name of ["size", "colour"]) if (this.part(name)) this.part(name).value = prefs[name];
  }

  // -- the slider ---------------------------------------------------------------------------------------------------

  #bindSeek() {
    const seek = this.part("seek");
    const steps = {
      ArrowLeft: -STEP, ArrowDown: -STEP, ArrowRight: STEP, ArrowUp: STEP, PageDown: -LEAP, PageUp: LEAP, Home: -Infinity, End: Infinity,
    };
    seek.addEventListener("keydown", (event) => {
      if (!(event.key in steps) || event.ctrlKey || event.altKey || event.metaKey) return;
      event.preventDefault();
      const step = steps[event.key];
      this.seek(Number.isFinite(step) ? this.video.currentTime + step : step < 0 ? this.from : this.to);
      this.#showTime();
      this.#preview(Number(seek.value));
    });
    seek.addEventListener("input", () => this.seek(Number(seek.value)));
    seek.addEventListener("pointermove", (event) => {
      const box = seek.getBoundingClientRect();
      const share = Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
      this.#preview(this.from + share * (this.to - this.from));
    });
    seek.addEventListener("focus", () => { if (seek.matches(":focus-visible")) this.#preview(Number(seek.value)); });
    for (const event of ["pointerleave", "blur"]) seek.addEventListener(event, () => { this.part("preview").hidden = true; });
  }

  #preview(at) {
    const preview = this.part("preview");
    if (!(this.to > this.from)) return;
    drawTile(this.part("tile"), this.#tiles, at);
    this.part("preview-time").textContent = clock(at - this.from);
    preview.hidden = false;
    const width = this.part("seek").clientWidth;
    const half = preview.offsetWidth / 2;
    const x = ((at - this.from) / (this.to - this.from)) * width;
    preview.style.left = `${Math.min(Math.max(x, half), Math.max(half, width - half))}px`;
  }

  // -- full screen, problems, position ------------------------------------------------------------------------------

  #bindFullScreen() {
    const change = () => {
      const full = document.fullscreenElement === this.root || this.root.classList.contains("app-player--fills");
      this.#swap("full", full, "Leave full screen", "Full screen");
      this.root.classList.toggle("app-player--full", full);
    };
    document.addEventListener("fullscreenchange", change);
    this.part("full").addEventListener("click", async () => {
      if (document.fullscreenElement) await document.exitFullscreen();
      // Where only a bare video may fill the screen (iPhone), the container fills the window: the watermark stays.
      else if (!this.root.requestFullscreen) this.root.classList.toggle("app-player--fills");
      else await this.root.requestFullscreen();
      change();
    });
  }

  #showProblem(reason) {
    this.root.dataset.problem = reason;
    this.#notLoading();
    this.part("problem-text").textContent = PROBLEMS[reason];
    this.part("retry").hidden = reason === "gone" || reason === "session";
    this.part("sign-in").hidden = reason !== "session";
    const back = new URL(location.href);
    back.searchParams.set("t", String(Math.floor(this.video.currentTime)));
    this.part("sign-in").href = back.href;
    this.part("problem").hidden = false;
  }

  #retry() {
    delete this.root.dataset.problem;
    this.part("problem").hidden = true;
    this.source.retry();
    this.toggle();
  }

  /** The last word of a viewing. Without it the server closes the viewing after some minutes of silence. */
  async #sayEnded() {
    const url = this.root.dataset.position;
    if (!url || this.clip || !this.video.played.length) return;
    try {
      await call("POST", url, { seconds: Math.floor(this.video.currentTime), ended: true }, { keepalive: true });
    } catch {
      // the page is going: nobody is left to tell
    }
  }

  async #savePosition(every) {
    const url = this.root.dataset.position;
    const seconds = Math.floor(this.video.currentTime);
    if (!url || this.clip || seconds === this.#saved || performance.now() - this.#savedAt < every) return;
    if (this.video.readyState < HTMLMediaElement.HAVE_METADATA) return;
    const before = this.#saved;
    this.#savedAt = performance.now();
    this.#saved = seconds;
    try {
      await call("POST", url, { seconds }, { keepalive: true });
    } catch (error) {
      this.#saved = before; // the next turn tries again: a lost position is not worth a message
      if (error instanceof ApiError && error.status === 401) this.#showProblem("session");
    }
  }
}

for (const root of document.querySelectorAll('[data-module="app-player"]')) root.vignettePlayer = new Player(root);
