/** What stands around every page: where one can go, who one is, and whether the gateway is there. */

import type { ComponentChildren } from "preact";
import { useEffect, useState } from "preact/hooks";
import { AWAY, call } from "./core/api";
import { useDeed, useLoaded } from "./core/loading";
import { usePlace } from "./core/router";
import { enter, signOut, useSessionIfKnown } from "./core/session";
import { applyTheme, readTheme, THEMES, type Theme } from "./core/theme";
import { nameOf, Shell, ShellFoot } from "./shell";
import { Select } from "./ui/field";
import type { IconName } from "./ui/icon";

const THEME_ICONS: Record<Theme, IconName> = { system: "screen", light: "sun", dark: "moon" };

export function Frame({ path, children }: { path: string; children: ComponentChildren }) {
  const [isOpen, setOpen] = useState(false);
  const place = usePlace();
  const here = path === "/overview" ? "/" : path;
  useEffect(() => setOpen(false), [place.path]);
  useEffect(() => {
    const name = nameOf(here);
    document.title = name ? `${name} · WatchLLM` : "WatchLLM";
  }, [here]);
  useEffect(() => {
    if (!isOpen) return;
    const close = (event: KeyboardEvent) => event.key === "Escape" && setOpen(false);
    addEventListener("keydown", close);
    return () => removeEventListener("keydown", close);
  }, [isOpen]);

  return (
    <Shell here={here} isOpen={isOpen} onMenu={() => setOpen(!isOpen)} foot={<Foot />}>
      <Connection />
      {children}
    </Shell>
  );
}

function Foot() {
  const session = useSessionIfKnown();
  const [theme, setTheme] = useState(readTheme);
  const switching = useDeed(async (accountId: string) => {
    await call("POST /api/accounts/switch", { body: { account_id: accountId } });
    enter("/");
  });
  const leaving = useDeed(signOut);
  const next = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length]!;
  const change = () => {
    applyTheme(next);
    setTheme(next);
  };
  const choice = session && session.profile.accounts.length > 1 && (
    <Select
      label="Account"
      isBare
      value={session.account.id}
      options={session.profile.accounts.map((each) => [each.id, each.name] as const)}
      onChange={(id) => void switching.run(id)}
    />
  );
  return (
    <ShellFoot
      {...(session && {
        name: session.profile.full_name || session.profile.email,
        account: `${session.account.name} · ${session.account.role}`,
      })}
      choice={choice}
      theme={theme}
      themeIcon={THEME_ICONS[theme]}
      onTheme={change}
      isLeaving={leaving.isBusy}
      onLeave={() => void leaving.run()}
    />
  );
}

const PROBE_MS = 15_000;

/** Says when the gateway is away; what is on the page is then old. */
function Connection() {
  const health = useLoaded("health", (signal) => call("GET /health", { signal }), PROBE_MS);
  const isKnownAway = health.error?.isOffline ?? false;
  useEffect(() => {
    if (isKnownAway) return;
    addEventListener(AWAY, health.reload);
    return () => removeEventListener(AWAY, health.reload);
  }, [health.reload, isKnownAway]);
  if (!isKnownAway) return null;
  return (
    <p class="banner" role="status">
      The gateway does not answer. What you see may be old; trying again.
    </p>
  );
}

/** A page's name, what it is for, and what can be done on it. */
export function PageHead({
  title,
  children,
  aside,
}: {
  title: string;
  children?: ComponentChildren;
  aside?: ComponentChildren;
}) {
  return (
    <div class="page-head">
      <div>
        <h1>{title}</h1>
        {children && <p>{children}</p>}
      </div>
      {aside && <div class="row">{aside}</div>}
    </div>
  );
}
