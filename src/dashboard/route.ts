/** Route: what is looked at, as it stands in the address behind the `#`, so that a reload and a link lead to the same place. */
import { useEffect, useState } from "preact/hooks";

export const views = ["actors", "failures", "dead", "guards", "workers", "explain"] as const;
export type View = (typeof views)[number];

export interface Route {
  view: View;
  /** Of the actor or dead letter that is open. */
  name?: string;
  /** Filters and order; never empty strings. */
  params: Readonly<Record<string, string>>;
}

/** Anything that is no view leads to the actors. */
export function readRoute(hash: string): Route {
  const [path = "", query = ""] = hash.replace(/^#?\/?/, "").split("?");
  const [first, ...rest] = path.split("/");
  const view = views.find((one) => one === first) ?? "actors";
  const name = decode(rest.join("/"));
  const params = Object.fromEntries([...new URLSearchParams(query)].filter(([, value]) => value !== ""));
  return { view, params, ...(name !== "" && { name }) };
}

export function writeRoute({ view, name, params = {} }: Omit<Route, "params"> & Partial<Route>): string {
  const query = new URLSearchParams(Object.entries(params).filter(([, value]) => value !== "")).toString();
  return `#/${view}${name === undefined ? "" : `/${encodeURIComponent(name)}`}${query === "" ? "" : `?${query}`}`;
}

/** A step that the browser's back button undoes. */
export function go(to: Omit<Route, "params"> & Partial<Route>): void {
  location.hash = writeRoute(to);
}

/** A change of filters or order, which is no step. */
export function refine(route: Route, params: Record<string, string | undefined>): void {
  const merged = Object.entries({ ...route.params, ...params }).filter(([, value]) => value !== undefined);
  history.replaceState(null, "", writeRoute({ ...route, params: Object.fromEntries(merged) as Route["params"] }));
  dispatchEvent(new HashChangeEvent("hashchange"));
}

export function useRoute(): Route {
  const [route, setRoute] = useState(() => readRoute(location.hash));
  useEffect(() => {
    const read = (): void => setRoute(readRoute(location.hash));
    addEventListener("hashchange", read);
    return () => removeEventListener("hashchange", read);
  }, []);
  return route;
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
