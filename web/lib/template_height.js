// The height of a template's node in Nodes 2.0.

/** @typedef {import("../../tests/web/comfyui").ComfyNode} ComfyNode */

// A property of nodes in templates, which were laid out for the classic canvas: that shows every input
// and fits a picture into the node, Nodes 2.0 shows the everyday inputs and adds text and picture below.
const NODES_2 = "height in Nodes 2.0";

export function isNodes2() {
  return Boolean(window.LiteGraph?.vueNodesMode);
}

/**
 * Give a node of a template its height in Nodes 2.0, once: from then on it is the person's.
 * @param {ComfyNode} node
 */
export function fitNodes2(node) {
  const height = Number(node.properties[NODES_2]);
  if (!height || !isNodes2()) return;
  delete node.properties[NODES_2];
  node.size = [node.size[0], height];
}
