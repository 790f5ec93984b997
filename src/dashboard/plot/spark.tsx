/** Spark: five minutes of one figure, as small as a word; without axes, since the number stands next to it. */
import type uPlot from "uplot";
import { historySpanMs, type Series } from "../live/history.ts";
import { Plot, type PlotProps, type Values } from "./plot.tsx";

export interface SparkProps {
  series: Series;
  times: number[];
  values: Values;
}

export function Spark({ series, times, values }: SparkProps) {
  // A line that lies on the floor all along says nothing.
  if (values.every((value) => value === null || value === 0)) return <div class="spark" />;
  const options: PlotProps["options"] = (size, { line, fill }): uPlot.Options => ({
    ...size,
    ms: 1,
    padding: [2, 0, 1, 0],
    legend: { show: false },
    cursor: { show: false },
    axes: [{ show: false }, { show: false }],
    scales: { x: { range: lastMinutes }, y: { range: (_plot, _min, max) => upFromZero(series, max) } },
    series: [{}, { stroke: line, fill, width: 1.25, points: { show: false } }],
  });
  return <Plot class={`spark ${series}`} times={times} values={values} options={options} />;
}

/** The whole span, also while there is less, so that plots beside one another show the same time. */
export function lastMinutes(_plot: uPlot, _min: number | null, max: number | null): [number, number] {
  const end = max ?? Date.now();
  return [end - historySpanMs, end];
}

/** A flat line at 0 lies on the floor; what is tiny looks tiny. */
export function upFromZero(series: Series, max: number | null): [number, number] {
  const least = series === "errorShare" ? 0.02 : 1;
  return [0, Math.max(max ?? 0, least) * 1.05];
}
