// A second upload button on Load Metric Depth: the picture button takes PNG, JPEG and WebP only.
import { api } from "../../scripts/api.js";
import { app } from "../../scripts/app.js";

const KINDS = ".exr,.png,.tif,.tiff,.pfm,.npy,.npz,.heic,.heif,.avif,.jpg,.jpeg,.webp";

/**
 * Upload a file to ComfyUI's input folder; return its name there.
 * @param {File} file
 * @returns {Promise<string>}
 */
async function upload(file) {
  const body = new FormData();
  body.append("image", file);
  const answer = await api.fetchApi("/upload/image", { method: "POST", body });
  if (answer.status !== 200) throw new Error(`${answer.status} ${answer.statusText}`);
  const stored = await answer.json();
  return stored.subfolder ? `${stored.subfolder}/${stored.name}` : stored.name;
}

app.registerExtension({
  name: "BokehDepth.LoadMetricDepth",
  nodeCreated(node) {
    if (node.comfyClass !== "LoadMetricDepth") return;
    const combo = node.widgets?.find((widget) => widget.name === "file");
    if (!combo) return;
    const choose = () => {
      const input = document.createElement("input");
      input.type = "file";
      input.accept = KINDS;
      input.onchange = async () => {
        if (!input.files?.length) return;
        try {
          const name = await upload(input.files[0]);
          const values = combo.options?.values;
          if (Array.isArray(values) && !values.includes(name)) values.push(name);
          combo.value = name;
          combo.callback?.(name);
          node.setDirtyCanvas?.(true, true);
        } catch (error) {
          app.extensionManager?.toast?.add?.({
            severity: "error",
            summary: "Load Metric Depth",
            detail: `${input.files[0].name}: not uploaded (${error instanceof Error ? error.message : error}). Try again.`,
          });
        }
      };
      input.click();
    };
    const button = node.addWidget("button", "choose depth file to upload", "", choose, {
      serialize: false,
    });
    button.serialize = false;
  },
});
