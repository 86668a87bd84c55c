// The pack's templates by name, so that the first to try is the first of the cards. ComfyUI lists
// the files as the disk does.
import { api } from "../../scripts/api.js";
import { app } from "../../scripts/app.js";

const PACK = decodeURIComponent(new URL(import.meta.url).pathname.split("/extensions/")[1].split("/")[0]);

/** Sort this pack's names in the list of templates that the page asks for; leave all others. */
function sortTemplates() {
  const original = api.getWorkflowTemplates;
  if (typeof original !== "function") return;
  api.getWorkflowTemplates = async function () {
    const all = await original.call(this);
    const ours = all?.[PACK];
    return Array.isArray(ours) ? { ...all, [PACK]: [...ours].sort() } : all;
  };
}

app.registerExtension({ name: "BokehDepth.TemplateOrder", setup: sortTemplates });
