/* Warns two minutes before the session ends. Nothing typed is lost: to stay, only the cookie is renewed; after the end, what
   stands in the forms is kept until the same person has signed in again (typed.js). */
import { forget, keep } from "./typed.js";

const WARN_BEFORE_MS = 2 * 60 * 1000;
const LONGEST_TIMER_MS = 2 ** 31 - 1; // browsers let longer ones go off at once
const SESSION = "/api/v1/session";

function dialogElement() {
  const dialog = document.createElement("dialog");
  dialog.className = "app-dialog";
  dialog.setAttribute("aria-labelledby", "session-title");
  dialog.innerHTML = `
    <h2 class="nhsuk-heading-m" id="session-title">You will soon be signed out</h2>
    <p data-words></p>
    <div class="app-dialog__actions">
      <button type="button" class="nhsuk-button" data-stay>Stay signed in</button>
      <a class="nhsuk-button" data-again hidden>Sign in again</a>
      <button type="button" class="nhsuk-button nhsuk-button--secondary" data-close>Close</button>
    </div>`;
  return dialog;
}

const meta = () => document.querySelector('meta[name="session-ends"]');

/** The moment in milliseconds at which the session ends, as the page or the last answer says; NaN when unknown. */
export function sessionEnds() {
  return Date.parse(meta()?.content ?? "");
}

/** Start watching. `keepAlive` renews the session and gives the new end as an ISO string; `look` only asks for the end, and
    gives "" when the session is over and null when that cannot be known. */
export function watchSession({ keepAlive = renew, look = ask, warnBefore = WARN_BEFORE_MS } = {}) {
  const dialog = dialogElement();
  const [title, words] = [dialog.querySelector("h2"), dialog.querySelector("[data-words]")];
  const [stay, again] = [dialog.querySelector("[data-stay]"), dialog.querySelector("[data-again]")];
  let timer;

  const plan = () => {
    clearTimeout(timer);
    const ends = sessionEnds();
    if (Number.isNaN(ends)) return;
    timer = setTimeout(warn, Math.min(LONGEST_TIMER_MS, Math.max(0, ends - Date.now() - warnBefore)));
  };
  /** Whether the session goes on: another tab or a playing film may have renewed it. */
  const goesOn = async () => {
    const ends = await look();
    if (ends) meta().content = ends;
    return ends !== "" && sessionEnds() > Date.now();
  };
  const warn = async () => {
    if (sessionEnds() - Date.now() > warnBefore + 1000) return plan(); // too far off for one timer
    if (!(await goesOn())) return ended();
    const left = sessionEnds() - Date.now();
    if (left > warnBefore + 1000) return plan();
    title.textContent = "You will soon be signed out";
    words.textContent = "For security, you will be signed out in 2 minutes. What you have typed on this page is still here.";
    show(true);
    timer = setTimeout(late, left);
  };
  const late = async () => ((await goesOn()) ? (dialog.close(), plan()) : ended());
  const ended = () => {
    keep(true);
    title.textContent = "You have been signed out";
    words.textContent = "What you have typed is kept in this tab. Sign in again, and it will be back on this page.";
    again.href = `/sign-in?next=${encodeURIComponent(location.pathname + location.search)}`;
    show(false);
  };
  const show = (open) => {
    stay.hidden = !open;
    again.hidden = open;
    if (!dialog.open) dialog.showModal();
  };

  stay.addEventListener("click", async () => {
    try {
      meta().content = await keepAlive();
      dialog.close();
      plan();
    } catch (error) {
      console.info("The session could not be renewed:", error);
      ended();
    }
  });
  again.addEventListener("click", () => keep(true));
  dialog.querySelector("[data-close]").addEventListener("click", () => dialog.close());
  document.addEventListener("submit", (event) => guardSubmit(event, goesOn, ended));
  document.body.append(dialog);
  plan();
}

/** Nothing is sent into a session that is over. What is sent is kept until the next page says that it arrived. */
async function guardSubmit(event, goesOn, ended) {
  const form = event.target;
  if (form.method !== "post" || event.defaultPrevented) return;
  if (new URL(form.action, location.href).pathname === "/sign-out") return forget();
  if (!(sessionEnds() <= Date.now())) return keep(false);
  event.preventDefault();
  if (await goesOn()) form.requestSubmit(event.submitter);
  else ended();
}

async function ask() {
  try {
    const answer = await fetch(SESSION, { headers: { Accept: "application/json" }, cache: "no-store" });
    if (answer.status === 401) return "";
    return answer.ok ? (await answer.json()).ends : null;
  } catch (error) {
    console.info("Whether the session goes on is not known:", error);
    return null;
  }
}

async function renew() {
  const token = document.querySelector('meta[name="csrf-token"]')?.content ?? "";
  const answer = await fetch(SESSION, { method: "POST", headers: { "X-CSRF-Token": token, Accept: "application/json" } });
  if (!answer.ok) throw new Error(`The session could not be renewed: ${answer.status}`);
  return (await answer.json()).ends;
}
