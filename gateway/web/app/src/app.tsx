/** Which page an address shows, and who may see it. */

import type { ComponentType } from "preact";
import { useEffect, useState } from "preact/hooks";
import type { Failure } from "./core/api";
import { useLoaded } from "./core/loading";
import { go, usePlace } from "./core/router";
import { loadSession, SessionContext } from "./core/session";
import { Frame } from "./frame";
import { Claim } from "./pages/claim";
import { Join } from "./pages/join";
import { Login } from "./pages/login";
import { Register } from "./pages/register";
import { Bones, Empty } from "./ui/states";

type Page = ComponentType<{ id: string }>;
type Load = () => Promise<Page>;

const loadOverview: Load = () => import("./pages/overview/overview").then((module) => module.Overview);

const OPEN: Record<string, ComponentType> = { "/login": Login, "/register": Register, "/claim": Claim, "/join": Join };

/** Each page is fetched when it is first asked for; the overview comes beside the frame, which does not wait for it. */
const PAGES: Record<string, Load> = {
  "/": loadOverview,
  "/overview": loadOverview,
  "/requests": () => import("./pages/requests/requests").then((module) => module.Requests),
  "/cache": () => import("./pages/cache/cache").then((module) => module.Cache),
  "/providers": () => import("./pages/providers/providers").then((module) => module.Providers),
  "/models": () => import("./pages/models/models").then((module) => module.Models),
  "/team": () => import("./pages/team/team").then((module) => module.Team),
  "/settings": () => import("./pages/settings/settings").then((module) => module.Settings),
  "/projects": () => import("./pages/projects/projects").then((module) => module.Projects),
  "/budgets": () => import("./pages/budgets/budgets").then((module) => module.Budgets),
  "/welcome": () => import("./pages/welcome/welcome").then((module) => module.Welcome),
  "/design": () => import("./pages/design").then((module) => module.Design),
};

/** Once there is nothing else to do, the other pages are fetched: each then opens at once. */
function fetchLater(): void {
  const fetchAll = () => {
    for (const load of Object.values(PAGES)) load().catch(() => undefined);
  };
  if ("requestIdleCallback" in window) requestIdleCallback(fetchAll, { timeout: 5_000 });
  else setTimeout(fetchAll, 2_000);
}

const FRAMELESS = new Set(["/welcome"]);

/** Where the document came with the frame, it stays while it is asked who this is; a stranger is led away without it. */
export function App({ isFramed }: { isFramed: boolean }) {
  const { path } = usePlace();
  const Open = OPEN[path];
  return Open ? <Open /> : <Inside path={path} isFramed={isFramed} />;
}

function Inside({ path, isFramed }: { path: string; isFramed: boolean }) {
  const session = useLoaded("session", loadSession);
  useEffect(() => {
    addEventListener("entered", session.reload);
    return () => removeEventListener("entered", session.reload);
  }, [session.reload]);
  const isIn = session.data !== undefined;
  useEffect(() => {
    if (isIn) fetchLater();
  }, [isIn]);
  const isStranger = session.error?.status === 401;
  useEffect(() => {
    if (isStranger) go(`/login?next=${encodeURIComponent(path + location.search)}`, { replace: true });
  }, [isStranger, path]);

  const known = isStranger ? undefined : session.data;
  if (!known && !isStranger && session.error) return <Unanswered error={session.error} />;
  if (!known && !isFramed) return <Bones />;
  const [top = "", first = ""] = path.slice(1).split("/");
  const page = known ? <Shown place={`/${top}`} id={decodeURIComponent(first)} /> : <Bones />;
  return (
    <SessionContext.Provider value={known ? { ...known, reload: session.reload } : null}>
      {FRAMELESS.has(path) ? page : <Frame path={`/${top}`}>{page}</Frame>}
    </SessionContext.Provider>
  );
}

function Unanswered({ error }: { error: Failure }) {
  if (!error.isOffline) return <Empty icon="warning" title={error.message} />;
  return (
    <Empty icon="offline" title="The gateway does not answer">
      <p>This page goes on by itself when it does.</p>
    </Empty>
  );
}

function Shown({ place, id }: { place: string; id: string }) {
  const load = PAGES[place];
  const [found, setFound] = useState<Record<string, Page>>({});
  const [isLost, setLost] = useState(false);
  useEffect(() => {
    if (!load || found[place]) return;
    setLost(false);
    load().then(
      (page) => setFound((known) => ({ ...known, [place]: page })),
      () => setLost(true),
    );
  }, [place]);

  const Page = found[place];
  if (Page) return <Page id={id} />;
  if (isLost)
    return (
      <Empty icon="offline" title="This page could not be loaded">
        <p>The gateway was replaced by another version, or is away. Load the page anew.</p>
      </Empty>
    );
  if (load) return <Bones />;
  return (
    <Empty title="There is nothing at this address">
      <p>
        <a href="/">Go to the overview</a>
      </p>
    </Empty>
  );
}
