// Focus by clicking, on Render Bokeh and Focus Pull: a picture in the node that writes its ordinary
// widgets.
import { api } from "../../scripts/api.js";
import { app } from "../../scripts/app.js";
import { FocusPicker } from "./lib/focus_picker.js";
import { LENS } from "./lib/focus_state.js";
import { PULL } from "./lib/pull_state.js";
import { fitStrengthRange, giveStartValues, OPEN, watchApiFiles } from "./lib/start_values.js";

/** @typedef {import("../tests/web/comfyui").ComfyWidget} ComfyWidget */

/** @type {Record<string, import("./lib/focus_state.js").Kind>} */
const KINDS = { RenderBokeh: LENS, FocusPull: PULL };

const START_WIDTH = 340; // px of a new node, so that the picture is not tiny
const NODES_2 = "height in Nodes 2.0"; // a property of nodes in templates, which were laid out for
// the classic canvas: that shows every input, Nodes 2.0 the everyday ones

const ROW = 24; // px of an input

function isNodes2() {
  return Boolean(window.LiteGraph?.vueNodesMode);
}

/**
 * Let a node's least size leave out what Nodes 2.0 folds. The front end asks for it whenever a file
 * opens, and counts every input that the classic canvas shows: the node would be far higher than it
 * was saved.
 * @param {import("../tests/web/comfyui").ComfyNode} node
 */
function leaveOutFolded(node) {
  const { computeSize } = node;
  node.computeSize = function (...given) {
    const size = computeSize.apply(this, given);
    if (!isNodes2() || this.showAdvanced) return size;
    const counts = this.isWidgetRowVisible ?? this.isWidgetVisible ?? (() => true);
    const isCounted = (/** @type {ComfyWidget} */ one) => counts.call(this, one);
    const folded = this.widgets?.filter((one) => one.options?.advanced).filter(isCounted);
    size[1] -= ROW * (folded?.length ?? 0);
    return size;
  };
}

/**
 * Give a node of a template its height in Nodes 2.0, once: from then on it is the person's.
 * @param {import("../tests/web/comfyui").ComfyNode} node
 */
function fitNodes2(node) {
  const height = Number(node.properties[NODES_2]);
  if (!height || !isNodes2()) return;
  delete node.properties[NODES_2];
  node.size = [node.size[0], height];
}

/**
 * @param {import("../tests/web/comfyui").ComfyNode} node
 * @param {import("./lib/focus_state.js").Kind} kind
 */
function addPicker(node, kind) {
  giveStartValues(node);
  leaveOutFolded(node);
  const fitRange = fitStrengthRange(node);
  fitRange();
  const picker = new FocusPicker(app, api, node, kind);
  const widget = node.addDOMWidget("focus picker", "bokeh_focus", picker.panel.root, {
    serialize: false, // not in the prompt
    hideOnZoom: false,
    getMinHeight: () => picker.leastHeight(),
    getValue: () => "",
    setValue: () => {},
  });
  widget.serialize = false; // not in the file
  if (picker.isOpen) {
    const [width, height] = node.size;
    node.setSize([Math.max(width, START_WIDTH), Math.max(height, node.computeSize()[1])]);
  }
  const { onExecuted, onRemoved, onConfigure } = node;
  node.onExecuted = function (output) {
    onExecuted?.call(this, output);
    picker.executed(output);
  };
  node.onConfigure = function (saved) {
    onConfigure?.call(this, saved);
    fitNodes2(node);
    picker.fold(node.properties[OPEN] === "open");
    fitRange();
  };
  node.onRemoved = function () {
    onRemoved?.call(this);
    picker.end();
  };
  const unit = node.widgets?.find((one) => one.name === "strength_unit");
  const callback = unit?.callback;
  if (unit) {
    unit.callback = function (value) {
      callback?.call(this, value);
      fitRange();
    };
  }
}

app.registerExtension({
  name: "BokehDepth.FocusPicker",
  setup: () => watchApiFiles(app),
  nodeCreated(node) {
    const kind = KINDS[node.comfyClass ?? ""];
    if (kind) addPicker(node, kind);
  },
});
