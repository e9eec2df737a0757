/* The caption editor. The page works without it, as a form; with it captions are edited beside the film, by keyboard, and save
   themselves. All shortcuts need Alt or Ctrl, so no single letter does anything by itself. */
import { Conflict } from "./captions_conflict.js";
import { edit, History, insert, made, merge, pattern, plain, remove, replaceAll, shift, split, withIdsOf } from "./captions_model.js";
import { Rows } from "./captions_rows.js";
import { Saver } from "./captions_saving.js";
import { Wave } from "./captions_wave.js";
import { call } from "./http.js";
import { alsoKeep, cameBack, keep } from "./typed.js";

const KEPT_AS = "captions";

export class Editor {
  #stopAt = Infinity;
  #currentId = null;

  constructor(root, draft) {
    this.root = root;
    this.api = root.dataset.api;
    this.video = root.querySelector("video");
    const cues = draft.cues.map(made);
    this.history = new History(cues);
    this.rows = new Rows(this.part("rows"), root.querySelector("template"), {
      change: (id, field, value) => this.#change(id, field, value),
      tick: (id, on) => this.#do(edit(this.cues, id, { checked: on }), "tick"),
      play: (id) => this.play(id),
      current: (id) => { this.#currentId = id; this.#sayCurrent(); },
    });
    this.saver = new Saver(this.api, draft.revision, cues, () => this.cues, {
      state: (kind, sentence) => this.#showState(kind, sentence),
      problems: (problems, sent) => this.showProblems(problems, sent),
      conflict: (error) => this.conflict.open(error),
    });
    this.conflict = new Conflict(this.part("conflict"), this);
    this.#bindTools();
    this.#bindKeys();
    this.#bindVideo();
    this.#bindLeaving();
    const peaks = root.dataset.peaks;
    if (peaks && this.video) this.wave = new Wave(this.part("wave"), this.video, peaks, () => this.cues);
    this.#draw();
    this.showProblems(draft.problems, cues);
    this.#takeBack(draft);
  }

  part(name) {
    return this.root.querySelector(`[data-part="${name}"]`);
  }

  get cues() {
    return this.history.state;
  }

  get current() {
    return this.cues.find((cue) => cue.id === this.#currentId) ?? null;
  }

  say(sentence) {
    this.part("said").textContent = sentence;
  }

  // -- changing -------------------------------------------------------------------------------------------------------

  #do(cues, name, options) {
    if (cues === this.cues) return false;
    this.history.do(cues, name, options);
    this.#draw();
    this.saver.changed();
    return true;
  }

  /** Put other captions into the editor, as one step that can be undone. */
  replace(cues, name) {
    this.#do(cues, name);
  }

  #change(id, field, value) {
    const cue = this.cues.find((one) => one.id === id);
    if (!cue) return; // a field that lost the focus because its caption is gone
    if (field === "start_ms" || field === "end_ms") {
      const times = { start_ms: cue.start_ms, end_ms: cue.end_ms, [field]: value };
      if (Number.isNaN(value) || times.end_ms <= times.start_ms) {
        this.say(Number.isNaN(value) ? "That is no time. Write it like 1:23.450." : "A caption must end after it begins.");
        this.rows.show(this.cues.map((one) => (one.id === id ? { ...one } : one))); // what was there before
        return;
      }
    }
    if (cue[field] !== value) this.#do(edit(this.cues, id, { [field]: value }), `${field} ${id}`, { together: true });
  }

  #draw() {
    this.rows.show(this.cues);
    this.wave?.draw();
    const checked = this.cues.filter((cue) => cue.checked).length;
    const count = this.cues.length;
    this.part("progress-text").textContent = `${checked} of ${count} captions checked`;
    [this.part("progress").max, this.part("progress").value] = [count || 1, checked];
    if (!this.current) this.#currentId = this.cues[0]?.id ?? null;
    this.#sayCurrent();
  }

  #sayCurrent() {
    const index = this.cues.findIndex((cue) => cue.id === this.#currentId);
    this.part("current").textContent = index < 0 ? "There are no captions" : `Caption ${index + 1} of ${this.cues.length}`;
  }

  showProblems(problems, cues) {
    const byId = new Map();
    for (const { index, sentence, kind } of problems) {
      const id = cues[index]?.id;
      if (id === undefined) continue;
      if (!byId.has(id)) byId.set(id, []);
      byId.get(id).push({ sentence, strong: kind === "name" });
    }
    this.rows.showProblems(byId);
    const count = this.cues.filter((cue) => this.rows.hasProblem(cue)).length;
    this.part("problem-count").textContent = count === 0 ? "No problems" : count === 1 ? "1 caption to look at" : `${count} captions to look at`;
  }

  #showState(kind, sentence) {
    const place = this.part("saved");
    place.dataset.state = kind;
    if (place.textContent !== sentence) place.textContent = sentence;
    this.part("sign-in").hidden = kind !== "ended";
    this.part("choose").hidden = kind !== "conflict";
  }

  showState(kind, sentence) {
    this.#showState(kind, sentence);
  }

  // -- moving ---------------------------------------------------------------------------------------------------------

  focus(id, name = "text", from = null, to = from) {
    const field = this.rows.field(id, name);
    if (!field) return;
    field.focus({ preventScroll: true });
    field.scrollIntoView({ block: "nearest" });
    if (from !== null) field.setSelectionRange(from, to);
  }

  #step(by) {
    const { name } = this.rows.focused() ?? { name: "text" };
    const at = this.cues.findIndex((cue) => cue.id === this.#currentId);
    const next = this.cues[at + by];
    if (next) this.focus(next.id, name);
    return Boolean(next);
  }

  #nextProblem() {
    const at = this.cues.findIndex((cue) => cue.id === this.#currentId);
    const inTurn = [...this.cues.slice(at + 1), ...this.cues.slice(0, at + 1)];
    const found = inTurn.find((cue) => this.rows.hasProblem(cue));
    if (found) this.focus(found.id);
    else this.say("Nothing more to look at.");
  }

  // -- playing --------------------------------------------------------------------------------------------------------

  async play(id) {
    const cue = this.cues.find((one) => one.id === id);
    if (!cue || !this.video) return;
    this.video.currentTime = cue.start_ms / 1000;
    this.#stopAt = cue.end_ms / 1000;
    await this.#start();
  }

  async #start() {
    try {
      await this.video.play();
    } catch (error) {
      if (error.name !== "AbortError") console.info("Playback did not start:", error);
    }
  }

  #bindVideo() {
    this.video?.addEventListener("timeupdate", () => {
      const ms = this.video.currentTime * 1000;
      if (this.video.currentTime >= this.#stopAt) {
        this.video.pause();
        this.#stopAt = Infinity;
      }
      const now = this.cues.find((cue) => cue.start_ms <= ms && ms < cue.end_ms);
      this.rows.mark(now?.id ?? null);
      this.part("now").textContent = now?.text ?? "";
    });
  }

  #goOnPlaying() {
    this.#stopAt = Infinity;
    if (this.video?.paused) this.#start();
    else this.video?.pause();
  }

  // -- tools ----------------------------------------------------------------------------------------------------------

  tools = {
    play: () => this.play(this.#currentId),
    "play-on": () => this.#goOnPlaying(),
    "check-next": () => this.#checkAndGoOn(),
    "next-problem": () => this.#nextProblem(),
    previous: () => this.#step(-1),
    next: () => this.#step(1),
    split: () => this.#split(),
    merge: () => this.#merge(),
    insert: () => this.#insert(),
    delete: () => this.#delete(),
    undo: () => this.#go("undo"),
    redo: () => this.#go("redo"),
    "starts-here": () => this.#setToNow("start_ms"),
    "ends-here": () => this.#setToNow("end_ms"),
    fix: () => this.#fix(),
    "check-all": () => this.#do(this.cues.map((cue) => (cue.checked ? cue : Object.freeze({ ...cue, checked: true }))), "check all"),
    find: () => this.#openPanel("find-panel", "find-words"),
    shift: () => this.#openPanel("shift-panel", "shift-ms"),
    "find-next": () => this.#findNext(),
    "replace-all": () => this.#replaceAll(),
    "shift-from": () => this.#shift(this.#currentId),
    "shift-all": () => this.#shift(null),
    help: () => this.part("help").showModal(),
    choose: () => this.conflict.show(),
  };

  #bindTools() {
    this.root.addEventListener("click", (event) => {
      const tool = event.target.closest("[data-tool]");
      if (tool) this.tools[tool.dataset.tool]?.();
    });
  }

  #checkAndGoOn() {
    const cue = this.current;
    if (!cue) return;
    this.#do(edit(this.cues, cue.id, { checked: true }), "tick");
    const at = this.cues.findIndex((one) => one.id === cue.id);
    if (at + 1 < this.cues.length) {
      this.focus(this.cues[at + 1].id);
      this.play(this.cues[at + 1].id);
    } else this.say("That was the last caption.");
  }

  #split() {
    const field = this.rows.field(this.#currentId);
    if (!field) return;
    const cues = split(this.cues, this.#currentId, field.selectionStart);
    if (!this.#do(cues, "split")) return this.say("Put the cursor inside the text, where the second caption is to begin.");
    this.focus(this.cues[this.cues.findIndex((cue) => cue.id === this.#currentId) + 1].id, "text", 0);
  }

  #merge() {
    const at = this.current?.text.length ?? 0;
    if (this.#do(merge(this.cues, this.#currentId), "merge")) this.focus(this.#currentId, "text", at);
    else this.say("There is no next caption to join with.");
  }

  #insert() {
    const [cues, id] = insert(this.cues, this.#currentId, (this.video?.currentTime ?? 0) * 1000);
    this.#do(cues, "insert");
    this.focus(id);
  }

  #delete() {
    const at = this.cues.findIndex((cue) => cue.id === this.#currentId);
    if (at < 0) return;
    this.#do(remove(this.cues, this.#currentId), "delete");
    const near = this.cues[Math.min(at, this.cues.length - 1)];
    if (near) this.focus(near.id);
    this.say(`Caption ${at + 1} is deleted.`);
  }

  #go(way) {
    const before = this.cues;
    const was = this.rows.focused();
    if (!this.history[way]()) return this.say(way === "undo" ? "There is nothing to undo." : "There is nothing to redo.");
    this.#draw();
    this.saver.changed();
    const known = new Set(before);
    const touched = this.cues.find((cue) => !known.has(cue)) ?? null;
    if (touched) this.focus(touched.id, was?.id === touched.id ? was.name : "text");
    else if (was && !this.rows.field(was.id) && this.cues.length) this.focus(this.cues[0].id);
  }

  #setToNow(field) {
    if (this.current && this.video) this.#change(this.#currentId, field, Math.round(this.video.currentTime * 1000));
  }

  async #fix() {
    const asked = this.cues;
    try {
      const { cues } = await call("POST", `${this.api}/fix`, { cues: asked.map(plain) });
      if (asked !== this.cues) return this.say("You went on writing meanwhile. Choose it again.");
      const fixed = withIdsOf(asked, cues);
      if (fixed.length === asked.length && fixed.every((cue, n) => cue === asked[n])) return this.say("Timing and lines keep the rules already.");
      this.#do(fixed, "fix");
      this.say("Timing and lines are fixed. No word was changed. You can undo it.");
    } catch (error) {
      this.say(`Timing and lines were not fixed: ${error.message}`);
    }
  }

  #openPanel(name, field) {
    const panel = this.part(name);
    panel.hidden = !panel.hidden;
    this.root.querySelector(`[aria-controls="${panel.id}"]`)?.setAttribute("aria-expanded", String(!panel.hidden));
    if (!panel.hidden) this.part(field).focus();
  }

  get #search() {
    return {
      words: this.part("find-words").value.trim(),
      options: { matchCase: this.part("match-case").checked, wholeWords: this.part("whole-words").checked },
    };
  }

  #findNext() {
    const { words, options } = this.#search;
    if (!words) return this.say("Say what to find.");
    const found = pattern(words, options);
    const at = this.cues.findIndex((cue) => cue.id === this.#currentId);
    const turn = [...this.cues.slice(at + 1), ...this.cues.slice(0, at + 1)];
    for (const cue of turn) {
      found.lastIndex = 0;
      const hit = found.exec(cue.text);
      if (hit) return this.focus(cue.id, "text", hit.index, hit.index + hit[0].length);
    }
    this.say("It is in no caption.");
  }

  #replaceAll() {
    const { words, options } = this.#search;
    if (!words) return this.say("Say what to find.");
    const [cues, count] = replaceAll(this.cues, words, this.part("replace-by").value, options);
    this.#do(cues, "replace");
    this.say(count === 0 ? "It is in no caption." : `Replaced in ${count} ${count === 1 ? "place" : "places"}.`);
  }

  #shift(fromId) {
    const ms = Number(this.part("shift-ms").value);
    if (!Number.isInteger(ms) || ms === 0) return this.say("Say by how many thousandths of a second, for example 250 or -250.");
    this.#do(shift(this.cues, ms, fromId), "shift");
    this.say(`Moved by ${ms} thousandths of a second.`);
  }

  // -- keys -----------------------------------------------------------------------------------------------------------

  #bindKeys() {
    const keys = {
      "Alt+KeyP": "play", "Alt+KeyO": "play-on", "Ctrl+Enter": "check-next", "Alt+KeyN": "next-problem", "Alt+ArrowUp": "previous",
      "Alt+ArrowDown": "next", "Alt+KeyS": "split", "Alt+KeyM": "merge", "Alt+KeyI": "insert", "Alt+Backspace": "delete",
      "Ctrl+KeyZ": "undo", "Ctrl+KeyY": "redo", "Ctrl+Shift+KeyZ": "redo", "Alt+BracketLeft": "starts-here",
      "Alt+BracketRight": "ends-here", "Alt+KeyR": "find", "Alt+KeyT": "shift", "Alt+KeyH": "help",
    };
    document.addEventListener("keydown", (event) => {
      if (event.isComposing || document.querySelector("dialog[open]") || !(event.altKey || event.ctrlKey || event.metaKey)) return;
      const ctrl = event.ctrlKey || event.metaKey;
      if (ctrl && event.altKey) return; // AltGr writes characters
      const name = `${ctrl ? "Ctrl+" : ""}${event.altKey ? "Alt+" : ""}${event.shiftKey ? "Shift+" : ""}${event.code}`;
      const tool = keys[name];
      const elsewhere = event.target.closest("input, textarea, select") && !this.root.contains(event.target);
      if (!tool || elsewhere || (ctrl && this.#ownUndo(event.target, tool))) return;
      event.preventDefault();
      this.tools[tool]();
    });
    for (const dialog of this.root.querySelectorAll("dialog")) {
      dialog.querySelector("[data-close]")?.addEventListener("click", () => dialog.close());
    }
  }

  /** The fields of the panels undo by themselves. */
  #ownUndo(target, tool) {
    return (tool === "undo" || tool === "redo") && target.matches("input, textarea") && !target.closest("[data-cue]");
  }

  // -- leaving --------------------------------------------------------------------------------------------------------

  #bindLeaving() {
    alsoKeep(KEPT_AS, () => this.#unsaved());
    window.addEventListener("beforeunload", (event) => {
      if (this.saver.dirty && !this.leaving) event.preventDefault();
    });
    window.addEventListener("pagehide", () => { if (this.saver.dirty && !this.signingOut) keep(true); });
    this.part("sign-in").addEventListener("click", () => { keep(true); this.leaving = true; });
    document.addEventListener("submit", (event) => this.#saveFirst(event));
  }

  #unsaved() {
    if (!this.saver.dirty) return null;
    return { revision: this.saver.revision, base: this.saver.base.map(plain), cues: this.cues.map(plain) };
  }

  /** The forms of this page speak of what is saved, so it is saved before one is sent. */
  async #saveFirst(event) {
    const form = event.target;
    const revision = form.elements.namedItem("revision");
    this.signingOut = new URL(form.action, location.href).pathname === "/sign-out";
    if (event.defaultPrevented || (!revision && !this.signingOut)) return;
    if (this.saver.dirty) {
      event.preventDefault();
      if (await this.saver.flush()) form.requestSubmit(event.submitter);
    } else if (revision) revision.value = String(this.saver.revision);
  }

  /** What was not saved when this page was left before: put back, and saved with the same care as if one had never left. */
  #takeBack(draft) {
    const kept = cameBack(KEPT_AS);
    if (!kept) return this.#showState("saved", "All changes are saved");
    const base = kept.revision === draft.revision ? this.saver.base : kept.base.map(made);
    this.saver.goOnFrom(kept.revision, base);
    this.#do(withIdsOf(this.cues, kept.cues), "back");
    this.say("What you had not saved when you left this page is back.");
    this.saver.flush();
  }
}

async function start() {
  for (const root of document.querySelectorAll('[data-module="app-captions"]')) {
    try {
      const draft = await call("GET", root.dataset.api);
      root.querySelector('[data-part="plain"]').remove();
      for (const part of root.querySelectorAll("[data-scripted]")) part.hidden = false;
      for (const part of document.querySelectorAll("[data-plain]")) part.remove(); // true when the page was made, not for long
      root.vignetteEditor = new Editor(root, draft);
      root.dataset.ready = "yes";
    } catch (error) {
      console.warn("The editor could not start; the form below works without it:", error);
    }
  }
}

await start();
