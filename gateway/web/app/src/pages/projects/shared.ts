/** The account's projects, which many pages need. */

import { type Answer, call } from "../../core/api";
import { type Loaded, useLoaded } from "../../core/loading";

export type ProjectList = Answer<"GET /api/projects">;

export function useProjects(): Loaded<ProjectList> {
  return useLoaded("projects", (signal) => call("GET /api/projects", { signal }));
}
