/* Warns two minutes before the session ends. Anything typed stays on the page: only the cookie is renewed. */

const WARN_BEFORE_MS = 2 * 60 * 1000;
const LONGEST_TIMER_MS = 2 ** 31 - 1; // browsers let longer ones go off at once
const KEEP_ALIVE = "/api/v1/session";

function dialogElement() {
  const dialog = document.createElement("dialog");
  dialog.className = "app-dialog";
  dialog.setAttribute("aria-labelledby", "session-title");
  dialog.innerHTML = `
    <h2 class="nhsuk-heading-m" id="session-title">You will soon be signed out</h2>
    <p data-words></p>
    <div class="app-dialog__actions">
      <button type="button" class="nhsuk-button" data-stay>Stay signed in</button>
      <button type="button" class="nhsuk-button nhsuk-button--secondary" data-close>Close</button>
    </div>`;
  return dialog;
}

/** The moment in milliseconds at which the session ends, as the page or the last answer says; NaN when unknown. */
export function sessionEnds() {
  return Date.parse(document.querySelector('meta[name="session-ends"]')?.content ?? "");
}

/** Start watching. `keepAlive` renews the session and gives the new end as an ISO string. */
export function watchSession({ keepAlive = renew, warnBefore = WARN_BEFORE_MS } = {}) {
  const dialog = dialogElement();
  const words = dialog.querySelector("[data-words]");
  const stay = dialog.querySelector("[data-stay]");
  let timer;

  const plan = () => {
    clearTimeout(timer);
    const ends = sessionEnds();
    if (Number.isNaN(ends)) return;
    timer = setTimeout(warn, Math.min(LONGEST_TIMER_MS, Math.max(0, ends - Date.now() - warnBefore)));
  };
  const warn = () => {
    const left = sessionEnds() - Date.now();
    if (left <= 0) return ended();
    if (left > warnBefore + 1000) return plan(); // renewed in another way meanwhile, or too far off for one timer
    words.textContent = "For security, you will be signed out in 2 minutes. What you have typed on this page is still here.";
    stay.hidden = false;
    if (!dialog.open) dialog.showModal();
    timer = setTimeout(ended, left);
  };
  const ended = () => {
    words.textContent = "You have been signed out. What you have typed is still on this page: sign in in another tab, then send it.";
    stay.hidden = true;
    if (!dialog.open) dialog.showModal();
  };

  stay.addEventListener("click", async () => {
    try {
      const ends = await keepAlive();
      document.querySelector('meta[name="session-ends"]').content = ends;
      dialog.close();
      plan();
    } catch {
      ended();
    }
  });
  dialog.querySelector("[data-close]").addEventListener("click", () => dialog.close());
  document.body.append(dialog);
  plan();
}

async function renew() {
  const token = document.querySelector('meta[name="csrf-token"]')?.content ?? "";
  const answer = await fetch(KEEP_ALIVE, { method: "POST", headers: { "X-CSRF-Token": token, Accept: "application/json" } });
  if (!answer.ok) throw new Error(`The session could not be renewed: ${answer.status}`);
  return (await answer.json()).ends;
}
