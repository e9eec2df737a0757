/* One upload: parts straight to storage, three at a time, each with its SHA-256. Knows nothing of the page. */
import { ApiError, call, csrfToken } from "./http.js";
import { sha256Base64 } from "./hashing.js";

const AT_ONCE = 3;
const TRIES = 8;
const DIRECT_TRIES = 2; // then the part goes through the app: the storage's host may be blocked here
const STALL_MS = 45_000;
const SPEED_WINDOW_MS = 10_000;

const pause = (ms, signal) => new Promise((resolve, reject) => {
  const timer = setTimeout(resolve, ms);
  signal?.addEventListener("abort", () => { clearTimeout(timer); reject(new DOMException("Stopped", "AbortError")); }, { once: true });
});

/** Full-jitter back-off: a hundred browsers that lost the same server must not come back together. */
export const backoff = (attempt, cap = 20_000) => Math.random() * Math.min(cap, 500 * 2 ** attempt) + 200;

export class FileUnreadable extends Error {}

/** PUT with progress, because fetch cannot tell how much has left. Resolves with the status; 0: no answer. */
function put(url, headers, blob, onSent, signal) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    let stalled;
    const watch = () => {
      clearTimeout(stalled);
      stalled = setTimeout(() => request.abort(), STALL_MS);
    };
    request.open("PUT", url);
    for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value);
    request.upload.addEventListener("progress", (event) => { watch(); onSent(event.loaded); });
    request.addEventListener("loadend", () => {
      clearTimeout(stalled);
      if (signal.aborted) reject(new DOMException("Stopped", "AbortError"));
      else resolve({ status: request.status, body: request.responseText });
    });
    signal.addEventListener("abort", () => request.abort(), { once: true });
    watch();
    request.send(blob);
  });
}

/**
 * Events: `progress`; `state` (with `state`: preparing, sending, waiting, paused, finishing, done, failed, cancelled);
 * `error` is the last ApiError or FileUnreadable, `result` the answer of the last call.
 */
export class Upload extends EventTarget {
  state = "preparing";
  error = null;
  result = null;
  #flying = new Map();
  #samples = [];
  #stop = new AbortController();

  constructor(api, file, details) {
    super();
    Object.assign(this, { api, file, details });
  }

  get sent() {
    let sum = this.stored ? [...this.stored].reduce((total, n) => total + this.#size(n), 0) : 0;
    for (const bytes of this.#flying.values()) sum += bytes;
    return Math.min(sum, this.file.size);
  }

  /** Bytes per second over the last ten seconds; 0 while there is too little to go by. */
  get speed() {
    const [first, last] = [this.#samples[0], this.#samples.at(-1)];
    return first && last.at - first.at > 1000 ? ((last.sent - first.sent) * 1000) / (last.at - first.at) : 0;
  }

  get secondsLeft() {
    return this.speed > 0 ? (this.file.size - this.sent) / this.speed : null;
  }

  get total() {
    return Math.max(1, Math.ceil(this.file.size / this.partSize));
  }

  /** Begin, or go on with the upload `id` that the server still holds. */
  async start(id = null) {
    this.wanted = id;
    await this.#guarded(async () => {
      const { file } = this;
      const fresh = { ...this.details, filename: file.name, size: file.size, last_modified: file.lastModified };
      const answer = await this.#insist(() =>
        id ? call("GET", `${this.api}/${id}`) : call("POST", this.api, fresh, { signal: this.#stop.signal }));
      this.id = answer.id;
      this.recording = answer.recording;
      this.partSize = answer.part_size;
      this.door = answer.door;
      this.links = answer.links ?? {};
      this.stored = new Set(answer.parts.map((part) => part.number));
      this.resumed = this.stored.size;
      await this.#send();
    });
  }

  pause() {
    if (!["sending", "waiting"].includes(this.state)) return;
    this.#stop.abort();
    this.#flying.clear();
    this.#set("paused");
  }

  async resume() {
    if (!["paused", "failed"].includes(this.state)) return;
    this.#stop = new AbortController();
    if (this.id) await this.#guarded(() => this.#send());
    else await this.start(this.wanted);
  }

  async cancel() {
    this.#stop.abort();
    this.#set("cancelled");
    if (this.id) await call("DELETE", `${this.api}/${this.id}`);
  }

  // -----------------------------------------------------------------------------------------------------------------

  async #guarded(work) {
    const { signal } = this.#stop;
    try {
      await work();
    } catch (error) {
      if (signal.aborted) return; // paused or cancelled: the state says so already
      this.#stop.abort(); // the other parts stop too; what is stored stays stored
      this.#flying.clear();
      this.error = error;
      this.#set("failed");
    }
  }

  async #send() {
    const { signal } = this.#stop;
    this.#samples = [];
    this.#set("sending");
    const todo = [];
    for (let n = 1; n <= this.total; n++) if (!this.stored.has(n)) todo.push(n);
    const line = async () => {
      for (let n = todo.shift(); n !== undefined; n = todo.shift()) {
        await this.#part(n, signal);
        this.stored.add(n);
        this.#progress(n, null);
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, line));
    this.#set("finishing");
    this.result = await this.#insist(() => call("POST", `${this.api}/${this.id}/complete`, {}, { signal }));
    this.#set("done");
  }

  #size(n) {
    return Math.min(this.partSize, this.file.size - (n - 1) * this.partSize);
  }

  async #part(n, signal) {
    const blob = this.file.slice((n - 1) * this.partSize, n * this.partSize);
    let sha;
    try {
      sha = await sha256Base64(blob);
    } catch (error) {
      throw new FileUnreadable(String(error));
    }
    let unreached = 0;
    await this.#insist(async () => {
      const direct = this.door === "s3";
      const target = direct ? await this.#sign(n, sha, signal) : {
        url: `${this.api}/${this.id}/parts/${n}`,
        headers: { "X-Part-Sha256": sha, "X-CSRF-Token": csrfToken(), "Content-Type": "application/octet-stream" },
      };
      const { status, body } = await put(target.url, target.headers, blob, (bytes) => this.#progress(n, bytes), signal);
      if (status >= 200 && status < 300) return;
      this.#progress(n, 0);
      // Only silence tells of a blocked host; an answer, even a refusal, comes from the storage itself.
      if (direct && status === 0 && navigator.onLine && ++unreached >= DIRECT_TRIES) this.door = "proxy";
      // 403 from storage: the address expired while the part waited, and the next try asks for a new one.
      throw new ApiError(direct && status === 403 ? 503 : status, sentenceIn(body));
    });
  }

  async #sign(n, sha256, signal) {
    const { parts } = await call("POST", `${this.api}/${this.id}/parts`, { parts: [{ number: n, sha256 }] }, { signal });
    return parts[0];
  }

  /** Try until it works, as long as trying again can help. */
  async #insist(work) {
    const { signal } = this.#stop;
    for (let attempt = 0; ; attempt++) {
      try {
        return await work();
      } catch (error) {
        const passing = error instanceof ApiError && (error.status === 0 || error.status === 408 || error.status === 429 || error.status >= 500);
        if (signal.aborted || !passing || attempt + 1 >= TRIES) throw error;
        if (!navigator.onLine) {
          this.#set("waiting");
          await online(signal);
          if (this.state === "waiting") this.#set(this.stored ? "sending" : "preparing"); // the first line back says so
          attempt = 0;
        } else {
          await pause(error.retryAfter * 1000 || backoff(attempt), signal);
        }
      }
    }
  }

  #progress(n, bytes) {
    if (bytes === null) this.#flying.delete(n);
    else this.#flying.set(n, bytes);
    const now = performance.now();
    this.#samples.push({ at: now, sent: this.sent });
    while (this.#samples[0].at < now - SPEED_WINDOW_MS) this.#samples.shift();
    this.dispatchEvent(new Event("progress"));
  }

  #set(state) {
    this.state = state;
    this.dispatchEvent(new Event("state"));
  }
}

function sentenceIn(body) {
  try {
    return JSON.parse(body).detail ?? "";
  } catch {
    return ""; // storage answers XML, or nothing
  }
}

function online(signal) {
  return new Promise((resolve, reject) => {
    addEventListener("online", resolve, { once: true, signal });
    signal.addEventListener("abort", () => reject(new DOMException("Stopped", "AbortError")), { once: true });
  });
}
