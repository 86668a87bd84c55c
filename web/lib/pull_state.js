// What the widgets of a Focus Pull mean at the frame that is set: its picker shows the photo of
// the Render Bokeh behind it, and writes points and strengths into the text of the keyframes.

import { between, readKeys, removeKey, writeKey, LAST_FRAME } from "./keyframes.js";
import {
  controlsOf, isLinked, lensBehind, loadedFile, textOf, viewOfFile, write,
} from "./focus_node.js";
import * as optics from "./focus_optics.js";
import { runAt, runName, keptRun, validRun } from "./focus_sources.js";
import { LENS, sharpAt, withBlur } from "./focus_state.js";
import { say } from "./texts.js";

/** @typedef {import("../../tests/web/comfyui").ComfyNode} ComfyNode */
/** @typedef {import("./focus_drawing.js").Point} Point */
/** @typedef {import("./focus_sources.js").Source} Source */
/** @typedef {import("./focus_state.js").Focus} Focus */
/** @typedef {import("./keyframes.js").Key} Key */

const FRAME = "focus frame"; // the property that keeps the frame
const SECOND = 24; // frames
const NO_CONTROLS = { focus_range: 0, front_strength: 1, back_strength: 1, max_radius: 0, tilt: 0,
  swing: 0 };
const USUAL = 3; // % of the width, to draw the sharp zone while there is no Render Bokeh

/** @param {ComfyNode} node */
function textIn(node) {
  return textOf(node, "keyframes", "");
}

/** @param {ComfyNode} node */
export function frameOf(node) {
  return Math.min(Math.max(0, Math.round(Number(node.properties[FRAME]) || 0)), LAST_FRAME);
}

/**
 * @param {ComfyNode} node
 * @param {number} frame
 */
export function setFrame(node, frame) {
  node.properties[FRAME] = frame;
  node.properties[FRAME] = frameOf(node);
}

/**
 * Return the keyframe at the frame that is set; undefined without one.
 * @param {ComfyNode} node
 */
export function keyHere(node) {
  return readKeys(textIn(node)).keys.find((one) => one.frame === frameOf(node));
}

/**
 * Go to the next keyframe, or the one before; beyond the last one, a second on.
 * @param {ComfyNode} node
 * @param {1 | -1} way
 */
export function goToKey(node, way) {
  const frames = readKeys(textIn(node)).keys.map((one) => one.frame);
  const now = frameOf(node);
  const next = way > 0 ? frames.find((one) => one > now)
    : frames.filter((one) => one < now).at(-1);
  setFrame(node, next ?? (way > 0 ? now + SECOND : 0));
}

/** @param {ComfyNode} node */
export function removeKeyHere(node) {
  write(node, "keyframes", removeKey(textIn(node), frameOf(node)));
}

/** @param {Key} key */
function isPoint(key) {
  return typeof key.focus === "object" && key.focus !== null;
}

/**
 * Return whether the masks decide all the time, whatever the keyframes say.
 * @param {ComfyNode} node
 * @param {Key[]} keys
 */
function followsAlways(node, keys) {
  return isLinked(node, "subject") && !keys.some((one) => one.focus === "subject");
}

/**
 * Return where the focus is at the frame that is set.
 * @param {ComfyNode} node
 * @param {Source | null} source
 * @returns {Focus}
 */
function focusOf(node, source) {
  if (isLinked(node, "keyframes")) return { by: "linked", point: null, disparity: null };
  const { keys, unread } = readKeys(textIn(node));
  if (unread) return { by: "unread", point: null, disparity: null };
  if (followsAlways(node, keys)) return { by: "subject", point: null, disparity: null };
  const focused = keys.filter((one) => one.focus !== null);
  const frame = frameOf(node);
  const here = focused.find((one) => one.frame === frame);
  if (here?.focus === "subject") return { by: "automatic", point: null, disparity: null };
  const depth = source?.depth;
  /** @type {(key: Key) => number[] | null} */
  const disparity = ({ focus }) => {
    if (typeof focus === "number") return [1 / focus];
    if (!focus || focus === "subject" || !depth) return null;
    return [optics.focusDisparityAt(depth, focus.x, focus.y)];
  };
  /** @type {(key: Key) => number[] | null} */
  const place = ({ focus }) => (typeof focus === "object" && focus ? [focus.x, focus.y] : null);
  const at = between(focused, frame, place);
  return {
    by: here ? "point" : "between",
    point: at && { x: at[0], y: at[1] },
    disparity: between(focused, frame, disparity)?.[0] ?? null,
  };
}

/**
 * Return the keyframes with a point, but for the one at the frame that is set.
 * @param {ComfyNode} node
 */
function marksOf(node) {
  const frame = frameOf(node);
  return readKeys(textIn(node)).keys.filter((one) => isPoint(one) && one.frame !== frame)
    .map((one) => ({ at: /** @type {Point} */ (one.focus), text: `${one.frame}` }));
}

/** @param {ComfyNode} node */
function unitOf(node) {
  const lens = lensBehind(node);
  return lens ? textOf(lens, "strength_unit", "px·m") : "% of width";
}

/**
 * Return the strength that is keyed at the frame, in Render Bokeh's unit; null where none is.
 * @param {ComfyNode} node
 */
function keyedStrength(node) {
  const keys = readKeys(textIn(node)).keys.filter((one) => one.strength !== null);
  return between(keys, frameOf(node), (key) => [key.strength ?? 0])?.[0] ?? null;
}

/**
 * Return bokeh strength K, px·m, of the frame: that of a keyframe, else of the Render Bokeh.
 * @param {ComfyNode} node
 * @param {Source | null} source
 */
function strengthOf(node, source) {
  const width = source?.size[0] ?? 1024;
  const keyed = keyedStrength(node);
  if (keyed !== null) return optics.strengthInPx(keyed, unitOf(node), width);
  const lens = lensBehind(node);
  const last = lens && keptRun(runName(lens))?.run;
  const own = source && lens && { ...source, run: last ? runAt(last, frameOf(node)) : null };
  return lens ? LENS.strengthOf(lens, own) : optics.strengthInPx(USUAL, "% of width", width);
}

/**
 * @param {ComfyNode} node
 * @param {Source | null} source
 */
function shareOf(node, source) {
  const width = source?.size[0] ?? 1024;
  return optics.strengthInUnit(strengthOf(node, source), "% of width", width);
}

/**
 * Key a strength that is given in % of the width.
 * @param {ComfyNode} node
 * @param {Source | null} source
 * @param {number} share
 */
function writeShare(node, source, share) {
  const unit = unitOf(node);
  const value = optics.steppedStrength(share, unit, source?.size[0] ?? 1024);
  write(node, "keyframes", writeKey(textIn(node), frameOf(node), "strength", `${value}`));
}

/**
 * Focus on a point at the frame that is set.
 * @param {ComfyNode} node
 * @param {Point} point shares of the picture
 */
function writePoint(node, point) {
  const [x, y] = [point.x, point.y].map((one) => Math.round(one * 1000) / 1000);
  write(node, "keyframes", writeKey(textIn(node), frameOf(node), "focus", `${x},${y}`));
}

/** @param {ComfyNode} node */
function isAutomatic(node) {
  return keyHere(node)?.focus === "subject";
}

/** @param {ComfyNode} node */
function toggleAutomatic(node) {
  const focus = isAutomatic(node) ? "0.5,0.5" : "subject";
  write(node, "keyframes", writeKey(textIn(node), frameOf(node), "focus", focus));
}

/**
 * @param {ComfyNode} node
 * @param {Source | null} source
 * @param {number | null} disparity of the focus plane
 */
function strengthText(node, source, disparity) {
  const share = shareOf(node, source);
  const unit = unitOf(node);
  const value = optics.steppedStrength(share, unit, source?.size[0] ?? 1024);
  return withBlur(say("strength", { value, unit }), share, source, disparity);
}

/**
 * @param {ComfyNode} node
 * @param {Source | null} source
 */
function sentence(node, source) {
  const frame = frameOf(node);
  const { by, disparity } = focusOf(node, source);
  const at = sharpAt(source, disparity);
  if (by === "linked") return say("pullLinked");
  if (by === "unread") return say("pullUnread", { text: readKeys(textIn(node)).unread });
  if (by === "subject") return say("pullFollows");
  if (by === "automatic") return say("pullSubject", { frame });
  return say(by === "between" ? "pullBetween" : "pullKey", { frame, at });
}

/**
 * Return what is to be shown: the photo of the Render Bokeh behind, with the depth of the last run.
 * @param {ComfyNode} node
 */
function wanted(node) {
  const lens = lensBehind(node);
  const file = lens && loadedFile(lens);
  const rendered = lens && validRun(lens, file);
  const behind = rendered && runAt(rendered, frameOf(node));
  const last = keptRun(runName(node))?.run;
  const run = last ? runAt(last, frameOf(node)) : null;
  const photo = behind ? { query: `${new URLSearchParams(behind.picture)}`, size: behind.size }
    : file ? { query: viewOfFile(file), size: null } : null;
  return run || photo ? { run, photo } : null;
}

/**
 * Return the frames of the last run, all of which a click can set.
 * @param {ComfyNode} node
 */
function stopsOf(node) {
  return Array.from({ length: keptRun(runName(node))?.run.count ?? 1 }, (_, frame) => frame);
}

/** What the picker does on Focus Pull. @type {import("./focus_state.js").Kind} */
export const PULL = {
  hasFrames: true,
  stopsOf,
  frameOf,
  setFrame,
  wanted,
  shownValues: (node) => {
    const lens = lensBehind(node);
    return [textIn(node), frameOf(node), isLinked(node, "keyframes"), isLinked(node, "subject"),
      lens && LENS.shownValues(lens)];
  },
  isAutomatic,
  hasSubject: (node) => isLinked(node, "subject") && !isLinked(node, "keyframes"),
  controlsOf: (node) => {
    const lens = lensBehind(node);
    return lens ? controlsOf(lens) : NO_CONTROLS;
  },
  focusOf,
  marksOf,
  isStrengthFixed: (node) => isLinked(node, "keyframes") || !lensBehind(node),
  strengthOf,
  shareOf,
  writeShare,
  writePoint,
  toggleAutomatic,
  strengthText,
  sentence,
};
