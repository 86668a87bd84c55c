// Focus by clicking, on Render Bokeh and Focus Pull: a picture in the node that writes its ordinary
// widgets.
import { api } from "../../scripts/api.js";
import { app } from "../../scripts/app.js";
import { FocusPicker } from "./lib/focus_picker.js";
import { LENS } from "./lib/focus_state.js";
import { PULL } from "./lib/pull_state.js";
import { fitStrengthRange, giveStartValues, OPEN, watchApiFiles } from "./lib/start_values.js";

/** @type {Record<string, import("./lib/focus_state.js").Kind>} */
const KINDS = { RenderBokeh: LENS, FocusPull: PULL };

const START_WIDTH = 340; // px of a new node, so that the picture is not tiny

/**
 * @param {import("../tests/web/comfyui").ComfyNode} node
 * @param {import("./lib/focus_state.js").Kind} kind
 */
function addPicker(node, kind) {
  giveStartValues(node);
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
  if (picker.isOpen) node.setSize([Math.max(node.size[0], START_WIDTH), node.size[1]]);
  const { onExecuted, onRemoved, onConfigure } = node;
  node.onExecuted = function (output) {
    onExecuted?.call(this, output);
    picker.executed(output);
  };
  node.onConfigure = function (saved) {
    onConfigure?.call(this, saved);
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
