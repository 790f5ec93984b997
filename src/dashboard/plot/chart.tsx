/** Chart: five minutes of one figure, large, with axes and a line under the pointer that all charts share. */
import uPlot from "uplot";
import type { Series } from "../live/history.ts";
import { Plot, type PlotProps, type Values } from "./plot.tsx";
import { lastMinutes, upFromZero } from "./spark.tsx";

export interface ChartProps {
  title: string;
  /** As of now, in words. */
  now: string;
  series: Series;
  times: number[];
  values: Values;
  format: (value: number) => string;
}

/** Whole minutes, and whole messages. */
const minutes = [60_000, 120_000, 300_000];
const wholes = Array.from({ length: 12 }, (_, power) => [1, 2, 5].map((digit) => digit * 10 ** power)).flat();

const together = uPlot.sync("charts");

export function Chart({ title, now, series, times, values, format }: ChartProps) {
  const options: PlotProps["options"] = (size, { line, fill, text, grid }): uPlot.Options => {
    const axis = { stroke: text, font: "11px system-ui, sans-serif", ticks: { show: false } };
    return {
      ...size,
      ms: 1,
      padding: [8, 20, 0, 0],
      legend: { show: false },
      cursor: { sync: { key: together.key }, points: { size: 6 }, drag: { x: false, y: false } },
      axes: [
        {
          ...axis,
          size: 24,
          gap: 4,
          grid: { show: false },
          space: 60,
          incrs: minutes,
          values: (_plot, splits) => splits.map((at) => clock(at).slice(0, 5)),
        },
        {
          ...axis,
          size: 56,
          gap: 6,
          space: 32,
          ...(series === "depth" && { incrs: wholes }),
          grid: { stroke: grid, width: 1 },
          values: (_plot, splits) => splits.map(format),
        },
      ],
      scales: { x: { range: lastMinutes }, y: { range: (_plot, _min, max) => upFromZero(series, max) } },
      series: [{}, { stroke: line, fill, width: 1.5, points: { show: false } }],
      hooks: { setCursor: [(plot) => read(plot, format)] },
    };
  };
  return (
    <figure class="chart">
      <figcaption>
        <span class="chart-title">{title}</span>
        <span class="chart-now">{now}</span>
        <span class="chart-read" aria-hidden="true" />
      </figcaption>
      <Plot class={`plot ${series}`} times={times} values={values} options={options} />
    </figure>
  );
}

/** What lies under the pointer, into the caption; the charts that share the pointer say theirs too. */
function read(plot: uPlot, format: (value: number) => string): void {
  const target = plot.root.closest("figure")?.querySelector(".chart-read");
  if (target == null) return;
  const { idx } = plot.cursor;
  const at = idx == null ? undefined : plot.data[0][idx];
  const value = idx == null ? undefined : plot.data[1]?.[idx];
  const known = at !== undefined && value != null && (plot.cursor.left ?? -1) >= 0;
  target.textContent = known ? `${format(value)} at ${clock(at)}` : "";
}

function clock(ms: number): string {
  return new Date(ms).toLocaleTimeString("en-GB");
}
