/* Two people at once: somebody saved since this page was opened. Nothing has been overwritten, and nothing is until the person
   here has chosen. */
import { call } from "./http.js";
import { made, plain, withIdsOf } from "./captions_model.js";

export class Conflict {
  constructor(dialog, editor) {
    Object.assign(this, { dialog, editor });
    for (const choice of ["together", "mine", "theirs"]) {
      dialog.querySelector(`[data-choice="${choice}"]`).addEventListener("click", () => this.#choose(choice));
    }
    dialog.addEventListener("close", () => { if (this.theirs) this.#wait(); });
  }

  /** A save was refused; `error.body.theirs` is what the other one saved. */
  open(error) {
    this.theirs = error.body.theirs;
    this.sentence = error.message;
    this.show();
  }

  show() {
    if (!this.theirs) return;
    this.dialog.querySelector('[data-part="conflict-words"]').textContent = this.sentence;
    const see = this.dialog.querySelector('[data-part="see-theirs"]');
    see.href = see.dataset.href.replace("/0", `/${this.theirs.version}`);
    this.editor.showState("conflict", "Not saved: somebody else has saved these captions meanwhile.");
    if (!this.dialog.open) this.dialog.showModal();
  }

  #wait() {
    this.editor.showState("conflict", "Not saved: choose first what becomes of the other captions.");
  }

  async #choose(choice) {
    const { theirs, editor } = this;
    const problem = this.dialog.querySelector('[data-part="conflict-problem"]');
    problem.textContent = "";
    try {
      if (choice === "together") await this.#together();
      else if (choice === "mine") editor.saver.goOnFrom(theirs.revision, theirs.cues.map(made), { apart: true });
      else await this.#take();
    } catch (error) {
      problem.textContent = `That did not work: ${error.message}`;
      return;
    }
    this.theirs = null;
    this.dialog.close();
  }

  async #take() {
    const draft = await call("GET", this.editor.api); // they may have saved again
    const cues = withIdsOf(this.editor.cues, draft.cues);
    this.editor.replace(cues, "theirs");
    this.editor.saver.goOnFrom(draft.revision, cues);
    this.editor.showProblems(draft.problems, cues);
    this.editor.say("These are the other captions now. Undo brings yours back.");
  }

  async #together() {
    const { editor } = this;
    const mine = editor.cues;
    const merged = await call("POST", `${editor.api}/merge`, { base: editor.saver.base.map(plain), mine: mine.map(plain) });
    const cues = withIdsOf(mine, merged.cues);
    for (const { first, last, theirs } of merged.clashes) {
      const said = theirs.map((cue) => cue.text.replaceAll("\n", " ")).join(" / ");
      const note = theirs.length ? `Both of you changed this. The other one has: “${said}”` : "The other one deleted this.";
      const at = Math.min(first, cues.length - 1);
      if (last > first) for (let n = first; n < last; n += 1) cues[n] = Object.freeze({ ...cues[n], note, checked: false });
      else if (at >= 0) cues[at] = Object.freeze({ ...cues[at], note: `You deleted something before this. The other one has: “${said}”`, checked: false });
    }
    editor.replace(cues, "together");
    editor.saver.goOnFrom(merged.revision, this.theirs.cues.map(made), { apart: true });
    const count = merged.clashes.length;
    editor.say(count === 0 ? "Both works are together now." : `Both works are together. ${count === 1 ? "1 place needs" : `${count} places need`} a look: the next problem leads there.`);
  }
}
