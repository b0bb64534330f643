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

applyTheme(readTheme());
followLinks();
render(<App />, document.getElementById("app")!);
