// Where things lie in the picker's canvas, in CSS px of its own layout, at any zoom of the page.

import { fitted } from "./focus_drawing.js";
import { ringRadius } from "./focus_optics.js";

/** @typedef {import("../../tests/web/comfyui").ComfyNode} ComfyNode */
/** @typedef {import("./focus_drawing.js").Box} Box */
/** @typedef {import("./focus_drawing.js").Point} Point */
/** @typedef {import("./focus_sources.js").Source} Source */
/** @typedef {import("./focus_state.js").Kind} Kind */

/**
 * @typedef {object} Layout
 * @property {Box} box of the picture
 * @property {Point | null} marker
 * @property {number} ring its radius
 * @property {number} mostRing radius that the ring never reaches
 * @property {boolean} isFixed the strength comes from a link, a lens or a track
 */

export const LEAST_RING = 15; // CSS px, at strength 0
const GRIP = 7; // CSS px beside the ring that still take it

/** @param {number} share */
export function inside(share) {
  return Math.min(Math.max(share, 0), 1);
}

/**
 * @param {Kind} kind
 * @param {HTMLCanvasElement} canvas
 * @param {ComfyNode} node
 * @param {Source | null} source
 * @returns {Layout}
 */
export function layoutOf(kind, canvas, node, source) {
  const [width, height] = source?.size ?? [3, 2];
  const box = fitted(width, height, canvas.clientWidth, canvas.clientHeight);
  const mostRing = Math.max(LEAST_RING + 20, 0.5 * Math.min(box.width, box.height));
  const { point } = kind.focusOf(node, source);
  return {
    box,
    marker: point && source
      ? { x: box.left + point.x * box.width, y: box.top + point.y * box.height } : null,
    ring: ringRadius(kind.shareOf(node, source), LEAST_RING, mostRing),
    mostRing,
    isFixed: kind.isStrengthFixed(node, source),
  };
}

/**
 * Return where a pointer is.
 * @param {HTMLCanvasElement} canvas
 * @param {MouseEvent} event
 * @returns {Point}
 */
export function placeOf(canvas, event) {
  const seen = canvas.getBoundingClientRect();
  return {
    x: ((event.clientX - seen.left) * canvas.clientWidth) / seen.width,
    y: ((event.clientY - seen.top) * canvas.clientHeight) / seen.height,
  };
}

/**
 * Return a place as shares of the picture; beyond its border it is the border.
 * @param {Box} box
 * @param {Point} place
 * @returns {Point}
 */
export function sharesOf(box, place) {
  return {
    x: inside((place.x - box.left) / box.width),
    y: inside((place.y - box.top) / box.height),
  };
}

/**
 * Return whether a place is on the picture.
 * @param {Box} box
 * @param {Point} place
 */
export function isOnPicture(box, place) {
  return place.x >= box.left && place.x <= box.left + box.width &&
    place.y >= box.top && place.y <= box.top + box.height;
}

/**
 * Return whether a place is near enough to the ring to take it.
 * @param {Layout} layout
 * @param {Point} place
 */
export function isAtRing({ marker, ring, isFixed }, place) {
  if (!marker || isFixed) return false;
  return Math.abs(Math.hypot(place.x - marker.x, place.y - marker.y) - ring) <= GRIP;
}
