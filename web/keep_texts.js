// What a node says while it runs (a rough guess of depth, a stretched map) stays on it afterwards, and
// so does the error that ended a run, which newer front ends show only behind "View details".
// Newer front ends take such texts away when the run ends, older ones keep them when the node ran
// again and says nothing more. Here a text is shown from the run that said it to the node's next one.
import { api } from "../../scripts/api.js";
import { app } from "../../scripts/app.js";
import { OURS } from "./lib/start_values.js";

/** @typedef {import("../tests/web/comfyui").ComfyNode} ComfyNode */

const SHOWN = "$$node-text-preview"; // the front end's own widget for such a text
const LATER_MS = [200, 1500]; // after a run's end, when the front end has tidied up

/** The last text of each node, by its id in the prompt ("4", or "7:4" inside a subgraph). */
const texts = /** @type {Map<string, string>} */ (new Map());

/**
 * Return a node by its id in the prompt, if it is one of the pack's.
 * @param {string} id
 */
function ourNode(id) {
  const root = app.canvas?.graph?.rootGraph ?? app.graph;
  let node = /** @type {ComfyNode | null | undefined} */ (null);
  let graph = /** @type {import("../tests/web/comfyui").ComfyGraph | undefined} */ (root);
  for (const part of id.split(":")) {
    node = graph?.getNodeById(part) ?? graph?.getNodeById(Number(part));
    graph = node?.subgraph;
  }
  return node && OURS.has(node.comfyClass ?? "") ? node : null;
}

/** Nodes that ran and have said nothing yet. */
const silent = /** @type {Set<string>} */ (new Set());

/** Show again what the front end took away, and take away what no longer holds. */
function tidy() {
  for (const id of silent) {
    const widgets = ourNode(id)?.widgets;
    const at = widgets?.findIndex((one) => one.name === SHOWN) ?? -1;
    widgets?.splice(at, at < 0 ? 0 : 1).forEach((one) => one.onRemove?.());
  }
  silent.clear();
  for (const [nodeId, text] of texts) {
    const node = ourNode(nodeId);
    if (!node || node.widgets?.some((one) => one.name === SHOWN)) continue;
    api.dispatchEvent(new CustomEvent("progress_text", { detail: { nodeId, text } }));
  }
}

app.registerExtension({
  name: "BokehDepth.KeepTexts",
  setup() {
    /** @type {(name: string, act: (detail: any) => void) => void} */
    const on = (name, act) =>
      api.addEventListener(name, (event) => act(/** @type {CustomEvent} */ (event).detail));
    on("executing", (id) => {
      texts.delete(`${id?.node ?? id}`);
      silent.add(`${id?.node ?? id}`);
    });
    on("progress_text", (detail) => {
      const id = `${detail?.nodeId ?? ""}`;
      silent.delete(id);
      if (detail?.text && ourNode(id)) texts.set(id, detail.text);
    });
    on("execution_error", ({ node_id, exception_message }) => {
      const id = `${node_id ?? ""}`;
      if (!exception_message || !ourNode(id)) return;
      silent.delete(id);
      texts.set(id, `${exception_message}`.trim().replace(/[<>]/g, "")); // HTML in the oldest ones
    });
    for (const name of ["execution_success", "execution_error", "execution_interrupted"]) {
      on(name, () => LATER_MS.forEach((ms) => setTimeout(tidy, ms)));
    }
  },
});
