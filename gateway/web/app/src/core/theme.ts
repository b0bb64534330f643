/** Light, dark, or as the system has it; kept in this browser. */

export type Theme = "system" | "light" | "dark";
const PLACE = "watchllm-theme";
export const THEMES: readonly Theme[] = ["system", "light", "dark"];

export function readTheme(): Theme {
  const found = localStorage.getItem(PLACE);
  return found === "light" || found === "dark" ? found : "system";
}

export function applyTheme(theme: Theme): void {
  localStorage.setItem(PLACE, theme);
  document.documentElement.dataset.theme = theme;
  dispatchEvent(new Event("themechange"));
}

/** The value of a colour token as it is now, for what paints on a canvas. */
export function colourOf(token: string): string {
  const probe = document.createElement("span");
  probe.style.color = `var(--${token})`;
  probe.hidden = true;
  document.body.append(probe);
  const colour = getComputedStyle(probe).color;
  probe.remove();
  return colour;
}
