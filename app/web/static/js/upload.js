/* The upload form: checks the file, shows how far it is, pauses, goes on, cancels; upload_session.js does the sending. */
import { ApiError } from "./http.js";
import { FileUnreadable, Upload } from "./upload_session.js";
import { filesize, roughly } from "./words.js";

const SAY_EVERY_MS = 60_000;
const SHOW_EVERY_MS = 500;

const WORDS = {
  preparing: "Getting ready",
  sending: "Sending",
  waiting: "Waiting for the network. Sending goes on by itself when it is back.",
  paused: "Paused. What was sent so far is kept.",
  finishing: "Putting the parts together",
  done: "The file is uploaded. You can leave this page: the recording is being processed.",
  failed: "Sending stopped. What was sent so far is kept.",
  cancelled: "The upload is cancelled, and what was sent is deleted.",
};

function sentenceFor(error) {
  if (error instanceof FileUnreadable) return "The selected file could not be read. It may have been moved, changed or deleted. Select it again.";
  if (!(error instanceof ApiError)) return "Something went wrong on this page. Reload it and select the same file again.";
  if (error.status === 0) return "The connection was lost. Check your network, then try again.";
  if (error.status === 401) return "Your session has ended. Sign in again in another tab, then try again here.";
  if (error.status === 404) return "This upload is not there any more. Start it again.";
  if (error.status === 429 || error.status >= 500) return "The service does not answer at the moment. Try again in a few minutes.";
  return error.message;
}

class UploadForm {
  #upload = null;
  #saidAt = 0;
  #showing = null;
  #wakeLock = null;

  constructor(root) {
    this.root = root;
    this.form = root.closest("form");
    this.input = this.part("file");
    this.part("no-scripts").hidden = true; // not <noscript>: it must also show where this file could not be loaded
    this.part("controls").hidden = false;
    this.input.addEventListener("change", () => this.#chosen());
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#begin();
    });
    this.part("pause").addEventListener("click", () => this.#upload.pause());
    this.part("resume").addEventListener("click", () => this.#upload.resume());
    this.part("cancel").addEventListener("click", () => this.part("dialog").showModal());
    this.part("keep").addEventListener("click", () => this.part("dialog").close());
    this.part("really").addEventListener("click", () => this.#cancel());
    window.addEventListener("beforeunload", (event) => { if (this.#busy) event.preventDefault(); });
    document.addEventListener("visibilitychange", () => this.#keepAwake());
  }

  part(name) {
    return this.root.querySelector(`[data-part="${name}"]`);
  }

  get #busy() {
    return ["preparing", "sending", "waiting", "finishing"].includes(this.#upload?.state);
  }

  #field(name) {
    return this.form.elements.namedItem(name)?.value?.trim() ?? "";
  }

  // -- choosing -----------------------------------------------------------------------------------------------------

  /** The unfinished upload that this file belongs to, by name, size and time of last change. */
  #unfinished(file) {
    return [...this.root.querySelectorAll("[data-upload]")].find((entry) =>
      entry.dataset.filename === file.name && Number(entry.dataset.size) === file.size && Number(entry.dataset.lastModified) === file.lastModified);
  }

  #wrongWith(file) {
    const most = Number(this.root.dataset.maxBytes) || Infinity;
    if (!file) return "Select a file";
    if (file.size === 0) return "The selected file is empty";
    if (file.size > most) return `The selected file must be smaller than ${filesize(most)}`;
    if (file.type && !/^(video|audio)\//.test(file.type) && file.type !== "application/mxf") return "The selected file must be a video";
    return "";
  }

  #chosen() {
    const file = this.input.files[0];
    this.#showError("");
    this.part("chosen").textContent = file ? `${file.name}, ${filesize(file.size)}` : "";
    const title = this.form.elements.namedItem("title");
    if (file && title && !title.value) title.value = file.name.replace(/\.[^.]+$/, "").replaceAll("_", " ");
    if (file && !this.#wrongWith(file) && this.#unfinished(file)) this.#begin();
  }

  #showError(sentence) {
    const message = this.part("error");
    message.hidden = !sentence;
    this.part("error-text").textContent = sentence;
    this.root.querySelector(".nhsuk-form-group").classList.toggle("nhsuk-form-group--error", Boolean(sentence));
    this.input.toggleAttribute("aria-invalid", Boolean(sentence));
    if (sentence) this.input.setAttribute("aria-invalid", "true");
  }

  async #begin() {
    if (this.#busy) return;
    const file = this.input.files[0];
    const wrong = this.#wrongWith(file);
    this.#showError(wrong);
    if (wrong) {
      this.input.focus();
      return;
    }
    const details = { title: this.#field("title"), case_id: this.#field("case_id") };
    for (const name of ["recording_id", "recorded_on", "description", "language"]) if (this.#field(name)) details[name] = this.#field(name);
    const themes = new FormData(this.form).getAll("themes");
    if (themes.length) details.themes = themes;
    const entry = this.#unfinished(file);
    this.#upload = new Upload(this.root.dataset.api, file, details);
    this.#upload.addEventListener("progress", () => this.#showSoon());
    this.#upload.addEventListener("state", () => this.#showState());
    this.part("chooser").hidden = true;
    this.part("progress").hidden = false;
    this.part("name").textContent = file.name;
    this.part("progress-heading").focus();
    await this.#upload.start(entry?.dataset.upload ?? null);
  }

  async #cancel() {
    this.part("dialog").close();
    try {
      await this.#upload.cancel();
    } catch (error) {
      this.part("problem-text").textContent = sentenceFor(error);
      this.part("problem").hidden = false;
    }
  }

  // -- showing ------------------------------------------------------------------------------------------------------

  #showState() {
    const { state, error, result, links } = this.#upload;
    this.root.dataset.state = state;
    const over = ["done", "cancelled"].includes(state);
    this.part("pause").hidden = !["sending", "waiting"].includes(state);
    this.part("resume").hidden = !["paused", "failed"].includes(state);
    this.part("resume").textContent = state === "failed" ? "Try again" : "Resume";
    this.part("cancel").hidden = over || state === "finishing";
    this.part("problem").hidden = state !== "failed";
    if (state === "failed") {
      this.part("problem-text").textContent = sentenceFor(error);
      if (error instanceof ApiError && Object.keys(error.fields).length) this.#showFields(error);
      if (error instanceof FileUnreadable) this.part("resume").hidden = true;
    }
    if (state === "failed" || state === "cancelled") this.#allowAnother();
    this.part("state").textContent = WORDS[state];
    const resumed = state === "sending" && this.#upload.resumed;
    this.#say(resumed ? `Going on where it stopped: ${resumed} of ${this.#upload.total} parts were already there.` : WORDS[state]);
    if (resumed) this.#upload.resumed = 0;
    const page = result?.links?.page ?? links?.page;
    this.part("page").hidden = state !== "done" || !page;
    if (page) this.part("page-link").href = page;
    this.#showProgress();
    this.#keepAwake();
  }

  /** Refused for what stands in the form: say it where the upload is, then let the form be mended. */
  #showFields(error) {
    this.part("problem-text").textContent = [error.message, ...Object.values(error.fields)].filter(Boolean).join(" ");
  }

  #allowAnother() {
    const { error, state } = this.#upload;
    const startAgain = state === "cancelled" || error instanceof FileUnreadable
      || (error instanceof ApiError && error.status >= 400 && error.status < 500 && ![401, 408, 429].includes(error.status));
    if (!startAgain) return;
    this.part("chooser").hidden = false;
    this.part("resume").hidden = true;
    this.input.value = "";
    this.part("chosen").textContent = "";
  }

  /** Draw soon: often enough to be lively, and always once more after the last event. */
  #showSoon() {
    this.#showing ??= setTimeout(() => this.#showProgress(), SHOW_EVERY_MS);
  }

  #showProgress() {
    const upload = this.#upload;
    clearTimeout(this.#showing);
    this.#showing = null;
    const percent = upload.state === "done" ? 100 : Math.floor((upload.sent / upload.file.size) * 100) || 0;
    this.part("bar").value = percent;
    this.part("bytes").textContent = `${filesize(upload.sent)} of ${filesize(upload.file.size)} (${percent}%)`;
    const moving = upload.state === "sending" && upload.speed > 0;
    const left = moving ? `${roughly(upload.secondsLeft)} left` : "";
    this.part("speed").textContent = moving ? `${filesize(Math.round(upload.speed))} per second, ${left}` : "";
    if (moving && performance.now() - this.#saidAt > SAY_EVERY_MS) this.#say(`${percent}% sent, ${left}`);
  }

  #say(sentence) {
    this.#saidAt = performance.now();
    this.part("status").textContent = sentence;
  }

  async #keepAwake() {
    if (!("wakeLock" in navigator)) return;
    try {
      if (this.#busy && !this.#wakeLock && !document.hidden) {
        this.#wakeLock = await navigator.wakeLock.request("screen");
        this.#wakeLock.addEventListener("release", () => { this.#wakeLock = null; });
      } else if (!this.#busy) {
        await this.#wakeLock?.release();
      }
    } catch (error) {
      console.info("The screen may go to sleep:", error); // refused on low battery; sending goes on all the same
    }
  }
}

for (const root of document.querySelectorAll('[data-module="app-upload"]')) new UploadForm(root);
