/* The list of captions on the page: one row each, drawn anew only where its caption has changed. */
import { read, written } from "./captions_time.js";

const FIELDS = ["text", "start", "end", "speaker"];

export class Rows {
  #rows = new Map();
  #problems = new Map();

  /** `list` holds the rows, `template` is one. `handlers`: change(id, field, value), tick(id, on), play(id), current(id). */
  constructor(list, template, handlers) {
    Object.assign(this, { list, template, handlers });
    list.addEventListener("focusin", (event) => {
      const row = event.target.closest("[data-cue]");
      if (row) handlers.current(Number(row.dataset.cue));
    });
  }

  /** Make the page show these captions. */
  show(cues) {
    const wanted = new Set(cues.map((cue) => cue.id));
    for (const [id, row] of this.#rows) {
      if (wanted.has(id)) continue;
      row.element.remove();
      this.#rows.delete(id);
    }
    let before = null;
    for (const [index, cue] of cues.entries()) {
      let row = this.#rows.get(cue.id);
      if (!row) this.#rows.set(cue.id, (row = this.#make(cue.id)));
      const place = before ? before.nextElementSibling : this.list.firstElementChild;
      if (place !== row.element) this.list.insertBefore(row.element, place); // a row that stays where it is keeps the focus
      before = row.element;
      if (row.cue !== cue || row.index !== index) this.#draw(row, cue, index);
    }
  }

  /** What is wrong with captions: a map from id to sentences. */
  showProblems(problems) {
    this.#problems = problems;
    for (const row of this.#rows.values()) this.#drawProblems(row);
  }

  /** Whether a person should look at this caption. */
  hasProblem(cue) {
    return (this.#problems.get(cue.id)?.length ?? 0) > 0 || Boolean(cue.note) || (!cue.checked && unsure(cue).length > 0);
  }

  field(id, name = "text") {
    return this.#rows.get(id)?.[name] ?? null;
  }

  /** Which field of which caption has the focus. */
  focused() {
    const row = this.#rows.get(Number(document.activeElement?.closest("[data-cue]")?.dataset.cue));
    return row ? { id: row.cue.id, name: FIELDS.find((name) => row[name] === document.activeElement) ?? "text" } : null;
  }

  /** Mark the caption that is being spoken. */
  mark(id) {
    if (this.marked === id) return;
    this.#rows.get(this.marked)?.element.classList.remove("app-cue--now");
    this.#rows.get(id)?.element.classList.add("app-cue--now");
    this.marked = id;
  }

  #make(id) {
    const element = this.template.content.firstElementChild.cloneNode(true);
    element.dataset.cue = String(id);
    const part = (name) => element.querySelector(`[data-part="${name}"]`);
    const row = { element, index: -1, cue: null };
    for (const name of ["group", "number", "play", "checked", "problems", ...FIELDS]) row[name] = part(name);
    for (const name of ["checked", "problems", ...FIELDS]) {
      row[name].id = `${name}-${id}`;
      const label = element.querySelector(`[data-for="${name}"]`);
      if (label) label.htmlFor = row[name].id;
    }
    row.text.addEventListener("input", () => this.handlers.change(id, "text", row.text.value));
    row.text.addEventListener("blur", () => this.#tidy(row));
    row.speaker.addEventListener("input", () => this.handlers.change(id, "speaker", row.speaker.value));
    for (const name of ["start", "end"]) {
      row[name].addEventListener("change", () => this.handlers.change(id, `${name}_ms`, read(row[name].value)));
    }
    row.checked.addEventListener("change", () => this.handlers.tick(id, row.checked.checked));
    row.play.addEventListener("click", () => this.handlers.play(id));
    return row;
  }

  #tidy(row) {
    const text = row.text.value.split("\n").map((line) => line.trim().replace(/\s+/g, " ")).filter(Boolean).join("\n");
    if (text !== row.text.value) this.handlers.change(row.cue.id, "text", text);
  }

  #draw(row, cue, index) {
    [row.cue, row.index] = [cue, index];
    const name = `Caption ${index + 1}`;
    row.number.textContent = String(index + 1);
    row.group.setAttribute("aria-label", `${name}, ${written(cue.start_ms)}`);
    row.play.setAttribute("aria-label", `Play caption ${index + 1}`);
    put(row.text, cue.text);
    put(row.speaker, cue.speaker);
    put(row.start, written(cue.start_ms));
    put(row.end, written(cue.end_ms));
    row.checked.checked = cue.checked;
    row.element.classList.toggle("app-cue--checked", cue.checked);
    row.text.rows = Math.max(2, cue.text.split("\n").length);
    this.#drawProblems(row);
  }

  #drawProblems(row) {
    const sentences = [...(this.#problems.get(row.cue.id) ?? [])];
    if (row.cue.note) sentences.unshift({ sentence: row.cue.note, strong: true });
    const words = row.cue.checked ? [] : unsure(row.cue);
    const drawn = JSON.stringify([sentences, words]);
    if (row.drawn === drawn) return;
    row.drawn = drawn;
    row.problems.replaceChildren(...sentences.map(said), ...(words.length ? [doubt(words)] : []));
    row.problems.hidden = row.problems.childElementCount === 0;
    row.element.classList.toggle("app-cue--problem", !row.problems.hidden);
    if (row.problems.hidden) row.text.removeAttribute("aria-describedby");
    else row.text.setAttribute("aria-describedby", row.problems.id);
  }
}

/** A field that somebody is typing in keeps what they type; the cursor would jump. */
function put(field, value) {
  if (field.value !== value) field.value = value;
}

function unsure(cue) {
  const here = cue.text.split(/\s+/);
  return cue.doubtful.filter((word) => here.includes(word));
}

function said({ sentence, strong }) {
  const item = document.createElement("li");
  item.textContent = sentence;
  if (strong) item.className = "app-cue__strong";
  return item;
}

function doubt(words) {
  const item = document.createElement("li");
  item.append(words.length === 1 ? "The machine was unsure of: " : "The machine was unsure of these: ");
  words.forEach((word, n) => {
    const mark = document.createElement("mark");
    mark.textContent = word;
    item.append(n ? " " : "", mark);
  });
  return item;
}
