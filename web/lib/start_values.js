// Values that flatter, for a node that a person makes. Files, pasted nodes and undo bring
// their own values, and what they lack is the schema's default, which is how it always was.

import { widgetOf } from "./focus_node.js";

/** @typedef {import("../../tests/web/comfyui").ComfyNode} ComfyNode */
/** @typedef {import("../../tests/web/comfyui").ComfyWidget} ComfyWidget */

/** The property that says whether the picker is unfolded; in files without it, it is not. */
export const OPEN = "focus picker";
const SHARE = "% of width";
/** A portrait lens: with depth in metres 85 mm at f/3.5, focused at 2 m. */
const START = /** @type {Record<string, Record<string, unknown>>} */ ({
  RenderBokeh: { strength: 3, strength_unit: SHARE, focus_mode: "automatic" },
});
const RANGE = { max: 30, step: 1, step2: 0.1, precision: 2 }; // `step` is ten times the step

/**
 * Give a new node the start values, and take them back before a file fills it in.
 * @param {ComfyNode} node
 * @param {() => boolean} isLoading whether ComfyUI is reading an API file
 */
export function giveStartValues(node, isLoading) {
  /** @type {[ComfyWidget, unknown][]} */
  const before = [];
  if (!isLoading()) {
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
