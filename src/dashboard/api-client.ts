/** The API as functions: one request each, and what is refused as an error whose message is the server's own sentence. */
import type {
  ApiError,
  BulkResult,
  DeadDetail,
  DeadGroups,
  DeadPage,
  DeadQuery,
  Explanation,
  History,
  Session,
} from "../admin/api.ts";

export class Refused extends Error {
  override readonly name = "Refused";
  readonly code: string;
  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}

export const api = {
  session: () => get<Session>("session"),
  history: () => get<History>("history"),
  deadPage: (query: DeadQuery & { before?: number; limit?: number }) => get<DeadPage>("dead", query),
  deadGroups: (query: DeadQuery) => get<DeadGroups>("dead/groups", query),
  deadLetter: (sequence: number) => get<DeadDetail>(`dead/${sequence}`),
  explain: (query: { id: string; actor?: string }) => get<Explanation>("explain", query),
  bulk: (action: "requeue" | "delete", sequences: readonly number[]) =>
    post<BulkResult>(`dead/${action}`, { sequences }),
  /** `forTime`: a duration such as `5m`; without one until it is undone. */
  act: (thing: "actors" | "breakers" | "limits", name: string, action: string, forTime?: string) =>
    post<unknown>(`${thing}/${encodeURIComponent(name)}/${action}`, forTime === undefined ? {} : { for: forTime }),
};

async function get<T>(path: string, query: object = {}): Promise<T> {
  const given = Object.entries(query).filter(([, value]) => value !== undefined && value !== "");
  const search = new URLSearchParams(given.map(([name, value]) => [name, String(value)])).toString();
  return ask<T>(search === "" ? path : `${path}?${search}`, {});
}

async function post<T>(path: string, body: object): Promise<T> {
  return ask<T>(path, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
}

async function ask<T>(path: string, init: RequestInit): Promise<T> {
  let response: Response;
  try {
    response = await fetch(`api/${path}`, init);
  } catch {
    throw new Refused("UNREACHABLE", "The dashboard's server does not answer; is it still running?");
  }
  const body: unknown = await response.json().catch(() => undefined);
  if (response.ok) return body as T;
  const { code = String(response.status), message } = (body as Partial<ApiError> | undefined)?.error ?? {};
  throw new Refused(code, message ?? `The server answered ${response.status} to ${path}.`);
}
