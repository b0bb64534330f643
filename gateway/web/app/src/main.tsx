import "@fontsource-variable/geist/wght.css";
import "uplot/dist/uPlot.min.css";
import "./look/tokens.css";
import "./look/base.css";
import "./look/parts.css";
import "./look/frame.css";
import { render } from "preact";
import { App } from "./app";
import { followLinks } from "./core/router";
import { applyTheme, readTheme } from "./core/theme";

declare global {
  interface Window {
    /** Buttons that were pressed before this script was there, see index.html; null once they need not wait. */
    pressed: (HTMLElement | null)[] | null;
  }
}

const root = document.getElementById("app")!;
applyTheme(readTheme());
followLinks();
render(<App isFramed={root.hasChildNodes()} />, root);
const pressed = window.pressed ?? [];
window.pressed = null;
for (const button of pressed) button?.click();
