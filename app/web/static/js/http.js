/* JSON calls to our own API. */

/** An answer that was not a success. `status` is 0 when there was no answer at all. */
export class ApiError extends Error {
  constructor(status, sentence, { fields = {}, retryAfter = 0, code = "", body = {} } = {}) {
    super(sentence);
    this.name = "ApiError";
    this.status = status;
    this.fields = fields;
    this.retryAfter = retryAfter;
    this.code = code;
    this.body = body;
  }
}

export function csrfToken() {
  return document.querySelector('meta[name="csrf-token"]')?.content ?? "";
}

async function errorFrom(answer) {
  let problem = {};
  if ((answer.headers.get("Content-Type") ?? "").includes("json")) problem = await answer.json();
  const retryAfter = Number(answer.headers.get("Retry-After")) || 0;
  return new ApiError(answer.status, problem.detail || problem.title || `The server answered ${answer.status}.`, {
    fields: problem.errors ?? {},
    retryAfter,
    code: problem.code ?? "",
    body: problem,
  });
}

/** Call the API; gives the parsed answer, or null for 204. Throws ApiError. */
export async function call(method, url, body, { signal, keepalive = false } = {}) {
  const headers = { Accept: "application/json", "X-CSRF-Token": csrfToken() };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  let answer;
  try {
    answer = await fetch(url, { method, headers, body: body === undefined ? undefined : JSON.stringify(body), signal, keepalive });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(0, "The server could not be reached.");
  }
  if (!answer.ok) throw await errorFrom(answer);
  return answer.status === 204 ? null : answer.json();
}
