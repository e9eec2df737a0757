/* Every page: marks that scripts run, starts the design system's components and the modules the page asks for. */
import { initAll } from "../vendor/nhsuk/nhsuk-frontend.js";
import { settle } from "./typed.js";

document.body.classList.add("js-enabled", "nhsuk-frontend-supported");
initAll();
settle();

if (document.querySelector('meta[name="session-ends"]')) {
  const { watchSession } = await import("./session.js");
  watchSession();
}

/* The header counts which links fit when the window changes, but not when only the text does. */
const link = document.querySelector(".nhsuk-header__navigation-item");
if (link) {
  let width = link.offsetWidth;
  new ResizeObserver(() => {
    if (link.offsetWidth === width) return;
    width = link.offsetWidth;
    window.dispatchEvent(new Event("resize"));
  }).observe(link);
}
