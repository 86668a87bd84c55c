// What a node says while it runs (a rough guess of depth, a stretched map) stays on it afterwards, and
// so does the error that ended a run, and what was refused before one, which newer front ends show
// only behind "View details".
// Newer front ends take such texts away when the run ends, older ones keep them when the node ran
// again and says nothing more. Here a text is shown from the run that said it to the node's next one,
// a refusal to the next try.
import { api } from "../../scripts/api.js";
import { app } from "../../scripts/app.js";
import { putToNamed, refusalTexts, roomFor, withoutMarkup } from "./lib/node_texts.js";
import { OPEN, OURS } from "./lib/start_values.js";
import { isNodes2 } from "./lib/template_height.js";

/** @typedef {import("../tests/web/comfyui").ComfyNode} ComfyNode */

const SHOWN = "$$node-text-preview"; // the front end's own widget for such a text
const PICKER = "focus picker";
const LATER_MS = [200, 1500, 5000]; // after a run's end: the front end has tidied up, pictures came
const UNSAID = new Set(["BokehLens"]); // its summary is for the output
const LOOK_MS = 200; // between looks for refusals, after a graph was queued
const LOOKS = 300;
const MOST_HELD = 400; // px of a picker that a text leaves as it is in Nodes 2.0

/** The last text of each node, by its id in the prompt ("4", or "7:4" inside a subgraph). */
const texts = /** @type {Map<string, string>} */ (new Map());

/** What was refused of each node at the last try, likewise. */
const refused = /** @type {Map<string, string>} */ (new Map());

/** Heights of nodes, px, before and after they grew for a text. */
const grown = /** @type {WeakMap<ComfyNode, [number, number]>} */ (new WeakMap());

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
const ran = /** @type {Set<string>} */ (new Set()); // in the current run: the others were cached
const failed = /** @type {Set<string>} */ (new Set()); // whose text is an error
let speaking = false; // a text of this file's own is on its way to the front end

/**
 * Show a text on a node, as the front end shows it while the node runs.
 * @param {string} nodeId
 * @param {string} text
 */
function speak(nodeId, text) {
  const node = ourNode(nodeId);
  if (node) holdPicture(node, true);
  speaking = true;
  api.dispatchEvent(new CustomEvent("progress_text", { detail: { nodeId, text } }));
  speaking = false;
  if (node) makeRoom(node, text);
}

/**
 * Let the picker be no lower than it is now, or let it go: Nodes 2.0 halves what a node's height leaves
 * over between picker and text.
 * @param {ComfyNode} node
 * @param {boolean} held
 */
function holdPicture(node, held) {
  const picture = node.widgets?.find((one) => one.name === PICKER)?.element;
  if (!picture || !isNodes2() || (held && picture.style.getPropertyValue("--held"))) return;
  const height = Math.min(MOST_HELD, picture.offsetHeight);
  picture.style.setProperty("--held", held && height ? `${height}px` : "");
}

/**
 * Let a node be high enough for its text; the canvas would draw it below the node. One with a picker
 * grows by all that the text takes, so that the picture in it stays as large as it is.
 * @param {ComfyNode} node
 * @param {string} text
 */
function makeRoom(node, text) {
  const widget = node.widgets?.find((one) => one.name === SHOWN);
  if (!widget) return;
  const room = roomFor(text, node.size[0]);
  const hasPicture = node.properties[OPEN] === "open";
  const bounds = { getMinHeight: () => room, ...(hasPicture && { getMaxHeight: () => room }) };
  widget.options = Object.assign(widget.options ?? {}, bounds);
  const [width, height] = node.size;
  const [before, after] = grown.get(node) ?? [height, height];
  const isPersons = Math.abs(height - after) >= 1; // dragged since the node grew
  const wanted = hasPicture && !isPersons ? before + room : isPersons ? height : before;
  const grownTo = Math.max(wanted, node.computeSize()[1]);
  if (Math.abs(grownTo - height) < 1) return;
  grown.set(node, [before, grownTo]);
  node.setSize([width, grownTo]);
  node.setDirtyCanvas?.(true, true);
}

/**
 * Let files keep a node's height without the room for its text, which they do not keep.
 * @param {ComfyNode} node
 */
function saveWithoutRoom(node) {
  const { onSerialize } = node;
  node.onSerialize = function (saved) {
    onSerialize?.call(this, saved);
    const [before, after] = grown.get(node) ?? [0, 0];
    if (after && Math.abs(saved.size[1] - after) < 1) saved.size = [saved.size[0], before];
  };
}

/**
 * Take the text of a node away, and the room that was made for it.
 * @param {string} id
 */
function hush(id) {
  const node = ourNode(id);
  if (!node) return;
  const at = node.widgets?.findIndex((one) => one.name === SHOWN) ?? -1;
  if (at >= 0) node.widgets?.splice(at, 1).forEach((one) => one.onRemove?.());
  const [before, after] = grown.get(node) ?? [0, 0];
  grown.delete(node); // the front end may have taken the text away itself
  holdPicture(node, false);
  if (after && Math.abs(node.size[1] - after) < 1) node.setSize([node.size[0], before]);
  if (at >= 0 || after) node.setDirtyCanvas?.(true, true);
}

/** Show again what the front end took away, and take away what no longer holds. */
function tidy() {
  silent.forEach(hush);
  silent.clear();
  for (const [id, text] of new Map([...texts, ...refused])) {
    const node = ourNode(id);
    if (!node) continue;
    if (node.widgets?.some((one) => one.name === SHOWN)) makeRoom(node, text);
    else speak(id, text);
  }
}

/** Take away what was refused at the last try; what a node said before comes back. */
function forgetRefusals() {
  const ids = [...refused.keys()];
  refused.clear();
  for (const id of ids) {
    hush(id);
    const before = texts.get(id);
    if (before) speak(id, before);
  }
}

/**
 * Mark the inputs that a refusal names, and those alone.
 * @param {ComfyNode} node
 * @param {import("../tests/web/comfyui").NodeErrors[string]["errors"]} found
 */
function markNamed(node, found) {
  const slots = node.inputs ?? [];
  const names = [...slots, ...(node.widgets ?? [])].map((one) => one.name);
  const unsaid = putToNamed(found, new Set(names));
  const said = new Set(found.map((one) => one.extra_info?.input_name));
  for (const slot of slots) {
    if (said.has(slot.name)) slot.hasErrors = true;
    else if (unsaid.has(slot.name)) slot.hasErrors = false;
  }
  node.setDirtyCanvas?.(true, true);
}

let tries = 0;

/** Show on the nodes what ComfyUI refuses of the graph that is being queued. */
async function watchRefusals() {
  const mine = (tries += 1);
  forgetRefusals();
  for (let looks = 0; looks < LOOKS && mine === tries; looks += 1) {
    await new Promise((done) => setTimeout(done, LOOK_MS));
    const errors = app.lastNodeErrors;
    if (!errors || !Object.keys(errors).length || mine !== tries) continue;
    for (const [id, text] of Object.entries(refusalTexts(errors))) {
      const node = ourNode(id);
      if (!node) continue;
      refused.set(id, text);
      speak(id, text);
      markNamed(node, errors[id].errors);
    }
    return;
  }
}

app.registerExtension({
  name: "BokehDepth.KeepTexts",
  nodeCreated(node) {
    if (OURS.has(node.comfyClass ?? "")) saveWithoutRoom(node);
  },
  setup() {
    /** @type {(name: string, act: (detail: any) => void) => void} */
    const on = (name, act) =>
      api.addEventListener(name, (event) => act(/** @type {CustomEvent} */ (event).detail));
    on("promptQueueing", () => void watchRefusals());
    on("execution_start", () => ran.clear());
    on("executing", (detail) => {
      const id = `${detail?.node ?? detail}`;
      ran.add(id);
      failed.delete(id);
      texts.delete(id);
      silent.add(id);
    });
    on("executed", (detail) => {
      const id = `${detail?.display_node ?? detail?.node ?? ""}`;
      if (ran.has(id) || !ourNode(id)) return;
      const text = UNSAID.has(ourNode(id)?.comfyClass ?? "") ? [] : (detail?.output?.text ?? []);
      const said = withoutMarkup([text].flat().join("\n")); // by the run that is cached
      if (said === texts.get(id) || !(said || failed.has(id))) return;
      failed.delete(id);
      texts.delete(id);
      silent.add(id);
      if (said) texts.set(id, said);
    });
    on("progress_text", (detail) => {
      const id = `${detail?.nodeId ?? ""}`;
      if (speaking) return;
      silent.delete(id);
      const node = ourNode(id);
      if (!detail?.text || !node) return;
      texts.set(id, detail.text);
      holdPicture(node, true);
      queueMicrotask(() => makeRoom(node, detail.text)); // once the front end shows it
    });
    on("execution_error", ({ node_id, exception_message }) => {
      const id = `${node_id ?? ""}`;
      if (!exception_message || !ourNode(id)) return;
      silent.delete(id);
      failed.add(id);
      texts.set(id, withoutMarkup(`${exception_message}`.trim()));
    });
    for (const name of ["execution_success", "execution_error", "execution_interrupted"]) {
      on(name, () => LATER_MS.forEach((ms) => setTimeout(tidy, ms)));
    }
  },
});
