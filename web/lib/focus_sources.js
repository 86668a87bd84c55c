// The pictures that the picker shows: those of the last run, or the one in Load Image before it.

import { unpackDisparity } from "./focus_optics.js";

/** @typedef {import("../../tests/web/comfyui").ComfyApi} ComfyApi */
/** @typedef {import("../../tests/web/comfyui").ComfyNode} ComfyNode */
/** @typedef {import("./focus_optics.js").Depth} Depth */
/** @typedef {{x: number, y: number, disparity: number}} Place */

/**
 * @typedef {object} Run what the node handed over (nodes/render/focus_preview.py)
 * @property {Record<string, string>} picture
 * @property {Record<string, string>} depth
 * @property {Record<string, string>} [result] of a node that renders
 * @property {[number, number]} size width and height of the whole picture, px
 * @property {[number, number]} disparity
 * @property {boolean} metric
 * @property {number[] | null} camera
 * @property {Place & {by: string}} [focus]
 * @property {{value: number, by: string}} [strength] K, px·m
 * @property {Place} [subject]
 * @property {number} [count] of pictures in the batch, or frames of the pull
 * @property {(Partial<Run> & {frame: number})[]} [frames] of a batch: some of its pictures, evenly
 *   spread; the first is that of the run itself
 */

/**
 * @typedef {object} Source what is shown
 * @property {ImageBitmap} picture
 * @property {[number, number]} size of the whole picture, px
 * @property {Depth | null} depth
 * @property {ImageBitmap | null} result
 * @property {Run | null} run
 */

/**
 * @typedef {object} Wanted what is to be shown: a run, a photo, or a run's depth below a photo
 * @property {Run | null} run
 * @property {{query: string, size: [number, number] | null} | null} photo asked of ComfyUI's /view,
 *   and the size of the whole picture, px; null: that of the file itself
 */

/** What the last runs gave, so that it outlives undo, which makes all nodes anew. */
const kept = /** @type {Map<string, {run: Run, file: string | null, frame: number}>} */ (new Map());
const MOST_KEPT = 64;

/**
 * Keep what a run gave for a node.
 * @param {string} key
 * @param {Run} run
 * @param {string | null} file of Load Image at that time
 */
export function keepRun(key, run, file) {
  const frame = kept.get(key)?.frame ?? 0;
  kept.delete(key);
  kept.set(key, { run, file, frame });
  const oldest = kept.keys().next().value;
  if (kept.size > MOST_KEPT && oldest !== undefined) kept.delete(oldest);
}

/**
 * Return what the last run gave for a node.
 * @param {string} key
 */
export function keptRun(key) {
  return kept.get(key) ?? null;
}

/**
 * Return the name under which the runs of a node are kept.
 * @param {ComfyNode} node
 */
export function runName({ graph, id }) {
  return `${graph?.rootGraph?.id ?? ""}/${graph?.id ?? ""}/${id}`;
}

/**
 * Return the last run of a node, if it still shows the file in Load Image.
 * @param {ComfyNode} node
 * @param {string | null} file in Load Image now
 */
export function validRun(node, file) {
  const last = keptRun(runName(node));
  return last && (file === null || last.file === file) ? last.run : null;
}

/**
 * Return which frame of a node's last run is looked at.
 * @param {string} key
 */
export function shownFrame(key) {
  return kept.get(key)?.frame ?? 0;
}

/**
 * Look at another frame of a node's last run.
 * @param {string} key
 * @param {number} frame
 */
export function showFrame(key, frame) {
  const last = kept.get(key);
  if (last) last.frame = frame;
}

/**
 * Return a run as its picture that is nearest to a frame shows it.
 * @param {Run} run
 * @param {number} frame
 * @returns {Run}
 */
export function runAt(run, frame) {
  const { frames, ...whole } = run;
  if (!frames?.length) return run;
  const away = frames.map((one) => Math.abs(one.frame - frame));
  return { ...whole, ...frames[away.indexOf(Math.min(...away))] };
}

/**
 * Fetch a picture by ComfyUI's /view, its colours untouched.
 * @param {ComfyApi} api
 * @param {string} query
 */
async function fetchPicture(api, query) {
  const answer = await api.fetchApi(`/view?${query}`);
  if (!answer.ok) throw new Error(`${answer.status} ${answer.statusText}`);
  return createImageBitmap(await answer.blob(), { colorSpaceConversion: "none" });
}

/** What was fetched last, so that going to and fro over a clip fetches nothing twice. */
const fetched = /** @type {Map<string, Promise<Source>>} */ (new Map());
const MOST_FETCHED = 12;

/**
 * Return what is to be shown, fetched where it is not at hand.
 * @param {ComfyApi} api
 * @param {string} key says the same as `wanted`
 * @param {Wanted} wanted
 */
export function sourceOf(api, key, wanted) {
  const source = fetched.get(key) ?? fetchWanted(api, wanted);
  fetched.delete(key);
  if (!wanted.run) return source; // a file may change under its name
  fetched.set(key, source);
  source.catch(() => fetched.delete(key));
  const oldest = fetched.keys().next().value;
  if (fetched.size > MOST_FETCHED && oldest !== undefined) fetched.delete(oldest);
  return source;
}

/**
 * Fetch what is to be shown. Of a run below a photo, its own picture is what holding shows.
 * @param {ComfyApi} api
 * @param {Wanted} wanted
 * @returns {Promise<Source>}
 */
async function fetchWanted(api, { run, photo }) {
  const own = run && `${new URLSearchParams(run.picture)}`;
  const behind = run?.result ? `${new URLSearchParams(run.result)}` : photo ? own : null;
  const [picture, result, depth] = await Promise.all([
    fetchPicture(api, photo?.query ?? own ?? ""),
    behind ? fetchPicture(api, behind) : null,
    run && fetchDepth(api, run),
  ]);
  const size = photo ? (photo.size ?? [picture.width, picture.height]) : run?.size;
  return { picture, size: size ?? [picture.width, picture.height], depth, result, run };
}

/**
 * Fetch the depth of a run.
 * @param {ComfyApi} api
 * @param {Run} run
 */
async function fetchDepth(api, run) {
  const packed = await fetchPicture(api, `${new URLSearchParams(run.depth)}`);
  const canvas = document.createElement("canvas");
  canvas.width = packed.width;
  canvas.height = packed.height;
  const context = canvas.getContext("2d", { willReadFrequently: true });
  if (!context) throw new Error("no canvas");
  context.drawImage(packed, 0, 0);
  const { data } = context.getImageData(0, 0, canvas.width, canvas.height);
  return unpackDisparity(data, canvas.width, canvas.height, run.disparity);
}
