/** What stands around every page: where one can go, who one is, and whether the gateway is there. */

import type { ComponentChildren } from "preact";
import { useEffect, useState } from "preact/hooks";
import { AWAY, call } from "./core/api";
import { useDeed, useLoaded } from "./core/loading";
import { usePlace } from "./core/router";
import { enter, signOut, useSession } from "./core/session";
import { applyTheme, readTheme, THEMES, type Theme } from "./core/theme";
import { Button } from "./ui/button";
import { Select } from "./ui/field";
import { Icon, type IconName, Logo } from "./ui/icon";

type Entry = readonly [address: string, text: string, icon: IconName];
const GROUPS: readonly (readonly [title: string, entries: readonly Entry[]])[] = [
  [
    "",
    [
      ["/", "Overview", "overview"],
      ["/requests", "Requests", "requests"],
      ["/cache", "Cache", "cache"],
    ],
  ],
  [
    "Control",
    [
      ["/projects", "Projects and keys", "keys"],
      ["/budgets", "Budgets and limits", "budgets"],
      ["/providers", "Providers", "providers"],
      ["/models", "Models and prices", "models"],
    ],
  ],
  [
    "Account",
    [
      ["/team", "Team", "team"],
      ["/settings", "Settings", "settings"],
    ],
  ],
];
const THEME_ICONS: Record<Theme, IconName> = { system: "screen", light: "sun", dark: "moon" };

export function Frame({ path, children }: { path: string; children: ComponentChildren }) {
  const [isOpen, setOpen] = useState(false);
  const place = usePlace();
  const here = path === "/overview" ? "/" : path;
  useEffect(() => setOpen(false), [place.path]);
  useEffect(() => {
    const name = GROUPS.flatMap(([, entries]) => entries).find(([address]) => address === here)?.[1];
    document.title = name ? `${name} · WatchLLM` : "WatchLLM";
  }, [here]);
  useEffect(() => {
    if (!isOpen) return;
    const close = (event: KeyboardEvent) => event.key === "Escape" && setOpen(false);
    addEventListener("keydown", close);
    return () => removeEventListener("keydown", close);
  }, [isOpen]);

  return (
    <div class="frame">
      <a class="button skip" href="#content">
        Skip to the content
      </a>
      <header class="topbar">
        <a class="brand" href="/">
          <Logo />
          WatchLLM
        </a>
        <Button kind="quiet" icon={isOpen ? "close" : "menu"} label="Menu" onClick={() => setOpen(!isOpen)} />
      </header>
      {isOpen && <button type="button" class="shade" aria-label="Close the menu" onClick={() => setOpen(false)} />}
      <aside class={`side ${isOpen ? "open" : ""}`} aria-label="Menu">
        <a class="brand" href="/">
          <Logo />
          WatchLLM
        </a>
        <nav aria-label="Pages">
          {GROUPS.map(([title, entries]) => (
            <div key={title}>
              {title && <h2>{title}</h2>}
              {entries.map(([address, text, icon]) => (
                <a key={address} href={address} aria-current={address === here ? "page" : undefined}>
                  <Icon name={icon} />
                  {text}
                </a>
              ))}
            </div>
          ))}
        </nav>
        <Foot />
      </aside>
      <main class="content" id="content" tabIndex={-1}>
        <Connection />
        {children}
      </main>
    </div>
  );
}

function Foot() {
  const { profile, account } = useSession();
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
  return (
    <div class="foot">
      {profile.accounts.length > 1 && (
        <Select
          label="Account"
          isBare
          value={account.id}
          options={profile.accounts.map((each) => [each.id, each.name] as const)}
          onChange={(id) => void switching.run(id)}
        />
      )}
      <div class="who">
        <span>
          <span class="cut" style={{ display: "block", fontWeight: "500" }}>
            {profile.full_name || profile.email}
          </span>
          <span class="cut small faint" style={{ display: "block" }}>
            {account.name} · {account.role}
          </span>
        </span>
        <Button kind="quiet" icon={THEME_ICONS[theme]} label={`Theme: ${theme}`} onClick={change} />
        <Button kind="quiet" icon="out" label="Sign out" isBusy={leaving.isBusy} onClick={() => void leaving.run()} />
      </div>
    </div>
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
