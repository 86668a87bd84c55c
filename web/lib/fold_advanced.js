// Advanced inputs of a node made by hand, folded in the classic canvas as Nodes 2.0 folds them by
// itself. An arrow in the title and the node's own "Show Advanced" unfold them. A row is folded only while its value is the
// schema's and nothing is linked to it, so that nothing hides which changes the picture.

/** @typedef {import("../../tests/web/comfyui").ComfyApp} ComfyApp */
/** @typedef {import("../../tests/web/comfyui").ComfyNode} ComfyNode */
/** @typedef {import("../../tests/web/comfyui").ComfyWidget} ComfyWidget */

import { isLinked } from "./focus_node.js";
import { isMadeByHand } from "./start_values.js";

/** The property that says whether a node folds them; files without it show what they showed. */
export const FOLDS = "advanced inputs";
const FOLDED = "folded";
const ALWAYS = "Comfy.Node.AlwaysShowAdvancedWidgets"; // a person's setting
const [UNFOLD, FOLD] = ["\ue902", "\ue903"]; // PrimeIcons: chevrons down and up
const AWAY = -1e5; // px above the node: sockets of folded rows are neither seen nor hit

/**
 * Fold the advanced inputs of a new node, and unfold them before a file fills it in. Front ends
 * that would leave their rows empty (1.27, which has no list of rows to lay out) show them all.
 * @param {ComfyApp} app
 * @param {ComfyNode} node
 */
export function foldAdvanced(app, node) {
  const { getLayoutWidgets, toggleAdvanced, configure } = node;
  /** @type {Map<ComfyWidget, unknown>} */
  const starts = new Map();
  for (const one of node.widgets ?? []) if (one.options?.advanced) starts.set(one, one.value);
  if (!getLayoutWidgets || !toggleAdvanced || !starts.size) return;

  const arrow = node.addTitleButton?.({ name: FOLDS, text: "", xOffset: -10, fontSize: 14 });
  const { onTitleButtonClick } = node;
  node.onTitleButtonClick = function (button, canvas) {
    if (button === arrow) this.toggleAdvanced?.();
    else onTitleButtonClick?.call(this, button, canvas);
  };

  /** @type {Map<ComfyWidget, boolean>} */
  const told = new Map();
  /** Tell the front end which widgets count as advanced now. */
  const tell = () => {
    let changed = false;
    const folds =
      node.properties[FOLDS] === FOLDED && !app.extensionManager?.setting?.get?.(ALWAYS);
    for (const [widget, start] of starts) {
      const isPlain = folds && widget.value === start && !isLinked(node, widget.name);
      if (Boolean(told.get(widget)) === isPlain) continue;
      widget.advanced = isPlain;
      told.set(widget, isPlain);
      changed = true;
    }
    // a row that comes or goes moves links and the node's end, which are drawn before it is seen
    if (changed) requestAnimationFrame(() => node.setDirtyCanvas?.(true, true));
    if (!arrow) return;
    arrow.text = ![...told.values()].includes(true) ? "" : node.showAdvanced ? FOLD : UNFOLD;
  };

  node.getLayoutWidgets = function () {
    tell();
    const rows = getLayoutWidgets.call(this);
    if (this.showAdvanced || window.LiteGraph?.vueNodesMode) return rows;
    return rows.filter((one) => {
      if (told.get(one)) one.y = AWAY;
      return !told.get(one);
    });
  };
  node.toggleAdvanced = function () {
    tell();
    const before = this.computeSize()[1];
    const [, height] = this.size;
    toggleAdvanced.call(this);
    tell();
    const after = this.computeSize()[1];
    this.setSize([this.size[0], Math.max(after, height + after - before)]);
  };
  node.configure = function (/** @type {object} */ saved) {
    delete node.properties[FOLDS];
    const made = configure.call(this, saved);
    tell();
    return made;
  };
  if (!isMadeByHand()) return;
  node.properties[FOLDS] = FOLDED;
  tell();
  node.setSize([node.size[0], node.computeSize()[1]]);
}
