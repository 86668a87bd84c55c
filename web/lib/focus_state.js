// What the widgets of a Render Bokeh and its last run mean: where the focus is, how strong the
// blur, and how that is said. It also writes them, as a person would.

import { controlsOf, isLinked, numberOf, textOf, write } from "./focus_node.js";
import * as optics from "./focus_optics.js";

/** @typedef {import("../../tests/web/comfyui").ComfyNode} ComfyNode */
/** @typedef {import("./focus_drawing.js").Point} Point */
/** @typedef {import("./focus_sources.js").Source} Source */

/**
 * @typedef {object} Focus
 * @property {"point" | "automatic" | "mask" | "distance" | "track" | "linked"} by what decides it
 * @property {Point | null} point shares of the picture; null where only the next run knows
 * @property {number | null} disparity of the focus plane; null where only the next run knows
 */

const HINT = "Click what is to be sharp; drag the ring for strength.";
const UNKNOWN_WIDTH = 1024; // px, before there is a picture
const WIDGETS = [
  "focus_x", "focus_y", "focus_distance", "strength", "strength_unit", "focus_mode",
];

/**
 * Return all values of the node that the picker shows.
 * @param {ComfyNode} node
 */
export function shownValues(node) {
  const linked = [...WIDGETS, "focus_mask", "focus", "lens"].map((name) => isLinked(node, name));
  const values = WIDGETS.map((name) => node.widgets?.find((one) => one.name === name)?.value);
  return [values, linked, controlsOf(node)];
}

/** @param {ComfyNode} node */
export function isAutomatic(node) {
  return textOf(node, "focus_mode", "point") === "automatic";
}

/**
 * Return what decides the focus, in the order of the node, and where it is.
 * @param {ComfyNode} node
 * @param {Source | null} source
 * @returns {Focus}
 */
export function focusOf(node, source) {
  const run = source?.run ?? null;
  const distance = numberOf(node, "focus_distance", 0);
  const point = { x: numberOf(node, "focus_x", 0.5), y: numberOf(node, "focus_y", 0.5) };
  /** @type {(by: "mask" | "track") => Focus} */
  const asRun = (by) => {
    const found = run?.focus.by === by ? run.focus : null;
    return { by, point: found, disparity: found?.disparity ?? null };
  };
  if (isLinked(node, "focus")) return asRun("track");
  if (isLinked(node, "focus_distance")) return { by: "linked", point: null, disparity: null };
  if (distance > 0) return { by: "distance", point, disparity: 1 / distance };
  if (isLinked(node, "focus_mask")) return asRun("mask");
  if (isAutomatic(node)) {
    const found = run?.subject ?? null;
    return { by: "automatic", point: found, disparity: found?.disparity ?? null };
  }
  if (isLinked(node, "focus_x") || isLinked(node, "focus_y")) {
    return { by: "linked", point: null, disparity: null };
  }
  const depth = source?.depth;
  const disparity = depth ? optics.focusDisparityAt(depth, point.x, point.y) : null;
  return { by: "point", point, disparity };
}

/**
 * Return the strength of the last run where a lens or a track decided it, and they still may.
 * @param {ComfyNode} node
 * @param {Source | null} source
 */
function strengthElsewhere(node, source) {
  const found = source?.run?.strength;
  if (found?.by === "lens" && isLinked(node, "lens")) return found;
  return found?.by === "track" && isLinked(node, "focus") ? found : null;
}

/**
 * Return whether the ring cannot change the strength.
 * @param {ComfyNode} node
 * @param {Source | null} source
 */
export function isStrengthFixed(node, source) {
  return isLinked(node, "strength") || strengthElsewhere(node, source) !== null;
}

/**
 * Return bokeh strength K, px·m.
 * @param {ComfyNode} node
 * @param {Source | null} source
 */
export function strengthOf(node, source) {
  const elsewhere = strengthElsewhere(node, source);
  if (elsewhere) return elsewhere.value;
  const unit = textOf(node, "strength_unit", "px·m");
  const width = source?.size[0] ?? UNKNOWN_WIDTH;
  return optics.strengthInPx(numberOf(node, "strength", 0), unit, width);
}

/**
 * Return the strength, % of the width.
 * @param {ComfyNode} node
 * @param {Source | null} source
 */
export function shareOf(node, source) {
  const width = source?.size[0] ?? UNKNOWN_WIDTH;
  return optics.strengthInUnit(strengthOf(node, source), "% of width", width);
}

/**
 * Write a strength that is given in % of the width.
 * @param {ComfyNode} node
 * @param {Source | null} source
 * @param {number} share
 */
export function writeShare(node, source, share) {
  const width = source?.size[0] ?? UNKNOWN_WIDTH;
  const unit = textOf(node, "strength_unit", "px·m");
  const value = Math.max(0, optics.strengthInUnit((share * width) / 100, unit, width));
  const step = unit === "px·m" ? 0.5 : 0.05;
  write(node, "strength", Number((Math.round(value / step) * step).toFixed(2)));
}

/**
 * Focus on a point, in place of what decided before.
 * @param {ComfyNode} node
 * @param {Point} point shares of the picture
 */
export function writePoint(node, point) {
  if (["focus_x", "focus_y"].some((name) => isLinked(node, name))) return;
  write(node, "focus_mode", "point");
  write(node, "focus_distance", 0);
  write(node, "focus_x", Math.round(point.x * 1000) / 1000);
  write(node, "focus_y", Math.round(point.y * 1000) / 1000);
}

/**
 * Switch between automatic focus and the point.
 * @param {ComfyNode} node
 */
export function toggleAutomatic(node) {
  write(node, "focus_mode", isAutomatic(node) ? "point" : "automatic");
  if (isAutomatic(node)) write(node, "focus_distance", 0);
}

/**
 * Return the strength as text, and the blur that it means where depth has metres.
 * @param {ComfyNode} node
 * @param {Source | null} source
 * @param {number | null} disparity of the focus plane
 */
export function strengthText(node, source, disparity) {
  const by = strengthElsewhere(node, source)?.by;
  const from = by && `strength ${shareOf(node, source).toFixed(1)} % by ${
    by === "lens" ? "Lens Look" : "Focus Pull"}`;
  const text = from
    ?? `strength ${numberOf(node, "strength", 0)} ${textOf(node, "strength_unit", "px·m")}`;
  if (disparity === null || !source?.run?.metric) return text;
  return `${text} · ${(shareOf(node, source) * disparity).toFixed(1)} % blur at ∞`;
}

/**
 * Return the line below the picture.
 * @param {ComfyNode} node
 * @param {Source | null} source
 */
export function sentence(node, source) {
  const { by, disparity } = focusOf(node, source);
  const run = source?.run;
  const where = run && disparity !== null ? optics.distanceText(disparity, run.metric) : "";
  const at = where && ` Sharp at ${where}${run?.metric ? "" : " (depth has no metres)"}.`;
  if (by === "linked") return "The focus comes from a link; unlink it to click here.";
  if (by === "track") return "Focus Pull decides what is sharp; unlink focus to click here.";
  if (by === "mask") return `focus_mask decides what is sharp.${at}`;
  if (by === "distance") return `focus_distance decides.${at} A click takes over.`;
  if (by === "automatic") {
    return run ? `Automatic focus.${at} Click to choose a point.`
      : "Automatic: the run finds the subject. Click to choose a point.";
  }
  if (!source) return HINT;
  return run ? `${at.trim()} ${HINT}` : `${HINT} Depth is shown after a run.`;
}
