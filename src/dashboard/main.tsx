/** The dashboard's program: starts it in the page. */
import { render } from "preact";
import { App } from "./app.tsx";
import { listenForKeys } from "./parts/keys.ts";

const root = document.querySelector("#app");
if (root !== null) {
  listenForKeys();
  render(<App />, root);
}
