/** How a chart looks: thin axes, quiet lines, colours of the theme as it is now. */

import uPlot from "uplot";
import { colourOf } from "../core/theme";

export interface Series {
  name: string;
  /** A colour token's name. */
  colour: string;
  values: (number | null)[];
  kind: "bar" | "line" | "area" | "dashed";
  /** As the tooltip and the table have it, by position: exact where the values are rounded to pixels. */
  shown: (index: number) => string;
}

export interface ChartProps {
  label: string;
  /** Moments in seconds, or other numbers where `isPlain`. */
  at: number[];
  series: Series[];
  /** Bars stand on each other, the first one at the bottom. */
  isStacked?: boolean;
  isPlain?: boolean;
  /** A place on the axis below that is pointed out. */
  mark?: number;
  height?: number;
  showAt: (at: number) => string;
  showAxis: (value: number) => string;
  /** A span was drawn with the pointer, in the units of `at`. */
  onZoom?: (from: number, to: number) => void;
}

const FONT = '12px "Geist Variable", system-ui, sans-serif';
const AXIS_WIDTH = 52;
const SMALLEST_ZOOM_PX = 8;

type OnTip = (tip: { index: number; left: number } | null) => void;

export function chartOptions(
  props: ChartProps,
  width: number,
  height: number,
  onTip: OnTip,
  markOf: () => number | undefined,
): uPlot.Options {
  const faint = colourOf("faint");
  const line = colourOf("line");
  const accent = colourOf("accent");
  return {
    width,
    height,
    padding: [12, 16, 0, 0],
    legend: { show: false },
    scales: {
      x: { time: !props.isPlain, ...(hasBars(props) ? { range: withRoomForBars } : {}) },
      y: { range: (_, __, highest) => [0, highest > 0 ? highest * 1.08 : 1] },
    },
    axes: [
      {
        stroke: faint,
        font: FONT,
        grid: { show: false },
        ticks: { show: false },
        space: 64,
        gap: 6,
        size: 26,
        values: (_, values) =>
          props.isPlain
            ? values.map(props.showAt)
            : values.map((moment) => axisMoment(moment, values[1]! - values[0]!)),
      },
      {
        stroke: faint,
        font: FONT,
        grid: { stroke: line, width: 1 },
        ticks: { show: false },
        size: AXIS_WIDTH,
        gap: 8,
        space: 48,
        values: (_, values) => values.map(props.showAxis),
      },
    ],
    cursor: {
      y: false,
      points: { show: !hasBars(props), size: 7 },
      drag: { x: props.onZoom !== undefined, y: false, setScale: false },
    },
    // A later series paints over an earlier one: the first, which a stack stands on, comes last.
    series: [{}, ...props.series.map(seriesOptions).reverse()],
    hooks: {
      draw: [(plot) => drawMark(plot, markOf(), accent)],
      setCursor: [
        (plot) => {
          const { idx, left } = plot.cursor;
          const isOver = idx !== null && idx !== undefined && left !== undefined && left >= 0;
          onTip(isOver ? { index: idx, left: plot.over.offsetLeft + left } : null);
        },
      ],
      setSelect: [
        (plot) => {
          const { left, width: drawn } = plot.select;
          if (drawn >= SMALLEST_ZOOM_PX) props.onZoom?.(plot.posToVal(left, "x"), plot.posToVal(left + drawn, "x"));
          plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
        },
      ],
    },
  };
}

const CLOCK = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const DAY = new Intl.DateTimeFormat(undefined, { month: "short", day: "numeric" });
const DAY_S = 86_400;

/** The time of day where the marks are closer than a day, but the day itself where one begins. */
function axisMoment(moment: number, apart: number): string {
  const date = new Date(moment * 1_000);
  const isMidnight = date.getHours() === 0 && date.getMinutes() === 0;
  return apart >= DAY_S || isMidnight ? DAY.format(date) : CLOCK.format(date);
}

const hasBars = (props: ChartProps): boolean => props.series.some((each) => each.kind === "bar");

/** Values with nothing on either side, which would be lines of no length. */
function lonely({ values }: Series): number[] {
  const isThere = (index: number) => values[index] !== null && values[index] !== undefined;
  return values.flatMap((_, index) => (isThere(index) && !isThere(index - 1) && !isThere(index + 1) ? [index] : []));
}

/** The first and the last bar are as wide as the others. */
function withRoomForBars(plot: uPlot, lowest: number, highest: number): [number, number] {
  const moments = plot.data[0];
  const half = moments.length > 1 ? (moments[1]! - moments[0]!) / 2 : 1_800;
  return [lowest - half, highest + half];
}

function seriesOptions(series: Series): uPlot.Series {
  const colour = colourOf(series.colour);
  const common = {
    label: series.name,
    stroke: colour,
    width: 2,
    points: { show: series.kind !== "bar", size: 5, fill: colour, filter: () => lonely(series) },
    spanGaps: false,
  };
  switch (series.kind) {
    case "bar":
      return { ...common, fill: colour, width: 0, paths: uPlot.paths.bars!({ size: [0.72, 40], radius: 0.12 }) };
    case "area":
      return { ...common, fill: colour.replace("rgb(", "rgba(").replace(")", ", 0.12)"), paths: uPlot.paths.linear!() };
    case "dashed":
      return { ...common, width: 1.5, dash: [4, 4] };
    default:
      return common;
  }
}

/** A thin upright line; what lies beyond the axis is not pointed out. */
function drawMark(plot: uPlot, mark: number | undefined, colour: string): void {
  const { min = 0, max = 0 } = plot.scales.x!;
  if (mark === undefined || mark < min || mark > max) return;
  const left = Math.round(plot.valToPos(mark, "x", true));
  const { top, height } = plot.bbox;
  plot.ctx.save();
  plot.ctx.strokeStyle = colour;
  plot.ctx.lineWidth = 2;
  plot.ctx.beginPath();
  plot.ctx.moveTo(left, top);
  plot.ctx.lineTo(left, top + height);
  plot.ctx.stroke();
  plot.ctx.restore();
}
