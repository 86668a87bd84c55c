// A quiet colour for the pack's nodes that a person makes; files keep the colours they hold.
import { app } from "../../scripts/app.js";
import { giveColor, OURS } from "./lib/start_values.js";

app.registerExtension({
  name: "BokehDepth.NodeColors",
  nodeCreated(node) {
    if (OURS.has(node.comfyClass ?? "")) giveColor(node);
  },
});
