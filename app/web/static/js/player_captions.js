/* Captions drawn by us over the picture, because size and colour of native ones cannot be set by a page. */

export class Captions {
  #voice = "";
  #track = null;

  constructor(video, box) {
    this.video = video;
    this.box = box;
    this.tracks = [...video.textTracks].filter((t) => t.kind === "captions" || t.kind === "subtitles");
    for (const track of this.tracks) track.mode = "disabled";
    this.select(0);
  }

  get available() {
    return this.tracks.length > 0;
  }

  /** Show another language: an index of `tracks`. */
  select(index) {
    if (this.#track) {
      this.#track.removeEventListener("cuechange", this.#draw);
      this.#track.mode = "disabled";
    }
    this.#track = this.tracks[index] ?? null;
    if (!this.#track) return;
    this.#track.mode = "hidden"; // loads the cues and tells when they change, without drawing them
    this.#track.addEventListener("cuechange", this.#draw);
    this.#draw();
  }

  /** `on`, `size` and `colour` as the stylesheet knows them. */
  show({ on, size, colour }) {
    this.box.hidden = !on || !this.available;
    this.box.dataset.size = size;
    this.box.dataset.colour = colour;
  }

  #draw = () => {
    this.box.replaceChildren(...[...(this.#track?.activeCues ?? [])].map((cue) => this.#paragraph(cue)));
  };

  #paragraph(cue) {
    const words = document.createElement("span");
    words.append(cue.getCueAsHTML()); // the browser's own parser: only formatting nodes come out of it
    for (const voice of words.querySelectorAll("span[title]")) {
      if (voice.title !== this.#voice) voice.prepend(`${voice.title}: `);
      this.#voice = voice.title;
      voice.removeAttribute("title");
    }
    words.lang = this.#track.language;
    words.dir = "auto"; // right to left where the words are
    const paragraph = document.createElement("p");
    paragraph.append(words);
    return paragraph;
  }
}
