/** Environment variables: one that is empty or blank counts as unset. */

/** The value, or undefined where there is nothing but blanks. */
export function filled(value: string | undefined): string | undefined {
  return value?.trim() ? value : undefined;
}
