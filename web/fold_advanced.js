// Advanced inputs of the pack's nodes are folded in the classic canvas, too.
import { app } from "../../scripts/app.js";
import { foldAdvanced } from "./lib/fold_advanced.js";
import { OURS } from "./lib/start_values.js";

app.registerExtension({
  name: "BokehDepth.FoldAdvanced",
  nodeCreated(node) {
    if (OURS.has(node.comfyClass ?? "")) foldAdvanced(app, node);
  },
});
