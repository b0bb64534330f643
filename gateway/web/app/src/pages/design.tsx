import { useMemo, useState } from "preact/hooks";
import { PageHead } from "../frame";
import { Button } from "../ui/button";
import { Card } from "../ui/card";
import { Chart, Legend } from "../ui/chart";
import type { Series } from "../ui/chart_options";
import { Code } from "../ui/copy";
import { Dialog } from "../ui/dialog";
import { Check, Input, Select } from "../ui/field";
import { Amount, Change, Count, Stat } from "../ui/figures";
import { Meter } from "../ui/meter";
import { Segmented } from "../ui/segmented";
import { Badge, Bones, Empty, Notice } from "../ui/states";

const COLOURS = [
  "ground",
  "surface",
  "sunken",
  "line",
  "ink",
  "soft",
  "faint",
  "accent",
  "good",
  "warn",
  "bad",
  "spent",
  "saved",
  "third",
  "before",
];
const WAVE = Array.from({ length: 30 }, (_, day) => 40 + 25 * Math.sin(day / 3) + (day % 7) * 3);
const FIRST_S = Date.UTC(2026, 0, 1) / 1_000;
const DAY_S = 86_400;

/** The design system on one page: what every view is made of. */
export function Design() {
  return (
    <>
      <PageHead title="Design system">Tokens and parts of which every view is made. Nothing here is real.</PageHead>
      <div class="stack">
        <Card title="Colour" note="A colour means something: spent, saved, failed, before.">
          <div class="figures">
            {COLOURS.map((name) => (
              <div key={name} class="row">
                <i
                  style={{
                    width: "1.75rem",
                    height: "1.75rem",
                    borderRadius: "8px",
                    background: `var(--${name})`,
                    border: "1px solid var(--line)",
                  }}
                />
                <span class="mono small">{name}</span>
              </div>
            ))}
          </div>
        </Card>
        <Card title="Type" note="Geist; figures are tabular.">
          <div class="stack tight">
            <h1>Title, 20 px</h1>
            <h2>Heading, 14 px</h2>
            <p>Text, 14 px. What is read in passing is written in plain words.</p>
            <p class="small faint">Small, 12 px</p>
          </div>
        </Card>
        <Actions />
        <Card title="Figures">
          <div class="figures">
            <Stat name="Spent" dot="spent" note={<Change by={0.124} isGood={false} />}>
              <Amount usd="1284.120000000001" />
            </Stat>
            <Stat name="Saved" dot="saved" note={<Change by={0.31} isGood />}>
              <Amount usd="0.000005550000" />
            </Stat>
            <Stat name="Requests" note="in 30 days">
              <Count of={1_284_120} />
            </Stat>
          </div>
        </Card>
        <Sample />
        <Card title="Meter" note="Spent and held of what may be spent.">
          <div class="stack">
            <Meter label="Calm" spent={0.42} held={0.1} />
            <Meter label="Close" spent={0.8} held={0.05} />
            <Meter label="Over" spent={1} />
          </div>
        </Card>
        <div class="split">
          <Card title="Empty">
            <Empty title="Nothing here yet">
              <p>What would be here, and how to get it.</p>
            </Empty>
          </Card>
          <Card title="Loading">
            <div data-sample>
              <Bones />
            </div>
          </Card>
        </div>
      </div>
    </>
  );
}

function Actions() {
  const [choice, setChoice] = useState("30d");
  const [name, setName] = useState("");
  const [isOpen, setOpen] = useState(false);
  const [isChecked, setChecked] = useState(true);
  return (
    <Card title="Actions and fields">
      <div class="stack">
        <div class="row">
          <Button kind="main">Main</Button>
          <Button onClick={() => setOpen(true)}>Open a dialog</Button>
          <Button kind="quiet">Quiet</Button>
          <Button kind="danger">Danger</Button>
          <Button isBusy>Busy</Button>
          <Segmented
            label="Period"
            value={choice}
            options={[
              ["7d", "7 days"],
              ["30d", "30 days"],
            ]}
            onChange={setChoice}
          />
        </div>
        <div class="figures">
          <Input label="Name" placeholder="production" hint="What helps stands below." value={name} onInput={setName} />
          <Select label="Every" value="month" options={[["month", "A month"]]} onChange={() => undefined} />
        </div>
        <Check label="A choice" checked={isChecked} onChange={setChecked} />
        <div class="row">
          <Badge>plain</Badge>
          <Badge tone="accent">live</Badge>
          <Badge tone="good">closed</Badge>
          <Badge tone="warn">half open</Badge>
          <Badge tone="bad">open</Badge>
        </div>
        <Notice tone="warn" icon="warning">
          Something to know before going on.
        </Notice>
        <Code text="export OPENAI_BASE_URL=http://127.0.0.1:8080/v1" />
      </div>
      {isOpen && (
        <Dialog title="A dialog" onClose={() => setOpen(false)}>
          <p class="soft">Focus stays inside; Escape closes.</p>
        </Dialog>
      )}
    </Card>
  );
}

function Sample() {
  const [at, series] = useMemo((): [number[], Series[]] => {
    const show = (values: number[]) => (index: number) => String(Math.round(values[index] ?? 0));
    const saved = WAVE.map((value) => value * 0.4);
    return [
      WAVE.map((_, day) => FIRST_S + day * DAY_S),
      [
        { name: "Spent", colour: "spent", kind: "bar", values: WAVE, shown: show(WAVE) },
        { name: "Saved", colour: "saved", kind: "bar", values: saved, shown: show(saved) },
      ],
    ];
  }, []);
  return (
    <Card title="Chart" aside={<Legend series={series} />}>
      <Chart
        label="A sample"
        at={at}
        series={series}
        isStacked
        showAt={(moment) => new Date(moment * 1_000).toISOString().slice(0, 10)}
        showAxis={String}
      />
    </Card>
  );
}
