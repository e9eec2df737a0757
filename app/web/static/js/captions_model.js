/* Captions as data. A track is an array of frozen captions in order of time; each change gives a new array, so that undoing
   is going back to an older one. Nothing here knows a page. */

const SHORTEST = 1000;
const NEW_MS = 2000;
const MOST_STEPS = 500;
let lastId = 0;

/** A caption as the server sends it, with an id of this page. */
export function made(cue) {
  return Object.freeze({ speaker: "", checked: false, confidence: 1, doubtful: [], ...cue, id: (lastId += 1) });
}

/** A caption as the server takes it. */
export function plain({ start_ms, end_ms, text, speaker, checked, confidence, doubtful }) {
  return { start_ms, end_ms, text, speaker, checked, confidence, doubtful };
}

/** Equal for captions that are kept alike, whatever their ids. */
export const alike = (cue) => JSON.stringify(plain(cue));

/** Captions from the server; those that `cues` has too keep their ids, and so their rows on the page. */
export function withIdsOf(cues, fromServer) {
  const known = new Map(cues.map((cue) => [alike(cue), cue]));
  return fromServer.map((cue) => known.get(alike(cue)) ?? made(cue));
}

const changed = (cue, change) => Object.freeze({ ...cue, ...change });
const sorted = (cues) => cues.map((cue, n) => [cue, n]).sort(([a, n], [b, m]) => a.start_ms - b.start_ms || n - m).map(([cue]) => cue);
const within = (cue, text) => cue.doubtful.filter((word) => text.split(/\s+/).includes(word));

/** The caption with that id changed. What a person changes in words or times is to be checked again, unless the change is
    that it was. */
export function edit(cues, id, change) {
  return sorted(cues.map((cue) => (cue.id === id ? changed(cue, { checked: false, note: "", ...change }) : cue)));
}

/** Two captions in place of one, parted at a place in its text. Times are shared out by length. The same when there is nothing
    on one side. */
export function split(cues, id, at) {
  const cue = cues.find((one) => one.id === id);
  const [first, second] = [cue.text.slice(0, at).trim(), cue.text.slice(at).trim()];
  if (!first || !second || cue.end_ms - cue.start_ms < 2) return cues;
  const share = first.length / (first.length + second.length);
  const middle = Math.min(cue.end_ms - 1, Math.max(cue.start_ms + 1, Math.round(cue.start_ms + (cue.end_ms - cue.start_ms) * share)));
  const upper = changed(cue, { text: first, end_ms: middle, checked: false, doubtful: within(cue, first) });
  const lower = made({ ...cue, text: second, start_ms: middle, checked: false, doubtful: within(cue, second) });
  return cues.flatMap((one) => (one.id === id ? [upper, lower] : [one]));
}

/** A caption and the next as one. */
export function merge(cues, id) {
  const at = cues.findIndex((cue) => cue.id === id);
  const next = cues[at + 1];
  if (at < 0 || !next) return cues;
  const cue = cues[at];
  const parts = [cue.text, next.text].filter(Boolean);
  const text = parts.join(parts.every((part) => !part.includes("\n")) ? "\n" : " ");
  const one = changed(cue, {
    text,
    end_ms: Math.max(cue.end_ms, next.end_ms),
    speaker: cue.speaker || next.speaker,
    checked: false,
    confidence: Math.min(cue.confidence, next.confidence),
    doubtful: [...new Set([...cue.doubtful, ...next.doubtful])],
  });
  return [...cues.slice(0, at), one, ...cues.slice(at + 2)];
}

/** A new caption without text behind one, or at a moment when there is none to stand behind. Gives [captions, its id]. */
export function insert(cues, id, moment = 0) {
  const at = cues.findIndex((cue) => cue.id === id);
  const start = at < 0 ? Math.round(moment) : cues[at].end_ms;
  const room = (cues[at + 1]?.start_ms ?? Infinity) - start;
  const cue = made({ start_ms: start, end_ms: start + (room >= SHORTEST ? Math.min(NEW_MS, room) : SHORTEST), text: "" });
  return [sorted([...cues.slice(0, at + 1), cue, ...cues.slice(at + 1)]), cue.id];
}

export function remove(cues, id) {
  return cues.filter((cue) => cue.id !== id);
}

/** All captions, or those from one on, later by some milliseconds; earlier when negative, but never before the beginning. */
export function shift(cues, ms, fromId = null) {
  const from = fromId === null ? 0 : cues.findIndex((cue) => cue.id === fromId);
  return sorted(cues.map((cue, n) => {
    if (n < from || ms === 0) return cue;
    const start = Math.max(0, cue.start_ms + ms);
    return changed(cue, { start_ms: start, end_ms: Math.max(start + 1, cue.end_ms + ms) });
  }));
}

/** What to look for, as a pattern. */
export function pattern(words, { matchCase = false, wholeWords = false } = {}) {
  const escaped = words.replace(/[.*+?^${}()|[\]\\]/g, "\\$&").replace(/\s+/g, "\\s+");
  return new RegExp(wholeWords ? `(?<![\\p{L}\\p{N}])${escaped}(?![\\p{L}\\p{N}])` : escaped, matchCase ? "gu" : "giu");
}

/** Every place replaced. Gives [captions, number of places]. */
export function replaceAll(cues, words, by, options) {
  if (!words.trim()) return [cues, 0];
  let count = 0;
  const found = pattern(words, options);
  const done = cues.map((cue) => {
    let here = 0;
    const text = cue.text.replace(found, () => { here += 1; return by; });
    count += here;
    return here ? changed(cue, { text, checked: false }) : cue;
  });
  return count ? [done, count] : [cues, 0];
}

/** Undo and redo. Changes with the same name that follow each other quickly are one step: typing is not undone by letters. */
export class History {
  #past = [];
  #future = [];
  #name = "";
  #at = 0;

  constructor(state) {
    this.state = state;
  }

  do(state, name, { together = false, now = Date.now() } = {}) {
    if (state === this.state) return;
    const goesOn = together && name === this.#name && now - this.#at < 1000 && this.#future.length === 0;
    if (!goesOn) this.#past = [...this.#past, this.state].slice(-MOST_STEPS);
    this.#future = [];
    [this.state, this.#name, this.#at] = [state, name, now];
  }

  undo() {
    if (!this.#past.length) return false;
    this.#future.push(this.state);
    this.state = this.#past.pop();
    this.#name = "";
    return true;
  }

  redo() {
    if (!this.#future.length) return false;
    this.#past.push(this.state);
    this.state = this.#future.pop();
    this.#name = "";
    return true;
  }
}
