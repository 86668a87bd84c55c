// Runs that ComfyUI answered from its cache: older versions send nothing of a cached node, so what
// it gave is looked up in ComfyUI's own history, where the same node ran on the same inputs.

import { promptId } from "./focus_live.js";

/** @typedef {import("../../tests/web/comfyui").ComfyApi} ComfyApi */
/** @typedef {import("../../tests/web/comfyui").ComfyNode} ComfyNode */
/** @typedef {import("../../tests/web/comfyui").ApiPrompt} ApiPrompt */
/** @typedef {import("./focus_sources.js").Run} Run */

const MOST_RUNS = 32; // that are looked at

/**
 * Return what a node and all before it are, as text without their ids.
 * @param {ApiPrompt["output"]} output
 * @param {string} id
 * @returns {string}
 */
export function signature(output, id) {
  const node = output[id];
  if (!node) return "";
  const inputs = Object.entries(node.inputs).sort(([a], [b]) => (a < b ? -1 : 1));
  const values = inputs.map(([name, value]) =>
    Array.isArray(value) ? [name, signature(output, `${value[0]}`), value[1]] : [name, value],
  );
  return JSON.stringify([node.class_type, values]);
}

/**
 * Return what a node gave in a queued prompt, or in an earlier one that is the same up to it.
 * @param {ComfyApi} api
 * @param {string} queued id of the prompt
 * @param {ComfyNode} node
 * @param {string} name of the output
 * @returns {Promise<Run | null>}
 */
export async function runInHistory(api, queued, node, name) {
  const answer = await api.fetchApi(`/history?max_items=${MOST_RUNS}`);
  if (!answer.ok) return null;
  const history = await answer.json();
  const prompt = history[queued]?.prompt?.[2];
  const id = prompt && promptId(prompt, node);
  if (!id) return null;
  const wanted = signature(prompt, id);
  for (const { prompt: ran, outputs } of Object.values(history).reverse()) {
    for (const [other, given] of Object.entries(outputs ?? {})) {
      const run = given?.[name]?.[0];
      if (run && signature(ran[2], other) === wanted) return run;
    }
  }
  return null;
}
