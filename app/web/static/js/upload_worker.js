/* Hashes parts away from the page, so that the page stays usable: {id, blob} in, {id, digest | error} out. */
import { sha256 } from "./sha256.js";

addEventListener("message", async ({ data: { id, blob } }) => {
  try {
    postMessage({ id, digest: sha256(await blob.arrayBuffer()) });
  } catch (error) {
    postMessage({ id, error: String(error) });
  }
});
