/* Every page: marks that scripts run, starts the design system's components and the modules the page asks for. */
import { initAll } from "../vendor/nhsuk/nhsuk-frontend.js";

document.body.classList.add("js-enabled", "nhsuk-frontend-supported");
initAll();

if (document.querySelector('meta[name="session-ends"]')) {
  const { watchSession } = await import("./session.js");
  watchSession();
}
