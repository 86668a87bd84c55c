// A quiet colour for the pack's nodes that a person makes; files keep the colours they hold.
import { app } from "../../scripts/app.js";
import { giveColor } from "./lib/start_values.js";

const OURS = new Set([
  "LoadBokehDepth", "GenerateBokehStack", "BokehStackFromImages", "DefocusAwareDepth", "RenderBokeh",
  "LensBokehStrength", "ApplyBokehDepthAdapter", "SaveMetricDepth", "DepthFromMask",
  "LoadMetricDepth", "FocusStackFromImages", "FocusPull", "BokehLens", "BokehDepthExample",
]);

app.registerExtension({
  name: "BokehDepth.NodeColors",
  nodeCreated(node) {
    if (OURS.has(node.comfyClass ?? "")) giveColor(node);
  },
});
