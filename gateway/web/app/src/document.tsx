/** The frame as the document brings it: read by the build alone. */

import { renderToString } from "preact-render-to-string";
import { Shell, ShellFoot } from "./shell";
import { Bones } from "./ui/states";

export const FRAME = renderToString(
  <Shell foot={<ShellFoot theme="system" themeIcon="screen" />}>
    <Bones />
  </Shell>,
);
