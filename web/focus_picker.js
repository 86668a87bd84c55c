// Focus by clicking, on Render Bokeh and Focus Pull: a picture in the node that writes its ordinary
// widgets.
import { api } from "../../scripts/api.js";
import { app } from "../../scripts/app.js";
import { FocusPicker } from "./lib/focus_picker.js";
import { LENS } from "./lib/focus_state.js";
import { PULL } from "./lib/pull_state.js";
import { fitStrengthRange, giveStartValues, OPEN, watchApiFiles } from "./lib/start_values.js";
import { fitNodes2, isNodes2 } from "./lib/template_height.js";

/** @typedef {import("../tests/web/comfyui").ComfyWidget} ComfyWidget */

/** @type {Record<string, import("./lib/focus_state.js").Kind>} */
const KINDS = { RenderBokeh: LENS, FocusPull: PULL };

const START_WIDTH = 340; // px of a new node, so that the picture is not tiny
const ROW = 24; // px of an input

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
