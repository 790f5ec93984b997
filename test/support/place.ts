/** The id that a message without one is given, in tests that do not know when it was stored. */
import { expect } from "vitest";

export function placeLike(stream: string, sequence: number): string {
  return expect.stringMatching(new RegExp(`^${stream}-${sequence}-\\d{13}$`)) as string;
}
