/* SHA-256 of a Blob in base64: by the browser where it may, else by a worker of ours. */

let worker;
let next = 0;
const waiting = new Map();

function byWorker(blob) {
  if (!worker) {
    worker = new Worker(new URL("./upload_worker.js", import.meta.url), { type: "module" });
    worker.addEventListener("message", ({ data }) => {
      const { resolve, reject } = waiting.get(data.id);
      waiting.delete(data.id);
      if (data.error) reject(new Error(data.error));
      else resolve(data.digest);
    });
  }
  return new Promise((resolve, reject) => {
    waiting.set(++next, { resolve, reject });
    worker.postMessage({ id: next, blob });
  });
}

/** Throws where the file can no longer be read (moved, changed, or on a drive that was taken out). */
export async function sha256Base64(blob) {
  const digest = globalThis.crypto?.subtle
    ? new Uint8Array(await crypto.subtle.digest("SHA-256", await blob.arrayBuffer()))
    : await byWorker(blob);
  return btoa(String.fromCharCode(...digest));
}
