import { setQuery, usePlace } from "../../core/router";
import { Select } from "../../ui/field";
import { useProjects } from "./shared";

/** The project that the address names, or the first one where a page is always about one. */
export function useProjectId(): string {
  const named = usePlace().query.get("project") ?? "";
  const projects = useProjects();
  return named || projects.data?.projects[0]?.id || "";
}

/** Chooses the project of a page; it stands in the address. */
export function ProjectChoice({ value, withAll }: { value: string; withAll?: boolean }) {
  const projects = useProjects();
  const each = (projects.data?.projects ?? []).map((project) => [project.id, project.name] as const);
  const options = withAll ? ([["", "All projects"], ...each] as const) : each;
  return (
    <div style={{ width: "12rem" }}>
      <Select
        isBare
        label="Project"
        value={value}
        options={options}
        onChange={(id) => setQuery({ project: id }, { replace: false })}
      />
    </div>
  );
}
