/**
 * What the frame is made of, without what it does: the build writes it into the document, so that it is seen before the
 * script is there, and the script takes the same elements over.
 */

import type { ComponentChildren } from "preact";
import { Button } from "./ui/button";
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

/** The name of the page at an address of the menu. */
export const nameOf = (here: string): string | undefined =>
  GROUPS.flatMap(([, entries]) => entries).find(([address]) => address === here)?.[1];

interface ShellProps {
  /** The address whose entry is marked; none in the document, which is the same at every address. */
  here?: string;
  isOpen?: boolean;
  onMenu?: () => void;
  foot: ComponentChildren;
  children: ComponentChildren;
}

export function Shell({ here, isOpen = false, onMenu, foot, children }: ShellProps) {
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
        <Button kind="quiet" icon={isOpen ? "close" : "menu"} label="Menu" onClick={onMenu} />
      </header>
      {isOpen && <button type="button" class="shade" aria-label="Close the menu" onClick={onMenu} />}
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
        {foot}
      </aside>
      <main class="content" id="content" tabIndex={-1}>
        {children}
      </main>
    </div>
  );
}

interface FootProps {
  /** Who is signed in; unknown until the gateway has said it. */
  name?: string;
  account?: string;
  choice?: ComponentChildren;
  theme: string;
  themeIcon: IconName;
  onTheme?: () => void;
  isLeaving?: boolean;
  onLeave?: () => void;
}

const UNKNOWN = "\u00a0";

export function ShellFoot({ name, account, choice, theme, themeIcon, onTheme, isLeaving, onLeave }: FootProps) {
  return (
    <div class="foot">
      {choice}
      <div class="who">
        <span>
          <span class="cut">{name ?? UNKNOWN}</span>
          <span class="cut small faint">{account ?? UNKNOWN}</span>
        </span>
        <Button kind="quiet" icon={themeIcon} label={`Theme: ${theme}`} onClick={onTheme} />
        <Button kind="quiet" icon="out" label="Sign out" isBusy={isLeaving} onClick={onLeave} />
      </div>
    </div>
  );
}
