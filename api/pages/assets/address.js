// The query of the page's URL.

export const query = () => new URLSearchParams(location.search);

/** Change parameters of the URL; null removes one. `write` is `pushState` for a new entry in the history. */
export function setQuery(changes, write = "replaceState") {
  const changed = query();
  for (const [name, value] of Object.entries(changes)) {
    if (value === null) changed.delete(name);
    else changed.set(name, value);
  }
  history[write](null, "", changed.size ? `?${changed}` : location.pathname);
}

/** The parameters of the range in the URL, for links to pages that have one as well. */
export function rangeQuery() {
  const given = query();
  return { from: given.get("from"), to: given.get("to") };
}
