/* Lengths and sizes in words, as app/web/formats.py writes them on the server. */

const plural = (n, unit) => `${n} ${unit}${n === 1 ? "" : "s"}`;

/** `12:31` or `1:02:03`, rounded down. */
export function clock(seconds) {
  const whole = Math.max(0, Math.floor(seconds || 0));
  const two = (n) => String(n).padStart(2, "0");
  const [h, m, s] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  return h ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
}

/** `3 minutes 5 seconds`: every second counts, because a listener has nothing else to go by. */
export function spoken(seconds) {
  const whole = Math.max(0, Math.floor(seconds || 0));
  const parts = [[Math.floor(whole / 3600), "hour"], [Math.floor(whole / 60) % 60, "minute"], [whole % 60, "second"]];
  return parts.filter(([n]) => n).map(([n, unit]) => plural(n, unit)).join(" ") || "0 seconds";
}

/** `about 4 minutes`: a guess, so no finer than it deserves. */
export function roughly(seconds) {
  if (seconds < 60) return "less than a minute";
  const minutes = Math.round(seconds / 60);
  if (minutes < 90) return `about ${plural(minutes, "minute")}`;
  return `about ${plural(Math.round(minutes / 60), "hour")}`;
}

/** `1.4 GB`: powers of 1000. */
export function filesize(bytes) {
  if (bytes < 1000) return plural(bytes, "byte");
  let size = bytes;
  let unit = "bytes";
  for (const next of ["kB", "MB", "GB"]) {
    if (size < 1000) break;
    size /= 1000;
    unit = next;
  }
  return `${size < 10 ? size.toFixed(1) : Math.round(size)} ${unit}`;
}
