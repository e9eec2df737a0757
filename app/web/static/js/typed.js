/* What was typed survives the end of a session: kept in this tab until the same person is back on the same page.

   It is kept in sessionStorage, which ends with the tab. Never kept: passwords, files, hidden fields. Nobody else gets to
   see it: it is put back for the same person only, and thrown away for anybody else, after a day's work and on signing out. */

const KEY = "vignette.typed";
const LIFE_MS = 12 * 60 * 60 * 1000;
const SKIPPED = new Set(["password", "hidden", "file", "submit", "button", "image", "reset"]);

const others = new Map();
let back = {};

const person = () => document.querySelector('meta[name="session-person"]')?.content ?? "";

function read() {
  try {
    return JSON.parse(sessionStorage.getItem(KEY) ?? "null");
  } catch (error) {
    console.info("What was typed cannot be read:", error);
    return null;
  }
}

function write(entry) {
  try {
    if (entry) sessionStorage.setItem(KEY, JSON.stringify(entry));
    else sessionStorage.removeItem(KEY);
  } catch (error) {
    console.info("What is typed cannot be kept:", error);
  }
}

const forms = () => [...document.querySelectorAll('main form[method="post" i]')];
const fields = (form) => [...form.elements].filter((field) => field.name && !SKIPPED.has(field.type));
const isChoice = (field) => field.type === "checkbox" || field.type === "radio";

function valueOf(field) {
  if (isChoice(field)) return field.checked;
  if (field.type === "select-multiple") return [...field.selectedOptions].map((option) => option.value);
  return field.value;
}

function put(field, value) {
  if (isChoice(field)) field.checked = value;
  else if (field.type === "select-multiple") for (const option of field.options) option.selected = value.includes(option.value);
  else field.value = value;
  field.dispatchEvent(new Event("input", { bubbles: true }));
  field.dispatchEvent(new Event("change", { bubbles: true }));
}

/** What is typed elsewhere than in a form is kept alike: `give` gives it, or null when there is nothing to keep. */
export function alsoKeep(name, give) {
  others.set(name, give);
}

/** What `alsoKeep` kept under this name and that has come back to this page, once; or null. */
export function cameBack(name) {
  const found = back[name] ?? null;
  delete back[name];
  return found;
}

/** Keep what the forms of this page hold. `lost`: the session is over; otherwise only in case that it turns out to be. */
export function keep(lost) {
  if (!person()) return;
  const held = forms().map((form) => ({
    action: form.getAttribute("action") ?? "",
    fields: fields(form).map((field) => ({ name: field.name, key: isChoice(field) ? field.value : "", value: valueOf(field) })),
  }));
  write({ person: person(), path: location.pathname, at: Date.now(), lost, forms: held, others: givenByOthers() });
}

const givenByOthers = () => Object.fromEntries([...others].map(([name, give]) => [name, give()]).filter(([, held]) => held !== null));

/** Throw away what is kept. */
export function forget() {
  write(null);
}

/** On every page: put back what was lost here, and throw away what arrived or is not ours. */
export function settle() {
  const entry = read();
  if (!entry) return;
  const me = person();
  if (Date.now() - entry.at > LIFE_MS || (me && me !== entry.person)) return forget();
  if (!me) return write({ ...entry, lost: true }); // sign-in or an error: what was sent did not arrive
  if (!entry.lost) return forget();
  if (entry.path !== location.pathname) return;
  forget();
  back = entry.others ?? {};
  if (refill(entry.forms)) say();
}

function refill(kept) {
  let changed = false;
  const here = forms();
  for (const [n, { action, fields: values }] of kept.entries()) {
    const form = here[n]?.getAttribute("action") === (action || null) ? here[n] : here.find((f) => (f.getAttribute("action") ?? "") === action);
    if (!form) continue;
    const open = fields(form);
    for (const { name, key, value } of values) {
      const place = open.findIndex((field) => field.name === name && (!isChoice(field) || field.value === key));
      if (place < 0) continue;
      const [field] = open.splice(place, 1);
      if (JSON.stringify(valueOf(field)) === JSON.stringify(value)) continue;
      put(field, value);
      changed = true;
    }
  }
  return changed;
}

function say() {
  const note = document.createElement("div");
  note.className = "nhsuk-inset-text";
  note.setAttribute("role", "status");
  note.dataset.typed = "back";
  const hidden = document.createElement("span");
  hidden.className = "nhsuk-u-visually-hidden";
  hidden.textContent = "Information: ";
  const words = document.createElement("p");
  words.append(hidden, "What you had typed before you were signed out is back. Check it, then send it.");
  note.append(words);
  document.querySelector("main").prepend(note);
}
