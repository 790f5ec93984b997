/** Selection: which dead letters of a list are picked, one by one, as a range, or all. Pure. */

export interface Selection {
  picked: ReadonlySet<number>;
  /** Where a range begins: the last one that was picked by itself. */
  anchor?: number;
}

export const nothing: Selection = { picked: new Set() };

export function toggle({ picked }: Selection, sequence: number): Selection {
  const next = new Set(picked);
  if (!next.delete(sequence)) next.add(sequence);
  return { picked: next, anchor: sequence };
}

/** Everything between the anchor and this one, both included, in the order of the list; this one alone where there is no anchor. */
export function range(selection: Selection, sequence: number, order: readonly number[]): Selection {
  const from = selection.anchor === undefined ? -1 : order.indexOf(selection.anchor);
  const to = order.indexOf(sequence);
  if (from < 0 || to < 0) return toggle(selection, sequence);
  const between = order.slice(Math.min(from, to), Math.max(from, to) + 1);
  return {
    picked: new Set([...selection.picked, ...between]),
    ...(selection.anchor !== undefined && { anchor: selection.anchor }),
  };
}

export function all(sequences: readonly number[]): Selection {
  return { picked: new Set(sequences) };
}
