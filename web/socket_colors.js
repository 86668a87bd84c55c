// Colours of the pack's own sockets and links; ComfyUI shows types it does not know in grey.
import { app } from "../../scripts/app.js";

/** @type {Record<string, string>} */
const COLORS = {
  METRIC_DEPTH: "#1fd6c1",
  BOKEH_STACK: "#ffb74d",
  BOKEH_GENERATOR: "#ba68c8",
  DEPTH_ESTIMATOR: "#7986cb",
  BOKEH_LENS: "#f06292",
  FOCUS_TRACK: "#ffd60a",
};

/**
 * Let a table of colours hold ours for a type. Palettes set types that they do not know to "";
 * one that knows the type goes first.
 * @param {Record<string, string>} table
 * @param {string} type
 * @param {string} color
 */
function keepColor(table, type, color) {
  let chosen = table[type] || color;
  Object.defineProperty(table, type, {
    enumerable: true,
    configurable: true,
    get: () => chosen,
    set: (value) => { chosen = value || color; },
  });
}

/** Tell the classic canvas (sockets, links) and Nodes 2.0 (a CSS variable for each type). */
function showColors() {
  const links = /** @type {any} */ (app.canvas)?.constructor.link_type_colors;
  const sockets = app.canvas?.default_connection_color_byType;
  const variables = [];
  for (const [type, color] of Object.entries(COLORS)) {
    if (sockets) keepColor(sockets, type, color);
    if (links) keepColor(links, type, color);
    variables.push(`--color-datatype-${type}: ${color};`);
  }
  const style = document.createElement("style");
  style.textContent = `:root { ${variables.join(" ")} }`; // a palette's own, on the element, goes first
  document.head.append(style);
}

app.registerExtension({ name: "BokehDepth.SocketColors", setup: showColors });
