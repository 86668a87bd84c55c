// Values that flatter, for a node that a person makes. Files, pasted nodes and undo bring
// their own values, and what they lack is the schema's default, which is how it always was.

/** @typedef {import("../../tests/web/comfyui").ComfyApp} ComfyApp */

import { widgetOf } from "./focus_node.js";

/** @typedef {import("../../tests/web/comfyui").ComfyNode} ComfyNode */
/** @typedef {import("../../tests/web/comfyui").ComfyWidget} ComfyWidget */

/** The classes of the pack's nodes. */
export const OURS = new Set([
  "LoadBokehDepth", "GenerateBokehStack", "BokehStackFromImages", "DefocusAwareDepth", "RenderBokeh",
  "LensBokehStrength", "ApplyBokehDepthAdapter", "SaveMetricDepth", "DepthFromMask",
  "LoadMetricDepth", "FocusStackFromImages", "FocusPull", "BokehLens", "BokehDepthExample",
]);

/** The property that says whether the picker is unfolded; in files without it, it is not. */
export const OPEN = "focus picker";
const SHARE = "% of width";
/** A portrait lens: with depth in metres 85 mm at f/3.5, focused at 2 m. */
const START = /** @type {Record<string, Record<string, unknown>>} */ ({
  RenderBokeh: { strength: 3, strength_unit: SHARE, focus_mode: "automatic" },
});
const RANGE = { max: 30, step: 1, step2: 0.1, precision: 2 }; // `step` is ten times the step

const QUIET = { color: "#2b3a42", bgcolor: "#323a3f" }; // a breath of blue, for the pack's nodes
let loading = 0; // how many API files are being read: their nodes bring their values later

/**
 * Count the reading of API files, which makes nodes as a person does.
 * @param {ComfyApp} app
 */
export function watchApiFiles(app) {
  const load = app.loadApiJson;
  if (!load) return;
  app.loadApiJson = async function (...args) {
    loading += 1;
    try {
      return await load.apply(this, args);
    } finally {
      loading -= 1;
    }
  };
}

/** Return whether a node that comes into being now is one that a person makes, or a file will fill. */
export function isMadeByHand() {
  return !loading;
}

/**
 * Give a new node a quiet colour, and take it back before a file fills it in.
 * @param {ComfyNode} node
 */
export function giveColor(node) {
  if (loading || node.color || node.bgcolor) return;
  Object.assign(node, QUIET);
  let isNew = true;
  const { configure } = node;
  node.configure = function (/** @type {object} */ saved) {
    if (isNew) node.color = node.bgcolor = undefined;
    isNew = false;
    return configure.call(this, saved);
  };
}

/**
 * Give a new node the start values, and take them back before a file fills it in.
 * @param {ComfyNode} node
 */
export function giveStartValues(node) {
  /** @type {[ComfyWidget, unknown][]} */
  const before = [];
  if (!loading) {
    node.properties[OPEN] = "open";
    for (const [name, value] of Object.entries(START[node.comfyClass ?? ""] ?? {})) {
      const widget = widgetOf(node, name);
      if (!widget) continue;
      before.push([widget, widget.value]);
      widget.value = value;
    }
  }
  const configure = node.configure;
  node.configure = function (/** @type {object} */ saved) {
    delete node.properties[OPEN];
    for (const [widget, value] of before.splice(0)) widget.value = value;
    return configure.call(this, saved);
  };
}

/**
 * Give the strength a range and a step that fit its unit.
 * @param {ComfyNode} node
 */
export function fitStrengthRange(node) {
  const strength = widgetOf(node, "strength");
  const unit = widgetOf(node, "strength_unit");
  if (!strength?.options || !unit) return () => {};
  const { options } = strength;
  const wide = { max: options.max, step: options.step, step2: options.step2,
    precision: options.precision };
  return () => {
    const share = unit.value === SHARE;
    const highest = Math.max(RANGE.max, Math.ceil(Number(strength.value) || 0));
    Object.assign(options, share ? { ...RANGE, max: highest } : wide);
  };
}
