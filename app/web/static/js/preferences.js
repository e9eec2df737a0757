/* What a person chose once: kept in this browser only, and forgotten without harm where storage is not allowed. */

/** Read `name` over `defaults`; unknown or mistyped values fall back. */
export function readPreferences(name, defaults) {
  let kept = {};
  try {
    kept = JSON.parse(localStorage.getItem(name) ?? "{}");
  } catch (error) {
    console.info("Preferences cannot be read:", error);
  }
  return Object.fromEntries(
    Object.entries(defaults).map(([key, value]) => [key, typeof kept?.[key] === typeof value ? kept[key] : value]),
  );
}

export function writePreferences(name, values) {
  try {
    localStorage.setItem(name, JSON.stringify(values));
  } catch (error) {
    console.info("Preferences cannot be kept:", error);
  }
}
