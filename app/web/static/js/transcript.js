/* The transcript: follows the recording unless the reader scrolls, steers it by its buttons, and can be searched. */

const LEAVES_FOLLOWING = ["wheel", "touchmove"];
const SCROLL_KEYS = ["ArrowUp", "ArrowDown", "PageUp", "PageDown", "Home", "End", " "];

class Transcript {
  #matches = [];
  #at = -1;
  #current = -1;
  #following = true;

  constructor(root) {
    this.root = root;
    this.cues = [...root.querySelectorAll(".app-transcript__cue")];
    this.starts = this.cues.map((cue) => Number(cue.dataset.start));
    this.list = this.part("cues");
    this.player = document.getElementById(root.dataset.player);
    this.video = this.player?.querySelector("video");
    this.part("tools").hidden = false;
    root.classList.add("app-transcript--ready");
    this.#bindSearch();
    if (this.video) this.#bindVideo();
  }

  part(name) {
    return this.root.querySelector(`[data-part="${name}"]`);
  }

  // -- following ----------------------------------------------------------------------------------------------------

  #bindVideo() {
    for (const event of ["timeupdate", "seeking"]) this.video.addEventListener(event, () => this.#follow());
    for (const cue of this.cues) {
      cue.addEventListener("click", () => {
        this.#setFollowing(true);
        // A hair inside the cue, so that rounding never lands in the one before.
        const at = Number(cue.dataset.start) + 0.01;
        const player = this.player.vignettePlayer;
        if (player) player.seek(at);
        else this.video.currentTime = at;
      });
    }
    for (const event of LEAVES_FOLLOWING) this.list.addEventListener(event, () => this.#setFollowing(false), { passive: true });
    this.list.addEventListener("keydown", (e) => { if (SCROLL_KEYS.includes(e.key) && e.target === this.list) this.#setFollowing(false); });
    // The scrollbar is the list's own ground; a press on a cue is a press on a button.
    this.list.addEventListener("pointerdown", (e) => { if (e.target === this.list) this.#setFollowing(false); });
    this.part("follow").addEventListener("click", () => {
      this.#setFollowing(true);
      this.#show(this.cues[this.#current]);
      this.cues[this.#current]?.focus({ preventScroll: true }); // the button pressed is about to go
    });
  }

  #setFollowing(following) {
    this.#following = following;
    this.part("follow").hidden = following;
  }

  /** Index of the cue at a second: the last that has begun and not ended, else -1. */
  #cueAt(seconds) {
    let low = 0;
    let high = this.starts.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.starts[middle] <= seconds) low = middle + 1;
      else high = middle;
    }
    const index = low - 1;
    return index >= 0 && seconds < Number(this.cues[index].dataset.end) ? index : -1;
  }

  #follow() {
    const index = this.#cueAt(this.video.currentTime);
    if (index === this.#current || index < 0) return; // between cues the last one stays marked
    this.cues[this.#current]?.removeAttribute("aria-current");
    this.#current = index;
    this.cues[index].setAttribute("aria-current", "true");
    if (this.#following) this.#show(this.cues[index]);
  }

  /** Bring a cue to the middle of the list, without moving the page. */
  #show(cue) {
    if (!cue) return;
    const [box, inner] = [this.list.getBoundingClientRect(), cue.getBoundingClientRect()];
    this.list.scrollTop += inner.top - box.top - (box.height - inner.height) / 2;
  }

  // -- searching ----------------------------------------------------------------------------------------------------

  #bindSearch() {
    const find = this.part("find");
    find.addEventListener("input", () => this.#search(find.value.trim()));
    find.addEventListener("keydown", (event) => {
      if (event.key !== "Enter") return;
      event.preventDefault();
      this.#step(event.shiftKey ? -1 : 1);
    });
    this.part("previous").addEventListener("click", () => this.#step(-1));
    this.part("next").addEventListener("click", () => this.#step(1));
    this.#search(find.value.trim());
  }

  #search(wanted) {
    const pattern = wanted && new RegExp(wanted.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"), "giu");
    this.#at = -1;
    for (const cue of this.cues) this.#mark(cue.querySelector('[data-part="words"]'), pattern);
    this.#matches = [...this.list.querySelectorAll("mark")];
    for (const name of ["previous", "next"]) this.part(name).disabled = this.#matches.length === 0;
    this.#count(wanted);
  }

  #mark(words, pattern) {
    const text = words.textContent;
    const pieces = [];
    let done = 0;
    for (const found of pattern ? text.matchAll(pattern) : []) {
      const mark = document.createElement("mark");
      mark.textContent = found[0];
      pieces.push(text.slice(done, found.index), mark);
      done = found.index + found[0].length;
    }
    if (pieces.length || words.childElementCount) words.replaceChildren(...pieces, text.slice(done));
  }

  #step(by) {
    const total = this.#matches.length;
    if (!total) return;
    this.#matches[this.#at]?.removeAttribute("data-current");
    this.#at = this.#at < 0 ? (by > 0 ? 0 : total - 1) : (this.#at + by + total) % total;
    const match = this.#matches[this.#at];
    match.setAttribute("data-current", "");
    this.#setFollowing(false);
    this.#show(match.closest("button"));
    this.#count("-");
  }

  #count(wanted) {
    const total = this.#matches.length;
    const words = total === 1 ? "1 match" : `${total} matches`;
    if (!wanted) this.part("count").textContent = "";
    else this.part("count").textContent = this.#at < 0 ? (total ? words : "No matches") : `${this.#at + 1} of ${words}`;
  }
}

for (const root of document.querySelectorAll('[data-module="app-transcript"]')) new Transcript(root);
