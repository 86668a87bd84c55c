// The pictures that the picker shows: those of the last run, or the one in Load Image before it.

import { unpackDisparity } from "./focus_optics.js";

/** @typedef {import("../../tests/web/comfyui").ComfyApi} ComfyApi */
/** @typedef {import("./focus_optics.js").Depth} Depth */
/** @typedef {{x: number, y: number, disparity: number}} Place */

/**
 * @typedef {object} Run what the node handed over (nodes/focus_preview.py)
 * @property {Record<string, string>} picture
 * @property {Record<string, string>} depth
 * @property {Record<string, string>} result
 * @property {[number, number]} size width and height of the whole picture, px
 * @property {[number, number]} disparity
 * @property {boolean} metric
 * @property {number[] | null} camera
 * @property {Place & {by: string}} focus
 * @property {{value: number, by: string}} strength K, px·m
 * @property {Place} subject
 */

/**
 * @typedef {object} Source what is shown
 * @property {ImageBitmap} picture
 * @property {[number, number]} size of the whole picture, px
 * @property {Depth | null} depth
 * @property {ImageBitmap | null} result
 * @property {Run | null} run
 */

/** What the last runs gave, so that it outlives undo, which makes all nodes anew. */
const kept = /** @type {Map<string, {run: Run, file: string | null}>} */ (new Map());
const MOST_KEPT = 64;

/**
 * Keep what a run gave for a node.
 * @param {string} key
 * @param {Run} run
 * @param {string | null} file of Load Image at that time
 */
export function keepRun(key, run, file) {
  kept.delete(key);
  kept.set(key, { run, file });
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
 * Fetch a picture by ComfyUI's /view, its colours untouched.
 * @param {ComfyApi} api
 * @param {string} query
 */
async function fetchPicture(api, query) {
  const answer = await api.fetchApi(`/view?${query}`);
  if (!answer.ok) throw new Error(`${answer.status} ${answer.statusText}`);
  return createImageBitmap(await answer.blob(), { colorSpaceConversion: "none" });
}

/**
 * Fetch what a run gave.
 * @param {ComfyApi} api
 * @param {Run} run
 * @returns {Promise<Source>}
 */
export async function fetchRun(api, run) {
  const queries = [run.picture, run.depth, run.result].map((one) => `${new URLSearchParams(one)}`);
  const [picture, packed, result] = await Promise.all(queries.map((one) => fetchPicture(api, one)));
  const canvas = document.createElement("canvas");
  canvas.width = packed.width;
  canvas.height = packed.height;
  const context = canvas.getContext("2d", { willReadFrequently: true });
  if (!context) throw new Error("no canvas");
  context.drawImage(packed, 0, 0);
  const { data } = context.getImageData(0, 0, canvas.width, canvas.height);
  const depth = unpackDisparity(data, canvas.width, canvas.height, run.disparity);
  return { picture, size: run.size, depth, result, run };
}

/**
 * Fetch the picture of Load Image, before any run.
 * @param {ComfyApi} api
 * @param {string} query
 * @returns {Promise<Source>}
 */
export async function fetchFile(api, query) {
  const picture = await fetchPicture(api, query);
  return { picture, size: [picture.width, picture.height], depth: null, result: null, run: null };
}
