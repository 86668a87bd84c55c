// The optics that the focus picker draws: the renderer's own formulas for one small picture.
// Everything here is plain numbers and arrays; tests/web compares it with the Python core.

import { say } from "./texts.js";

/**
 * @typedef {object} Depth disparity of a small picture, row by row
 * @property {number} width px
 * @property {number} height px
 * @property {Float32Array} disparity 1/m, or 0…1 where it is relative
 */

/**
 * @typedef {object} Controls the inputs of Render Bokeh that change the blur radius
 * @property {number} focus_range px
 * @property {number} front_strength
 * @property {number} back_strength
 * @property {number} max_radius px, 0 is no limit
 * @property {number} tilt degrees
 * @property {number} swing degrees
 */

const LONGEST_SHOULDER = 40; // as in optics/focus/controls.py
const KNEE = 0.5;
const WINDOW = 0.01; // side of the square whose median decides, of the shorter side
const STEPS = 65535;
const HALF_STRENGTH = 4; // % of the width at which the ring is half-way to its widest

/**
 * Return the disparity in the pixels of the PNG: 16 bits in red and green.
 * @param {Uint8ClampedArray} pixels RGBA
 * @param {number} width
 * @param {number} height
 * @param {[number, number]} ends what 0 and 65535 stand for
 * @returns {Depth}
 */
export function unpackDisparity(pixels, width, height, [low, high]) {
  const disparity = new Float32Array(width * height);
  const step = (high - low) / STEPS;
  for (let i = 0; i < disparity.length; i++) {
    disparity[i] = low + step * (256 * pixels[4 * i] + pixels[4 * i + 1]);
  }
  return { width, height, disparity };
}

/**
 * Return the disparity of the focus plane at a point: the median around it, as in thin_lens.py.
 * @param {Depth} depth
 * @param {number} x share of the width
 * @param {number} y share of the height
 */
export function focusDisparityAt(depth, x, y) {
  const { width, height, disparity } = depth;
  const reach = Math.max(0, Math.round((WINDOW * Math.min(width, height)) / 2));
  const column = Math.min(Math.floor(x * width), width - 1);
  const row = Math.min(Math.floor(y * height), height - 1);
  const found = [];
  for (let r = Math.max(0, row - reach); r <= Math.min(height - 1, row + reach); r++) {
    for (let c = Math.max(0, column - reach); c <= Math.min(width - 1, column + reach); c++) {
      found.push(disparity[r * width + c]);
    }
  }
  found.sort((a, b) => a - b);
  return found[(found.length - 1) >> 1];
}

/**
 * Return the disparity of the pixel under a point.
 * @param {Depth} depth
 * @param {number} x share of the width
 * @param {number} y share of the height
 */
export function disparityAt({ width, height, disparity }, x, y) {
  const column = Math.min(Math.max(0, Math.floor(x * width)), width - 1);
  const row = Math.min(Math.max(0, Math.floor(y * height)), height - 1);
  return disparity[row * width + column];
}

/**
 * Return bokeh strength K, px·m, of a strength in its unit.
 * @param {number} strength
 * @param {string} unit "px·m" or "% of width"
 * @param {number} width of the whole picture, px
 */
export function strengthInPx(strength, unit, width) {
  return unit === "px·m" ? strength : (strength * width) / 100;
}

/**
 * Return a strength in its unit from K in px·m.
 * @param {number} inPx
 * @param {string} unit
 * @param {number} width of the whole picture, px
 */
export function strengthInUnit(inPx, unit, width) {
  return unit === "px·m" ? inPx : (inPx / width) * 100;
}

/**
 * Return a strength in its unit, in the steps of the widget, from one in % of the width.
 * @param {number} share
 * @param {string} unit
 * @param {number} width of the whole picture, px
 */
export function steppedStrength(share, unit, width) {
  const value = Math.max(0, strengthInUnit((share * width) / 100, unit, width));
  const step = unit === "px·m" ? 0.5 : 0.05;
  return Number((Math.round(value / step) * step).toFixed(2));
}

/**
 * Return a signed blur radius, px, as the controls change it (FocusControls.change).
 * @param {number} signed px, front positive
 * @param {Controls} controls
 */
export function changedRadius(signed, controls) {
  let radius = Math.abs(signed);
  const zone = controls.focus_range;
  if (zone > 0) {
    if (radius <= zone) return 0;
    const beyond = Math.min((radius - zone) / zone, LONGEST_SHOULDER);
    radius = Math.max(0, radius - zone * (1 + 2 * beyond) * Math.exp(-beyond));
  }
  radius *= signed > 0 ? controls.front_strength : controls.back_strength;
  const knee = KNEE * controls.max_radius;
  if (controls.max_radius > 0 && radius > knee) {
    const rest = controls.max_radius - knee;
    radius = knee - rest * Math.expm1((knee - radius) / rest);
  }
  return signed < 0 ? -radius : radius;
}

/**
 * Return how a turned plane of focus (tilt, swing) changes over the picture: the share of its
 * disparity at the focus point is a + b·x + c·y for a pixel at shares (x, y); see tilt.py.
 * @param {Controls} controls
 * @param {number[] | null} camera fx, fy, cx, cy in shares of the sides; null where unknown
 * @param {{x: number, y: number}} point
 * @returns {[number, number, number]}
 */
export function turnedPlane(controls, camera, point) {
  if (!camera || !(controls.tilt || controls.swing)) return [1, 0, 0];
  const [fx, fy, cx, cy] = camera;
  const right = -Math.tan((controls.swing * Math.PI) / 180) / fx;
  const down = Math.tan((controls.tilt * Math.PI) / 180) / fy;
  const begin = 1 - cx * right - cy * down;
  const facing = begin + point.x * right + point.y * down;
  return [begin / facing, right / facing, down / facing];
}

/**
 * Return the signed blur radius of every pixel, px of the whole picture, front positive.
 * @param {Depth} depth
 * @param {number} strength K, px·m
 * @param {number} focus disparity of the focus plane
 * @param {Controls} controls
 * @param {[number, number, number]} [plane] of `turnedPlane`
 */
export function signedRadii(depth, strength, focus, controls, plane = [1, 0, 0]) {
  const { width, height, disparity } = depth;
  const radii = new Float32Array(disparity.length);
  for (let row = 0, i = 0; row < height; row++) {
    const begin = plane[0] + (plane[2] * (row + 0.5)) / height;
    for (let column = 0; column < width; column++, i++) {
      const turned = focus * (begin + (plane[1] * (column + 0.5)) / width);
      radii[i] = changedRadius(strength * (disparity[i] - turned), controls);
    }
  }
  return radii;
}

/**
 * Return the blur radius, px, up to which a picture counts as sharp: half of the usual circle of
 * confusion, 1/1500 of the diagonal; at least the 1 px of the node's focus_view.
 * @param {number} width of the whole picture, px
 * @param {number} height
 */
export function sharpLimit(width, height) {
  return Math.max(1, Math.hypot(width, height) / 3000);
}

/**
 * Return the radius of the ring that stands for a strength. It grows ever slower, so that weak
 * strengths are set finely and strong ones stay on the picture.
 * @param {number} share strength, % of the picture's width
 * @param {number} least radius at strength 0
 * @param {number} most radius that is never reached
 */
export function ringRadius(share, least, most) {
  return least + ((most - least) * share) / (share + HALF_STRENGTH);
}

/**
 * Return the strength, % of the width, that a ring stands for: the inverse of `ringRadius`.
 * @param {number} radius
 * @param {number} least
 * @param {number} most
 */
export function ringStrength(radius, least, most) {
  const way = Math.min(Math.max(0, (radius - least) / (most - least)), 0.97);
  return (HALF_STRENGTH * way) / (1 - way);
}

/**
 * Return a distance as text.
 * @param {number} disparity 1/m, or 0…1 where it is relative
 * @param {boolean} metric
 */
export function distanceText(disparity, metric) {
  if (!metric) return say("nearness", { share: Math.round(disparity * 100) });
  if (disparity < 1e-4) return "∞";
  const metres = 1 / disparity;
  return `${metres.toFixed(metres < 10 ? 2 : metres < 100 ? 1 : 0)} m`;
}
