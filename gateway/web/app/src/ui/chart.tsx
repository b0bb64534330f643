import { useEffect, useRef, useState } from "preact/hooks";
import uPlot from "uplot";
import { type ChartProps, chartOptions, type Series } from "./chart_options";

interface Tip {
  index: number;
  left: number;
}

/** A chart over time: hover or arrow keys tell the figures, a drawn span zooms; a table says the same unseen. */
export function Chart(props: ChartProps) {
  const { label, at, series, height = 260, showAt } = props;
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const [tip, setTip] = useState<Tip | null>(null);
  const latest = useRef(props);
  latest.current = props;

  useEffect(() => {
    const place = box.current!;
    const draw = () => {
      plot.current?.destroy();
      const current = latest.current;
      plot.current = new uPlot(
        chartOptions(current, place.clientWidth, height, setTip, () => latest.current.mark),
        [current.at, ...heights(current).reverse()] as uPlot.AlignedData,
        place,
      );
    };
    draw();
    const sized = new ResizeObserver(() => {
      if (plot.current && plot.current.width !== place.clientWidth)
        plot.current.setSize({ width: place.clientWidth, height });
    });
    sized.observe(place);
    const scheme = matchMedia("(prefers-color-scheme: dark)");
    addEventListener("themechange", draw);
    scheme.addEventListener("change", draw);
    return () => {
      sized.disconnect();
      removeEventListener("themechange", draw);
      scheme.removeEventListener("change", draw);
      plot.current?.destroy();
      plot.current = null;
      setTip(null);
    };
  }, [at, series, height]);
  useEffect(() => plot.current?.redraw(false), [props.mark]);

  const step = (by: number) => {
    const shown = plot.current;
    if (!shown || at.length === 0) return;
    const index = Math.min(Math.max((tip?.index ?? (by > 0 ? -1 : at.length)) + by, 0), at.length - 1);
    shown.setCursor({ left: shown.valToPos(at[index]!, "x"), top: 10 });
  };

  return (
    <figure
      class="chart"
      // biome-ignore lint/a11y/noNoninteractiveTabindex: its figures are read with the arrow keys
      tabIndex={0}
      role="group"
      aria-label={`${label}. Arrow keys tell the figures.`}
      onKeyDown={(event) => {
        if (event.key !== "ArrowLeft" && event.key !== "ArrowRight") return;
        event.preventDefault();
        step(event.key === "ArrowRight" ? 1 : -1);
      }}
    >
      <div ref={box} style={{ height: `${height}px` }} aria-hidden="true" />
      {tip && at[tip.index] !== undefined && <TipBox tip={tip} props={props} width={box.current?.clientWidth ?? 0} />}
      <div class="unseen">
        <table>
          <caption>{label}</caption>
          <thead>
            <tr>
              <th scope="col">when</th>
              {series.map((each) => (
                <th key={each.name} scope="col">
                  {each.name}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {at.map((moment, index) => (
              <tr key={moment}>
                <th scope="row">{showAt(moment)}</th>
                {series.map((each) => (
                  <td key={each.name}>{each.shown(index)}</td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </figure>
  );
}

function TipBox({ tip, props, width }: { tip: Tip; props: ChartProps; width: number }) {
  const isRight = tip.left > width / 2;
  return (
    <div
      class="tip"
      role="status"
      style={{ transform: `translate(calc(${tip.left}px ${isRight ? "- 100% - 14px" : "+ 14px"}), 6px)` }}
    >
      <strong>{props.showAt(props.at[tip.index]!)}</strong>
      {props.series.map((each) => (
        <div key={each.name}>
          <i class={each.kind === "dashed" ? "dot ring" : "dot"} style={{ color: `var(--${each.colour})` }} />
          <span>{each.name}</span>
          <span>{each.shown(tip.index)}</span>
        </div>
      ))}
    </div>
  );
}

/** What is drawn: where bars are stacked, each with those below it. */
function heights({ series, isStacked }: ChartProps): (number | null)[][] {
  if (!isStacked) return series.map((each) => each.values);
  const below = new Array<number>(series[0]?.values.length ?? 0).fill(0);
  return series.map((each) => {
    if (each.kind !== "bar") return each.values;
    return each.values.map((value, index) => {
      below[index] = (below[index] ?? 0) + (value ?? 0);
      return below[index]!;
    });
  });
}

export function Legend({ series }: { series: readonly Pick<Series, "name" | "colour" | "kind">[] }) {
  return (
    <div class="legend">
      {series.map((each) => (
        <span key={each.name}>
          <i class={each.kind === "dashed" ? "dot ring" : "dot"} style={{ color: `var(--${each.colour})` }} />
          {each.name}
        </span>
      ))}
    </div>
  );
}
