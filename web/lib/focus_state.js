// What the widgets of a Render Bokeh and its last run mean: where the focus is, how strong the
// blur, and how that is said. It also writes them, as a person would.

import { controlsOf, isLinked, loadedFile, numberOf, textOf, viewOfFile, write } from "./focus_node.js";
import * as optics from "./focus_optics.js";
import { runAt, runName, showFrame, shownFrame, validRun } from "./focus_sources.js";
import { say } from "./texts.js";

/** @typedef {import("../../tests/web/comfyui").ComfyNode} ComfyNode */
/** @typedef {import("./focus_drawing.js").Point} Point */
/** @typedef {import("./focus_sources.js").Source} Source */

/**
 * @typedef {object} Focus
 * @property {"point" | "automatic" | "mask" | "distance" | "track" | "linked" | "subject" |
 *   "between" | "unread"} by what decides it
 * @property {Point | null} point shares of the picture; null where only the next run knows
 * @property {number | null} disparity of the focus plane; null where only the next run knows
 */

/**
 * @typedef {object} Kind what the picker does on one class of node
 * @property {boolean} hasFrames whether it is set frame by frame
 * @property {(node: ComfyNode) => number[]} stopsOf frames that can be looked at, rising
 * @property {(node: ComfyNode) => number} frameOf which one is
 * @property {(node: ComfyNode, frame: number) => void} setFrame
 * @property {(node: ComfyNode) => import("./focus_sources.js").Wanted | null} wanted to be shown
 * @property {(node: ComfyNode) => unknown} shownValues all values that the drawing depends on
 * @property {(node: ComfyNode) => boolean} isAutomatic whether the subject is in focus
 * @property {(node: ComfyNode) => boolean} hasSubject whether that can be chosen
 * @property {(node: ComfyNode) => import("./focus_optics.js").Controls} controlsOf
 * @property {(node: ComfyNode, source: Source | null) => Focus} focusOf
 * @property {(node: ComfyNode) => {at: Point, text: string}[]} marksOf other places set
 * @property {(node: ComfyNode, source: Source | null) => boolean} isStrengthFixed
 * @property {(node: ComfyNode, source: Source | null) => number} strengthOf K, px·m
 * @property {(node: ComfyNode, source: Source | null) => number} shareOf % of the width
 * @property {(node: ComfyNode, source: Source | null, share: number) => void} writeShare
 * @property {(node: ComfyNode, point: Point) => void} writePoint
 * @property {(node: ComfyNode) => void} toggleAutomatic
 * @property {(node: ComfyNode, source: Source | null, disparity: number | null) => string} strengthText
 * @property {(node: ComfyNode, source: Source | null) => string} sentence
 */

const UNKNOWN_WIDTH = 1024; // px, before there is a picture
const WIDGETS = [
  "focus_x", "focus_y", "focus_distance", "strength", "strength_unit", "focus_mode",
];

/**
 * Return all values of the node that the picker shows.
 * @param {ComfyNode} node
 */
function shownValues(node) {
  const linked = [...WIDGETS, "focus_mask", "focus", "lens"].map((name) => isLinked(node, name));
  const values = WIDGETS.map((name) => node.widgets?.find((one) => one.name === name)?.value);
  return [values, linked, controlsOf(node)];
}

/** @param {ComfyNode} node */
function isAutomatic(node) {
  return textOf(node, "focus_mode", "point") === "automatic";
}

/**
 * Return what decides the focus, in the order of the node, and where it is.
 * @param {ComfyNode} node
 * @param {Source | null} source
 * @returns {Focus}
 */
function focusOf(node, source) {
  const run = source?.run ?? null;
  const distance = numberOf(node, "focus_distance", 0);
  const point = { x: numberOf(node, "focus_x", 0.5), y: numberOf(node, "focus_y", 0.5) };
  /** @type {(by: "mask" | "track") => Focus} */
  const asRun = (by) => {
    const found = run?.focus?.by === by ? run.focus : null;
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
function isStrengthFixed(node, source) {
  return isLinked(node, "strength") || strengthElsewhere(node, source) !== null;
}

/**
 * Return bokeh strength K, px·m.
 * @param {ComfyNode} node
 * @param {Source | null} source
 */
function strengthOf(node, source) {
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
function shareOf(node, source) {
  const width = source?.size[0] ?? UNKNOWN_WIDTH;
  return optics.strengthInUnit(strengthOf(node, source), "% of width", width);
}

/**
 * Write a strength that is given in % of the width.
 * @param {ComfyNode} node
 * @param {Source | null} source
 * @param {number} share
 */
function writeShare(node, source, share) {
  const width = source?.size[0] ?? UNKNOWN_WIDTH;
  const unit = textOf(node, "strength_unit", "px·m");
  write(node, "strength", optics.steppedStrength(share, unit, width));
}

/**
 * Focus on a point, in place of what decided before.
 * @param {ComfyNode} node
 * @param {Point} point shares of the picture
 */
function writePoint(node, point) {
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
function toggleAutomatic(node) {
  write(node, "focus_mode", isAutomatic(node) ? "point" : "automatic");
  if (isAutomatic(node)) write(node, "focus_distance", 0);
}

/**
 * Return the strength as text, and the blur that it means where depth has metres.
 * @param {ComfyNode} node
 * @param {Source | null} source
 * @param {number | null} disparity of the focus plane
 */
function strengthText(node, source, disparity) {
  const by = strengthElsewhere(node, source)?.by;
  const share = shareOf(node, source);
  const value = numberOf(node, "strength", 0);
  const text = by
    ? say("strengthBy", { share: share.toFixed(1), by: by === "lens" ? "Lens Look" : "Focus Pull" })
    : say("strength", { value, unit: textOf(node, "strength_unit", "px·m") });
  return withBlur(text, share, source, disparity);
}

/**
 * Return a text on strength with the blur that it means at infinity, where depth has metres.
 * @param {string} text
 * @param {number} share strength, % of the width
 * @param {Source | null} source
 * @param {number | null} disparity of the focus plane
 */
export function withBlur(text, share, source, disparity) {
  if (disparity === null || !source?.run?.metric) return text;
  return say("atInfinity", { text, share: (share * disparity).toFixed(1) });
}

/**
 * Return where it is sharp, as a sentence; empty where only the next run knows.
 * @param {Source | null} source
 * @param {number | null} disparity of the focus plane
 */
export function sharpAt(source, disparity) {
  const run = source?.run;
  if (!run || disparity === null) return "";
  const where = optics.distanceText(disparity, run.metric);
  return say(run.metric ? "sharpAt" : "sharpAtRelative", { where });
}

/**
 * Return the line below the picture.
 * @param {ComfyNode} node
 * @param {Source | null} source
 */
function sentence(node, source) {
  const { by, disparity } = focusOf(node, source);
  const at = sharpAt(source, disparity);
  if (by === "linked" || by === "track") return say(by);
  if (by === "mask" || by === "distance") return say(by, { at });
  if (by === "automatic") {
    return source?.run ? say("automatic", { at }) : say("automaticBeforeRun");
  }
  const hint = say("hint");
  if (!source) return hint;
  return source.run ? `${at} ${hint}`.trim() : say("hintBeforeRun", { hint });
}

/**
 * Return what is to be shown: the last run, else the picture of Load Image, else nothing.
 * @param {ComfyNode} node
 */
function wanted(node) {
  const file = loadedFile(node);
  const last = validRun(node, file);
  const run = last && runAt(last, shownFrame(runName(node)));
  if (!run && !file) return null;
  return { run, photo: run ? null : { query: viewOfFile(file ?? ""), size: null } };
}

/**
 * Return the frames of the last run that can be looked at.
 * @param {ComfyNode} node
 */
function stopsOf(node) {
  return validRun(node, loadedFile(node))?.frames?.map(({ frame }) => frame) ?? [0];
}

/** What the picker does on Render Bokeh. @type {Kind} */
export const LENS = {
  hasFrames: false,
  stopsOf,
  frameOf: (node) => shownFrame(runName(node)),
  setFrame: (node, frame) => showFrame(runName(node), frame),
  wanted,
  shownValues,
  isAutomatic,
  hasSubject: (node) => !isLinked(node, "focus_mode"),
  controlsOf,
  focusOf,
  marksOf: () => [],
  isStrengthFixed,
  strengthOf,
  shareOf,
  writeShare,
  writePoint,
  toggleAutomatic,
  strengthText,
  sentence,
};
