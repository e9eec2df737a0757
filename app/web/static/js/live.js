/* Keeps the progress of a recording up to date while it is processed; says only when a stage changes. */
import { ApiError, call } from "./http.js";
import { roughly } from "./words.js";

const EVERY_MS = 2_000;
const SLOWEST_MS = 30_000;
const MOVING = ["uploading", "processing"];

class Live {
  #fails = 0;

  constructor(root) {
    this.root = root;
    this.part("no-scripts").hidden = true;
    this.tick();
  }

  part(name) {
    return this.root.querySelector(`[data-live="${name}"]`);
  }

  async tick() {
    if (document.hidden) {
      document.addEventListener("visibilitychange", () => this.tick(), { once: true });
      return;
    }
    try {
      const recording = await call("GET", this.root.dataset.url);
      this.#fails = 0;
      this.#show(recording);
      if (!MOVING.includes(recording.state)) return this.#finish(recording);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      if ([401, 403, 404].includes(error.status)) return;
      this.#fails += 1; // a network that is away for a while is no news; ask less often
    }
    setTimeout(() => this.tick(), Math.min(SLOWEST_MS, EVERY_MS * 2 ** this.#fails));
  }

  #show({ progress, stages = [], seconds_left: left }) {
    if (typeof progress === "number") {
      const percent = Math.floor(progress * 100);
      this.part("bar").value = percent;
      this.part("percent").textContent = `${percent}%`;
    }
    this.part("left").textContent = left ? `${roughly(left)} left` : "";
    const news = [];
    for (const stage of stages) {
      const row = this.root.querySelector(`[data-stage="${CSS.escape(stage.name)}"]`) ?? this.#row(stage);
      row.querySelector('[data-live="waiting"]').textContent = stage.waiting ?? "";
      if (row.dataset.state === stage.state) continue;
      row.dataset.state = stage.state;
      const tag = this.#tag(stage.state);
      row.querySelector('[data-live="tag"]').replaceChildren(tag);
      news.push(`${row.querySelector(".app-stages__title").textContent}: ${tag.textContent}`);
    }
    if (news.length) this.part("announce").textContent = news.join(". ");
  }

  /** A row for a stage that was not there yet when the page was made. */
  #row({ name, label }) {
    const row = document.createElement("li");
    row.className = "app-stages__item";
    row.dataset.stage = name;
    const title = document.createElement("span");
    title.className = "app-stages__title";
    title.textContent = label ?? name;
    const tag = document.createElement("span");
    tag.dataset.live = "tag";
    const waiting = document.createElement("span");
    waiting.className = "app-stages__waiting";
    waiting.dataset.live = "waiting";
    row.append(title, tag, waiting);
    this.root.querySelector(".app-stages").append(row);
    return row;
  }

  /** The tag of a state, copied from the ones that the server drew for this purpose, so that words stay in one place. */
  #tag(state) {
    const template = this.root.querySelector("template").content;
    const drawn = template.querySelector(`[data-state="${CSS.escape(state)}"]`) ?? template.querySelector('[data-state="waiting"]');
    return drawn.cloneNode(true);
  }

  #finish({ state, reason }) {
    this.root.dataset.state = state;
    const done = state === "ready";
    const words = done ? "The recording is ready." : reason || "Processing stopped.";
    this.part("announce").textContent = words;
    this.part("outcome").hidden = false;
    this.part("outcome-text").textContent = words;
    this.root.dispatchEvent(new CustomEvent("finished", { bubbles: true, detail: { state } }));
  }
}

for (const root of document.querySelectorAll('[data-module="app-live"][data-url]')) new Live(root);
