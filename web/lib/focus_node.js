// A node's ordinary widgets and links, read and written for the picker; nothing else is kept.

/** @typedef {import("../../tests/web/comfyui").ComfyNode} ComfyNode */
/** @typedef {import("../../tests/web/comfyui").ComfyWidget} ComfyWidget */
/** @typedef {import("./focus_optics.js").Controls} Controls */

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
 * @param {ComfyNode} node
 * @param {number} id
 */
function linkOf(node, id) {
  const links = node.graph?.links;
  return links instanceof Map ? links.get(id) : links?.[id];
}

/**
 * Return the first Render Bokeh that a node's first output goes to; null without one.
 * @param {ComfyNode} node
 */
export function lensBehind(node) {
  for (const id of node.outputs?.[0]?.links ?? []) {
    const link = linkOf(node, id);
    const target = link && node.graph?.getNodeById(link.target_id);
    if (target?.comfyClass === "RenderBokeh") return target;
  }
  return null;
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
