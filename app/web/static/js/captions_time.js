/* Times of captions as people write them: 1:23.450. */

/** Milliseconds as `1:23.450` or `1:02:03.450`. */
export function written(ms) {
  const whole = Math.max(0, Math.round(ms));
  const two = (n) => String(n).padStart(2, "0");
  const [h, m, s, t] = [Math.floor(whole / 3_600_000), Math.floor(whole / 60_000) % 60, Math.floor(whole / 1000) % 60, whole % 1000];
  const thousandths = String(t).padStart(3, "0");
  return h ? `${h}:${two(m)}:${two(s)}.${thousandths}` : `${m}:${two(s)}.${thousandths}`;
}

/** What somebody typed, in milliseconds: `83.5`, `1:23.5`, `1:02:03,450`. NaN when it is no time. */
export function read(text) {
  const found = /^\s*(?:(?:(\d{1,2}):)?(\d{1,3}):)?(\d{1,5})(?:[.,](\d{1,3}))?\s*$/.exec(text);
  if (!found) return NaN;
  const [, h, m, s, t] = found;
  if (m !== undefined && Number(s) > 59) return NaN;
  return ((Number(h ?? 0) * 60 + Number(m ?? 0)) * 60 + Number(s)) * 1000 + Number((t ?? "").padEnd(3, "0"));
}
