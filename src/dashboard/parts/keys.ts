/** Keys: single letters and `g a` pairs that do something, unless somebody is typing or a dialog is open. */
import { useLayoutEffect, useRef } from "preact/hooks";

export type Keys = Record<string, (event: KeyboardEvent) => void>;

/** How long the second key of a pair may take. */
const pairMs = 1_500;
let first: { key: string; atMs: number } | undefined;

/**
 * While its component stands; no two that stand together name the same key.
 * @param keys `KeyboardEvent.key`, or two of them with a blank between.
 */
export function useKeys(keys: Keys): void {
  const current = useRef(keys);
  current.current = keys;
  // With what is seen, and not some time after it.
  useLayoutEffect(() => {
    const entry = (): Keys => current.current;
    stack.push(entry);
    return () => void stack.splice(stack.indexOf(entry), 1);
  }, []);
}

const stack: (() => Keys)[] = [];

/** Call once, at the start. */
export function listenForKeys(): void {
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    if (event.key === "Shift" || isTyping(event.target) || document.querySelector("dialog[open]") !== null) return;
    const now = performance.now();
    const pair = first !== undefined && now - first.atMs < pairMs ? `${first.key} ${event.key}` : undefined;
    first = undefined;
    const handler = (pair === undefined ? undefined : find(pair)) ?? find(event.key);
    if (handler !== undefined) {
      event.preventDefault();
      handler(event);
    } else if (stack.some((keys) => Object.keys(keys()).some((one) => one.startsWith(`${event.key} `)))) {
      first = { key: event.key, atMs: now };
    }
  });
}

function find(key: string): ((event: KeyboardEvent) => void) | undefined {
  return stack.find((keys) => keys()[key] !== undefined)?.()[key];
}

function isTyping(target: EventTarget | null): boolean {
  if (target instanceof HTMLInputElement) return target.type !== "checkbox" && target.type !== "radio";
  return target instanceof HTMLTextAreaElement || target instanceof HTMLSelectElement;
}

/** Moves the focus among the elements marked `data-step`, from the one whose row has it, or the open one; to the first where there is neither. */
export function step(by: 1 | -1): HTMLElement | undefined {
  const stops = [...document.querySelectorAll<HTMLElement>("[data-step]")];
  const focused = stops.findIndex((stop) => stop.closest("tr")?.contains(document.activeElement));
  // The open one, where the focus is in what it shows.
  const at = focused < 0 ? stops.findIndex((stop) => stop.ariaCurrent === "true") : focused;
  const next = stops[at < 0 ? 0 : Math.min(stops.length - 1, Math.max(0, at + by))];
  next?.focus();
  next?.scrollIntoView({ block: "nearest" });
  return next;
}
