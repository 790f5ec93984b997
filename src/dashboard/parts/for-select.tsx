/** How long a switch holds. */
const spans: readonly [value: string, title: string][] = [
  ["", ""],
  ["1m", "for 1 min"],
  ["5m", "for 5 min"],
  ["15m", "for 15 min"],
  ["1h", "for 1 h"],
  ["8h", "for 8 h"],
  ["1d", "for 1 d"],
];

export interface ForSelectProps {
  /** What is being done for that long. */
  label: string;
  /** A duration such as `5m`; empty: until it is undone. */
  value: string;
  onChange: (value: string) => void;
  /** What the choice without an end is called; absent: there must be an end. */
  endless?: string;
}

export function ForSelect({ label, value, onChange, endless }: ForSelectProps) {
  return (
    <select
      aria-label={`${label}: for how long`}
      value={value}
      onChange={(event) => onChange(event.currentTarget.value)}
    >
      {spans
        .filter(([span]) => endless !== undefined || span !== "")
        .map(([span, title]) => (
          <option key={span} value={span}>
            {span === "" ? endless : title}
          </option>
        ))}
    </select>
  );
}
