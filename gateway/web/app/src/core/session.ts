/** Who is signed in, to which account and as what. */

import { createContext } from "preact";
import { useContext } from "preact/hooks";
import { call } from "./api";
import { forgetAll } from "./loading";
import { go } from "./router";
import type { AccountView, ProfileView } from "./schema";

export interface Session {
  profile: ProfileView;
  account: AccountView;
  reload: () => void;
}

export const SessionContext = createContext<Session | null>(null);
export const ROLES = ["viewer", "member", "admin", "owner"] as const;
export type Role = (typeof ROLES)[number];

/** Null until the gateway has said who it is: the frame is there before. */
export function useSessionIfKnown(): Session | null {
  return useContext(SessionContext);
}

export function useSession(): Session {
  const session = useSessionIfKnown();
  if (session === null) throw new Error("nobody is signed in");
  return session;
}

/** Whether the signed-in person has at least that role in the account. */
export function useMay(role: Role): boolean {
  return ROLES.indexOf(useSession().account.role) >= ROLES.indexOf(role);
}

export async function loadSession(signal: AbortSignal): Promise<Omit<Session, "reload">> {
  const [profile, account] = await Promise.all([
    call("GET /api/users/me", { signal }),
    call("GET /api/account", { signal }),
  ]);
  return { profile, account };
}

export async function signOut(): Promise<void> {
  await call("POST /api/v1/auth/logout");
  forgetAll();
  go("/login");
}

/** Go on as somebody new: nothing of before is shown. */
export function enter(address: string): void {
  forgetAll();
  go(address, { replace: true });
  dispatchEvent(new Event("entered"));
}
