/* Buttons that copy an address: shown where the browser lets a page copy, and told to those who do not see it happen. */

for (const root of document.querySelectorAll('[data-module="app-copy-links"]')) {
  if (!navigator.clipboard) continue; // only on https and localhost; the address is beside the button as a link
  const told = root.querySelector('[data-part="copied"]');
  for (const button of root.querySelectorAll("[data-copy]")) {
    button.hidden = false;
    button.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(button.dataset.copy);
        told.textContent = "The link was copied.";
        button.dataset.copied = "";
      } catch {
        told.textContent = "The link could not be copied. Copy the address of the time beside it instead.";
      }
    });
  }
}
