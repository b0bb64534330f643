/** The roles, and what each may do. */

import { ROLES, type Role } from "../../core/session";

const WORDS: Record<Role, string> = {
  owner: "everything",
  admin: "all but name, zone and billing",
  member: "use it and make keys",
  viewer: "look",
};
export const ROLE_OPTIONS = ROLES.map((role) => [role, `${role}: ${WORDS[role]}`] as const);
