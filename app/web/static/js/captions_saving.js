/* Saving what stands in the editor: by itself, one request at a time, never over somebody else's work, and never in silence
   when it cannot. */
import { ApiError, call } from "./http.js";
import { plain } from "./captions_model.js";
import { keep } from "./typed.js";

const WAIT_MS = 1000;
const LONGEST_WAIT_MS = 30_000;

export class Saver {
  #timer;
  #sending = null;
  #tries = 0;
  #stopped = false;
  #apart = false;

  /** `get` gives the captions as they are now. `handlers`: state(kind, sentence), problems(list, captions),
      conflict(error). */
  constructor(api, revision, base, get, handlers) {
    Object.assign(this, { api, revision, base, get, handlers });
    window.addEventListener("online", () => { if (this.dirty) this.#soon(0); });
  }

  get dirty() {
    return this.get() !== this.base;
  }

  /** Something has changed: save it in a moment. */
  changed() {
    if (!this.dirty) return;
    if (!this.#stopped) this.handlers.state("waiting", "Not saved yet");
    this.#soon(WAIT_MS);
  }

  /** Save now; true when all that stands in the editor is saved. */
  async flush() {
    clearTimeout(this.#timer);
    if (this.#sending) await this.#sending;
    if (this.dirty && !this.#stopped) await (this.#sending = this.#send());
    return !this.dirty;
  }

  /** After a conflict: what stands in the editor was made from this revision. `apart` keeps what is saved as a version. */
  goOnFrom(revision, base, { apart = false } = {}) {
    [this.revision, this.base, this.#apart, this.#stopped] = [revision, base, apart, false];
    if (this.dirty) this.#soon(0);
    else this.handlers.state("saved", this.#savedAt());
  }

  #soon(ms) {
    if (this.#stopped) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.flush(), ms);
  }

  #savedAt() {
    return `Saved ${new Date().toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" })}`;
  }

  async #send() {
    const sent = this.get();
    this.handlers.state("sending", "Saving…");
    try {
      const answer = await call("PUT", this.api, { revision: this.revision, cues: sent.map(plain), apart: this.#apart });
      [this.revision, this.base, this.#apart, this.#tries] = [answer.revision, sent, false, 0];
      this.handlers.problems(answer.problems, sent);
      if (!this.dirty) this.handlers.state("saved", this.#savedAt());
    } catch (error) {
      this.#failed(error);
      return;
    } finally {
      this.#sending = null;
    }
    if (this.dirty) this.#soon(WAIT_MS);
  }

  #failed(error) {
    if (!(error instanceof ApiError)) throw error;
    if (error.code === "edited-meanwhile") {
      this.#stopped = true;
      this.handlers.conflict(error);
    } else if (error.status === 401 || error.code === "csrf") {
      this.#stopped = true;
      keep(true);
      this.handlers.state("ended", "Not saved: you have been signed out. What you changed is kept in this tab.");
    } else if (error.status === 0 || error.status === 429 || error.status >= 500) {
      this.#tries += 1;
      this.handlers.state("failed", `Not saved: ${lower(error.message)} Your changes are kept here and sent again.`);
      this.#soon(Math.max(error.retryAfter * 1000, Math.min(LONGEST_WAIT_MS, WAIT_MS * 2 ** this.#tries)));
    } else {
      this.handlers.state("failed", `Not saved: ${lower(error.message)}`); // the next change tries again
    }
  }
}

const lower = (sentence) => sentence.charAt(0).toLowerCase() + sentence.slice(1);
