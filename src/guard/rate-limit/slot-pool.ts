/** Slot pool: the slots that a process has reserved and not used, in blocks. It knows no clock and waits for nothing. */
import { slotWindow } from "./slots.ts";

/** A block that is over: each slot was used or went void. */
export interface EndedBlock {
  size: number;
  used: number;
  reservedMs: number;
}

interface Block extends EndedBlock {
  slots: readonly number[];
  /** The first that is neither used nor void. */
  next: number;
}

export class SlotPool {
  readonly #onEnd: (block: EndedBlock) => void;
  #blocks: Block[] = [];
  #count = 0;

  constructor(onEnd: (block: EndedBlock) => void) {
    this.#onEnd = onEnd;
  }

  /** Slots left. */
  get count(): number {
    return this.#count;
  }

  get blocks(): number {
    return this.#blocks.length;
  }

  /** @param slots ascending, all after those that are there. */
  add(slots: readonly number[], reservedMs: number): void {
    this.#blocks.push({ slots, next: 0, size: slots.length, used: 0, reservedMs });
    this.#count += slots.length;
  }

  /** The time of the `index`-th slot from now, undefined where there are fewer. */
  at(index: number): number | undefined {
    let rest = index;
    for (const { slots, next } of this.#blocks) {
      if (rest < slots.length - next) return slots[next + rest];
      rest -= slots.length - next;
    }
    return undefined;
  }

  /** How many are before a time. By halves: a fast limit has thousands, and is asked for each message. */
  before(untilMs: number): number {
    let count = 0;
    for (const { slots, next } of this.#blocks) {
      let low = next;
      let high = slots.length;
      while (low < high) {
        const middle = (low + high) >>> 1;
        if ((slots[middle] as number) < untilMs) low = middle + 1;
        else high = middle;
      }
      count += low - next;
      if (low < slots.length) break;
    }
    return count;
  }

  /** The first slot, if it may be used now, or `aheadMs` from now: it is gone then. */
  take(nowMs: number, errorMs: number, aheadMs = 0): number | undefined {
    this.expire(nowMs, errorMs);
    const atMs = this.at(0);
    if (atMs === undefined || nowMs + aheadMs < atMs + slotWindow(errorMs).fromMs) return undefined;
    this.#drop(true);
    return atMs;
  }

  /** Drops what can no longer be used. */
  expire(nowMs: number, errorMs: number): void {
    this.voidBefore(nowMs - slotWindow(errorMs).toMs);
  }

  /** Drops every slot before a time. */
  voidBefore(untilMs: number): void {
    for (let atMs = this.at(0); atMs !== undefined && atMs < untilMs; atMs = this.at(0)) this.#drop(false);
  }

  #drop(used: boolean): void {
    const block = this.#blocks[0] as Block;
    block.next += 1;
    this.#count -= 1;
    if (used) block.used += 1;
    if (block.next < block.slots.length) return;
    this.#blocks.shift();
    this.#onEnd(block);
  }
}
