/** Plot: one uPlot canvas that follows its element's width, its values and the theme. */
import { createContext } from "preact";
import { useContext, useEffect, useLayoutEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import type { Theme } from "../parts/use-theme.ts";

export type Values = (number | null)[];

/** A canvas knows no custom properties: it is drawn anew when the theme changes. */
export const ThemeContext = createContext<Theme>("light");

export interface PlotProps {
  times: number[];
  values: Values;
  /** The options of a plot of this size, in these colours. Asked once for each size and theme. */
  options: (size: { width: number; height: number }, colours: Colours) => uPlot.Options;
  class: string;
}

export interface Colours {
  line: string;
  fill: string;
  text: string;
  grid: string;
}

export function Plot({ times, values, options, class: name }: PlotProps) {
  const theme = useContext(ThemeContext);
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot>(undefined);
  const data: uPlot.AlignedData = [times, values];

  useLayoutEffect(() => {
    const element = box.current;
    if (element === null) return undefined;
    const size = { width: element.clientWidth, height: element.clientHeight };
    plot.current = new uPlot(options(size, coloursOf(element)), data, element);
    const observer = new ResizeObserver(() => {
      const { clientWidth: width, clientHeight: height } = element;
      if (width !== plot.current?.width || height !== plot.current.height) plot.current?.setSize({ width, height });
    });
    observer.observe(element);
    return () => {
      observer.disconnect();
      plot.current?.destroy();
    };
  }, [theme]);

  useEffect(() => plot.current?.setData(data), [times, values]);

  return <div ref={box} class={name} />;
}

/** As the theme's custom properties resolve at this element. */
function coloursOf(element: HTMLElement): Colours {
  const probe = document.createElement("span");
  element.append(probe);
  const read = (property: string): string => {
    probe.style.color = `var(${property})`;
    return getComputedStyle(probe).color;
  };
  const colours = {
    line: read("--plot-line"),
    fill: read("--plot-fill"),
    text: read("--text-muted"),
    grid: read("--line-soft"),
  };
  probe.remove();
  return colours;
}
