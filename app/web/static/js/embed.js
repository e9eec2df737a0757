/* Signing in from a frame on another site: our own window hands the frame a code that works once. Both ends are of our
   origin, and each checks that of the other. */

function frame(button) {
  const status = document.querySelector("[data-part=status]");
  button.hidden = false;
  button.addEventListener("click", () => {
    window.open(button.dataset.window, "_blank", "popup,width=640,height=720");
    status.textContent = "Go on in the window that has opened.";
  });
  window.addEventListener("message", async (event) => {
    if (event.origin !== window.location.origin || typeof event.data?.embedCode !== "string") return;
    const answer = await fetch(button.dataset.session, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ code: event.data.embedCode }),
    });
    if (answer.ok) window.location.reload();
    else status.textContent = "That did not work. Try again.";
  });
}

function popup(element) {
  if (!window.opener) {
    element.textContent = "Go back to the page and press “Sign in to watch” there.";
    return;
  }
  window.opener.postMessage({ embedCode: element.dataset.code }, window.location.origin);
  window.close();
}

document.querySelectorAll("[data-module=app-embed-sign-in]").forEach(frame);
document.querySelectorAll("[data-module=app-embed-allow]").forEach(popup);
