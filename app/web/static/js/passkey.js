/* Making and showing passkeys: asks the server for options and the browser for the passkey, and sends it with the form. */
import { call } from "./http.js";

const WORDS = {
  waiting: "Follow what your browser asks for.",
  stopped: "The passkey was not used. Try again, or use another way.",
};

function fromBase64url(text) {
  const plain = atob(text.replace(/-/g, "+").replace(/_/g, "/"));
  return Uint8Array.from(plain, (letter) => letter.charCodeAt(0)).buffer;
}

function toBase64url(buffer) {
  const plain = Array.from(new Uint8Array(buffer), (byte) => String.fromCharCode(byte)).join("");
  return btoa(plain).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
}

/** The server's options with their byte strings as buffers. */
export function parsed(options) {
  const descriptors = (list) => (list ?? []).map((one) => ({ ...one, id: fromBase64url(one.id) }));
  const made = { ...options, challenge: fromBase64url(options.challenge) };
  if (options.user) made.user = { ...options.user, id: fromBase64url(options.user.id) };
  if (options.excludeCredentials) made.excludeCredentials = descriptors(options.excludeCredentials);
  if (options.allowCredentials) made.allowCredentials = descriptors(options.allowCredentials);
  return made;
}

/** What the browser answered, as the JSON form of Web Authentication, level 3. */
export function written(credential) {
  const response = {};
  for (const name of ["clientDataJSON", "attestationObject", "authenticatorData", "signature", "userHandle"]) {
    if (credential.response[name]) response[name] = toBase64url(credential.response[name]);
  }
  return JSON.stringify({
    id: credential.id,
    rawId: toBase64url(credential.rawId),
    type: credential.type,
    clientExtensionResults: credential.getClientExtensionResults(),
    response,
  });
}

async function perform(form) {
  const publicKey = parsed(await call("POST", form.dataset.passkeyOptions));
  const wanted = { publicKey };
  const credential =
    form.dataset.passkey === "create" ? await navigator.credentials.create(wanted) : await navigator.credentials.get(wanted);
  form.querySelector('[name="credential"]').value = written(credential);
}

function prepare(form) {
  const status = form.querySelector("[data-passkey-status]");
  if (!window.PublicKeyCredential) {
    document.querySelector("[data-passkey-missing]").hidden = false;
    form.hidden = true;
    return;
  }
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    status.textContent = WORDS.waiting;
    try {
      await perform(form);
    } catch (error) {
      // the browser's own errors are in its words; ours have a sentence
      status.textContent = error.name === "ApiError" ? error.message : WORDS.stopped;
      return;
    }
    form.submit();
  });
}

for (const form of document.querySelectorAll("form[data-passkey]")) prepare(form);
