/** Small parts: badges, headings of sortable columns, and the sentences of views that have nothing to show. */
import type { ComponentChildren } from "preact";

export type Tone = "plain" | "warn" | "bad" | "good";

/** Always with words: colour alone says nothing. */
export function Badge({
  tone = "plain",
  title,
  children,
}: {
  tone?: Tone;
  title?: string;
  children: ComponentChildren;
}) {
  return (
    <span class={`badge ${tone}`} {...(title !== undefined && { title })}>
      {children}
    </span>
  );
}

/** What stands where a list is empty. */
export function Empty({ title, children }: { title: string; children?: ComponentChildren }) {
  return (
    <div class="empty">
      <p class="empty-title">{title}</p>
      {children}
    </div>
  );
}

/** What could not be read, and the way to ask again. */
export function Problem({ error, retry }: { error: string | undefined; retry?: () => void }) {
  if (error === undefined) return null;
  return (
    <div class="problem" role="alert">
      <span>{error}</span>
      {retry !== undefined && (
        <button type="button" onClick={retry}>
          Try again
        </button>
      )}
    </div>
  );
}

/** `-depth`: by depth, the largest first. */
export type Order = string;

export interface SortHeadProps {
  title: string;
  column: string;
  order: Order;
  /** Numbers begin with the largest. */
  numeric: boolean;
  onOrder: (order: Order) => void;
  class?: string;
  explain?: string;
}

export function SortHead({ title, column, order, numeric, onOrder, class: name, explain }: SortHeadProps) {
  const by = order.replace(/^-/, "") === column;
  const descending = order.startsWith("-");
  const next = by ? (descending ? column : `-${column}`) : numeric ? `-${column}` : column;
  return (
    <th
      role="columnheader"
      scope="col"
      class={name}
      aria-sort={by ? (descending ? "descending" : "ascending") : "none"}
    >
      <button
        type="button"
        class="sort"
        onClick={() => onOrder(next)}
        {...(explain !== undefined && { title: explain })}
      >
        {!numeric && title}
        <span class="arrow" aria-hidden="true">
          {by ? (descending ? "▾" : "▴") : ""}
        </span>
        {numeric && title}
      </button>
    </th>
  );
}
