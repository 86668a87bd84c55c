// A node's ordinary widgets and links, read and written for the picker; nothing else is kept.

/** @typedef {import("../../tests/web/comfyui").ComfyGraph} ComfyGraph */
/** @typedef {import("../../tests/web/comfyui").ComfyNode} ComfyNode */
/** @typedef {import("../../tests/web/comfyui").ComfyWidget} ComfyWidget */
/** @typedef {import("./focus_optics.js").Controls} Controls */

const SUBGRAPH_OUTPUT = -20; // litegraph's id for what stands for the outputs of a subgraph

/**
 * Return a widget of a node.
 * @param {ComfyNode} node
 * @param {string} name
 */
export function widgetOf(node, name) {
  return node.widgets?.find((one) => one.name === name);
}

/**
 * Return whether something is connected to an input, be it a widget's.
 * @param {ComfyNode} node
 * @param {string} name
 */
export function isLinked(node, name) {
  return Boolean(
    node.inputs?.some((one) => (one.widget?.name ?? one.name) === name && one.link != null),
  );
}

/**
 * Return the number in a widget, or another where it has none.
 * @param {ComfyNode} node
 * @param {string} name
 * @param {number} otherwise
 */
export function numberOf(node, name, otherwise) {
  const value = Number(widgetOf(node, name)?.value);
  return Number.isFinite(value) ? value : otherwise;
}

/**
 * Return the text in a widget.
 * @param {ComfyNode} node
 * @param {string} name
 * @param {string} otherwise
 */
export function textOf(node, name, otherwise) {
  const value = widgetOf(node, name)?.value;
  return typeof value === "string" ? value : otherwise;
}

/**
 * Write a widget as a person would; one whose input is linked is left alone.
 * @param {ComfyNode} node
 * @param {string} name
 * @param {unknown} value
 */
export function write(node, name, value) {
  const widget = widgetOf(node, name);
  if (!widget || isLinked(node, name) || widget.value === value) return;
  widget.value = value;
  widget.callback?.(value);
  node.setDirtyCanvas?.(true, true);
}

/**
 * Return what changes the blur radius.
 * @param {ComfyNode} node
 * @returns {Controls}
 */
export function controlsOf(node) {
  return {
    focus_range: numberOf(node, "focus_range", 0),
    front_strength: numberOf(node, "front_strength", 1),
    back_strength: numberOf(node, "back_strength", 1),
    max_radius: numberOf(node, "max_radius", 0),
    tilt: numberOf(node, "tilt", 0),
    swing: numberOf(node, "swing", 0),
  };
}

/**
 * Return a link of a graph.
 * @param {ComfyGraph | null | undefined} graph
 * @param {number} id
 */
function linkIn(graph, id) {
  const links = graph?.links;
  return links instanceof Map ? links.get(id) : links?.[id];
}

/**
 * Return a link of the graph that a node is in.
 * @param {ComfyNode} node
 * @param {number} id
 */
function linkOf(node, id) {
  return linkIn(node.graph, id);
}

/**
 * Return the nodes that stand for a subgraph, wherever they are.
 * @param {ComfyGraph | undefined} graph where they are looked for
 * @param {ComfyGraph | null | undefined} subgraph
 * @returns {ComfyNode[]}
 */
function placesOf(graph, subgraph) {
  const nodes = (graph?.nodes ?? []).filter((one) => one.subgraph);
  return nodes.flatMap((one) =>
    one.subgraph === subgraph ? [one] : placesOf(one.subgraph, subgraph));
}

/**
 * Return the nodes that an output goes to, within subgraphs and out of them, too.
 * @param {ComfyNode} node
 * @param {number} slot of the output
 * @returns {ComfyNode[]}
 */
function targetsOf(node, slot) {
  const links = (node.outputs?.[slot]?.links ?? []).map((id) => linkOf(node, id));
  return links.flatMap((link) => {
    if (!link) return [];
    const place = link.target_slot ?? 0;
    if (Number(link.target_id) === SUBGRAPH_OUTPUT) {
      return placesOf(node.graph?.rootGraph, node.graph).flatMap((one) => targetsOf(one, place));
    }
    const target = node.graph?.getNodeById(link.target_id);
    return target ? within(target, place) : [];
  });
}

/**
 * Return the nodes that an input leads to: the node itself, or those in the subgraph it stands for.
 * @param {ComfyNode} node
 * @param {number} slot of the input
 * @returns {ComfyNode[]}
 */
function within(node, slot) {
  const graph = node.subgraph;
  if (!graph) return [node];
  return (graph.inputs?.[slot]?.linkIds ?? []).flatMap((id) => {
    const link = linkIn(graph, id);
    const target = link && graph.getNodeById(link.target_id);
    return target ? within(target, link.target_slot ?? 0) : [];
  });
}

/**
 * Return the first Render Bokeh that a node's first output goes to; null without one.
 * @param {ComfyNode} node
 */
export function lensBehind(node) {
  return targetsOf(node, 0).find((one) => one.comfyClass === "RenderBokeh") ?? null;
}

/**
 * Return the file that the Load Image node at the input `image` holds; null without one.
 * @param {ComfyNode} node
 */
export function loadedFile(node) {
  const slot = node.inputs?.find((one) => one.name === "image");
  if (slot?.link == null || !node.graph) return null;
  const link = linkOf(node, slot.link);
  const origin = link && node.graph.getNodeById(link.origin_id);
  if (origin?.comfyClass !== "LoadImage") return null;
  const file = origin.widgets?.find((one) => one.name === "image")?.value;
  return typeof file === "string" && file ? file : null;
}

/**
 * Return the query of ComfyUI's /view for a file of Load Image ("folder/name.png [input]").
 * @param {string} file
 */
export function viewOfFile(file) {
  const [, path, type] = /^(.*?)(?: \[(input|output|temp)\])?$/.exec(file) ?? ["", file, ""];
  const cut = path.lastIndexOf("/");
  return new URLSearchParams({
    filename: path.slice(cut + 1),
    subfolder: cut < 0 ? "" : path.slice(0, cut),
    type: type || "input",
  }).toString();
}
