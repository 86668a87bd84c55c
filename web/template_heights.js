// Nodes of templates that show text and pictures after a run stay inside their groups in Nodes 2.0.
import { app } from "../../scripts/app.js";
import { OURS } from "./lib/start_values.js";
import { fitNodes2 } from "./lib/template_height.js";

const PICKERS = new Set(["RenderBokeh", "FocusPull"]); // whose picker sees to it

app.registerExtension({
  name: "BokehDepth.TemplateHeights",
  nodeCreated(node) {
    const kind = node.comfyClass ?? "";
    if (!OURS.has(kind) || PICKERS.has(kind)) return;
    const { onConfigure } = node;
    node.onConfigure = function (saved) {
      onConfigure?.call(this, saved);
      fitNodes2(node);
    };
  },
});
