// Live drafts: queue this node's branch alone, as a draft, up to a preview behind it; where the
// graph has none, the queued prompt gets one.

import { say } from "./texts.js";

/** @typedef {import("../../tests/web/comfyui").ComfyApp} ComfyApp */
/** @typedef {import("../../tests/web/comfyui").ComfyApi} ComfyApi */
/** @typedef {import("../../tests/web/comfyui").ComfyNode} ComfyNode */
/** @typedef {import("../../tests/web/comfyui").ApiPrompt} ApiPrompt */

const PREVIEW = "PreviewImage"; // what saves nothing that stays
const OWN_PREVIEW = "bokeh-draft"; // id of one that only the queued prompt holds

/**
 * Return whether this front end can queue a branch alone: whether its queuePrompt takes options
 * (from 1.24 on). Where another pack wrapped it, that is taken as given.
 * @param {ComfyApi} api
 */
export function canQueueBranch(api) {
  return api.queuePrompt.length !== 2;
}

/**
 * Return the id of the nearest Preview Image behind a node in a prompt; null without one.
 * @param {ApiPrompt["output"]} output
 * @param {string} from id
 */
export function previewBehind(output, from) {
  const seen = new Set([from]);
  const waiting = [from];
  for (let id = waiting.shift(); id !== undefined; id = waiting.shift()) {
    for (const [next, { class_type, inputs }] of Object.entries(output)) {
      const uses = Object.values(inputs).some((one) => Array.isArray(one) && `${one[0]}` === id);
      if (!uses || seen.has(next)) continue;
      if (class_type === PREVIEW) return next;
      seen.add(next);
      waiting.push(next);
    }
  }
  return null;
}

/**
 * Return the id that a node has in the prompt; inside a subgraph it follows that of the subgraph.
 * @param {ApiPrompt["output"]} output
 * @param {ComfyNode} node
 */
export function promptId(output, node) {
  const ids = Object.keys(output).filter(
    (id) => id.split(":").at(-1) === `${node.id}` && output[id].class_type === node.comfyClass,
  );
  return ids.length === 1 ? ids[0] : null;
}

/**
 * Queue a draft; return null, or why it could not be.
 * @param {ComfyApp} app
 * @param {ComfyApi} api
 * @param {ComfyNode} node
 * @returns {Promise<string | null>}
 */
export async function queueDraft(app, api, node) {
  const prompt = await app.graphToPrompt();
  const id = promptId(prompt.output, node);
  if (id === null) return say("notInPrompt");
  const target = previewBehind(prompt.output, id) ?? OWN_PREVIEW;
  if (target === OWN_PREVIEW) {
    prompt.output[target] = { class_type: PREVIEW, inputs: { images: [id, 0] } };
  }
  const ours = prompt.output[id];
  ours.inputs = { ...ours.inputs, quality: "draft" };
  try {
    await api.queuePrompt(0, prompt, { partialExecutionTargets: [target] });
  } catch (error) {
    return say("noDraft", { error: error instanceof Error ? error.message : `${error}` });
  }
  return null;
}
