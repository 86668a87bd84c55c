// How the focus picker looks: the picture, the sharp zone over it, marker, ring and labels.

import { say } from "./texts.js";

/** @typedef {{left: number, top: number, width: number, height: number}} Box in CSS px */
/** @typedef {{x: number, y: number}} Point */

/**
 * @typedef {object} View what is drawn
 * @property {CanvasImageSource} picture
 * @property {Box} box where the picture lies
 * @property {CanvasImageSource | null} zone the tints of `zonePicture`
 * @property {number} zoneAlpha
 * @property {Point | null} marker in CSS px
 * @property {number} ring its radius, CSS px
 * @property {{at: Point, text: string}[]} marks other places, CSS px, and what they are called
 * @property {boolean} automatic
 * @property {boolean} ringHot the pointer is at the ring
 * @property {string} ringText
 * @property {{at: Point, text: string} | null} label at the pointer
 * @property {string} corner a word in the picture's corner
 */

const ACCENT = "#ffd60a";
const FONT = "Inter, system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif";
const DARK = "rgba(12, 13, 16, 0.82)";
const FRONT = [255, 140, 26]; // the colours of the node's focus_view
const BACK = [38, 115, 255];
const SHARP = [51, 255, 77];

/**
 * Return where a picture lies in an area, whole and in its own proportions.
 * @param {number} width of the picture, any unit
 * @param {number} height
 * @param {number} areaWidth CSS px
 * @param {number} areaHeight CSS px
 * @returns {Box}
 */
export function fitted(width, height, areaWidth, areaHeight) {
  const scale = Math.min(areaWidth / width, areaHeight / height);
  const size = { width: width * scale, height: height * scale };
  return { left: (areaWidth - size.width) / 2, top: (areaHeight - size.height) / 2, ...size };
}

/**
 * Return RGBA pixels: clear and outlined in green where it is sharp, orange in front, blue behind.
 * @param {Float32Array} radii signed, px of the whole picture
 * @param {number} width
 * @param {number} height
 * @param {number} limit px, up to which it is sharp
 */
export function zonePixels(radii, width, height, limit) {
  const pixels = new Uint8ClampedArray(radii.length * 4);
  const line = width > 400 ? 2 : 1; // px of the small picture, so that it is seen in the node
  /** @param {number} i */
  const sharp = (i) => Math.abs(radii[i]) <= limit;
  for (let row = 0, i = 0; row < height; row++) {
    for (let column = 0; column < width; column++, i++) {
      const radius = Math.abs(radii[i]);
      let [red, green, blue] = radii[i] > 0 ? FRONT : BACK;
      let alpha = 40 + 80 * (1 - Math.exp(-radius / (8 * limit)));
      if (radius <= limit) {
        const border =
          (column >= line && !sharp(i - line)) || (column < width - line && !sharp(i + line)) ||
          (row >= line && !sharp(i - line * width)) ||
          (row < height - line && !sharp(i + line * width));
        [red, green, blue] = SHARP;
        alpha = border ? 255 : 0;
      }
      pixels[4 * i] = red;
      pixels[4 * i + 1] = green;
      pixels[4 * i + 2] = blue;
      pixels[4 * i + 3] = alpha;
    }
  }
  return pixels;
}

/**
 * Draw all of it.
 * @param {CanvasRenderingContext2D} context scaled to CSS px
 * @param {number} width CSS px
 * @param {number} height CSS px
 * @param {View} view
 */
export function drawView(context, width, height, view) {
  const { box } = view;
  context.clearRect(0, 0, width, height);
  context.imageSmoothingQuality = "high";
  context.drawImage(view.picture, box.left, box.top, box.width, box.height);
  context.save();
  context.beginPath();
  context.rect(box.left, box.top, box.width, box.height);
  context.clip();
  if (view.zone) {
    context.globalAlpha = view.zoneAlpha;
    context.drawImage(view.zone, box.left, box.top, box.width, box.height);
    context.globalAlpha = 1;
  }
  for (const { at, text } of view.marks) drawMark(context, at, text, box);
  if (view.marker) {
    const fits = view.marker.x + view.ring + 6 < box.left + box.width;
    drawRing(context, view.marker, view.ring, view.ringHot, fits ? 1 : -1);
  }
  if (view.marker) drawMarker(context, view.marker, view.automatic);
  context.restore();
  if (view.marker && view.ringHot) {
    const below = { x: view.marker.x, y: view.marker.y + view.ring + 4 };
    drawLabel(context, below, view.ringText, box, 0);
  } else if (view.label) {
    drawLabel(context, view.label.at, view.label.text, box, 14);
  }
  if (view.corner) {
    drawLabel(context, { x: box.left, y: box.top }, view.corner, box, 0);
  }
}

/**
 * Stroke a path twice, dark below bright, so that it is seen on every picture.
 * @param {CanvasRenderingContext2D} context
 * @param {number} width
 * @param {string} colour
 */
function strokeTwice(context, width, colour) {
  context.lineWidth = width + 2;
  context.strokeStyle = "rgba(0, 0, 0, 0.65)";
  context.stroke();
  context.lineWidth = width;
  context.strokeStyle = colour;
  context.stroke();
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {Point} at
 * @param {number} radius
 * @param {boolean} hot
 * @param {number} side 1 for a knob at the right, -1 at the left
 */
function drawRing(context, at, radius, hot, side) {
  context.beginPath();
  context.arc(at.x, at.y, radius, 0, 2 * Math.PI);
  strokeTwice(context, hot ? 2.5 : 1.5, hot ? ACCENT : "#fff");
  context.beginPath();
  context.arc(at.x + side * radius, at.y, hot ? 5 : 4, 0, 2 * Math.PI);
  strokeTwice(context, 1, "rgba(0, 0, 0, 0.65)");
  context.fillStyle = hot ? ACCENT : "#fff";
  context.fill();
}

/**
 * Draw a cross for a point, the brackets of a camera for automatic focus.
 * @param {CanvasRenderingContext2D} context
 * @param {Point} at
 * @param {boolean} automatic
 */
function drawMarker(context, at, automatic) {
  const reach = automatic ? 9 : 7;
  context.beginPath();
  if (automatic) {
    for (const [x, y] of [[-1, -1], [1, -1], [1, 1], [-1, 1]]) {
      context.moveTo(at.x + x * reach, at.y + y * (reach - 5));
      context.lineTo(at.x + x * reach, at.y + y * reach);
      context.lineTo(at.x + x * (reach - 5), at.y + y * reach);
    }
  } else {
    for (const [x, y] of [[-1, 0], [1, 0], [0, -1], [0, 1]]) {
      context.moveTo(at.x + 3 * x, at.y + 3 * y);
      context.lineTo(at.x + reach * x, at.y + reach * y);
    }
  }
  context.lineCap = "round";
  strokeTwice(context, 2, ACCENT);
}

/**
 * Draw a dot with a name.
 * @param {CanvasRenderingContext2D} context
 * @param {Point} at
 * @param {string} text
 * @param {Box} box
 */
function drawMark(context, at, text, box) {
  context.beginPath();
  context.arc(at.x, at.y, 3.5, 0, 2 * Math.PI);
  strokeTwice(context, 1, "rgba(0, 0, 0, 0.65)");
  context.fillStyle = "#fff";
  context.fill();
  drawLabel(context, at, text, box, 6);
}

/**
 * Draw a text on a dark plate beside a point, within the picture.
 * @param {CanvasRenderingContext2D} context
 * @param {Point} at
 * @param {string} text
 * @param {Box} box
 * @param {number} gap px right of and below the point
 */
function drawLabel(context, at, text, box, gap) {
  context.font = `500 11px ${FONT}`;
  const width = context.measureText(text).width + 12;
  const height = 19;
  const right = box.left + box.width - width - 4;
  const below = box.top + box.height - height - 4;
  let left = at.x + gap;
  if (gap && left > right) left = at.x - gap - width;
  if (!gap) left = at.x - (at.x > box.left ? width / 2 : 0);
  left = Math.max(box.left + 4, Math.min(left, right));
  let top = at.y + gap > below ? at.y - gap - height : at.y + gap;
  top = Math.max(box.top + 4, Math.min(top, below));
  context.fillStyle = DARK;
  context.beginPath();
  if (context.roundRect) context.roundRect(left, top, width, height, 5);
  else context.rect(left, top, width, height);
  context.fill();
  context.fillStyle = "#fff";
  context.textBaseline = "middle";
  context.fillText(text, left + 6, top + height / 2 + 0.5);
}

/**
 * Say why there is no picture.
 * @param {CanvasRenderingContext2D} context
 * @param {number} width CSS px
 * @param {number} height CSS px
 * @param {string} wanted what was to be shown
 */
export function drawNothing(context, width, height, wanted) {
  context.clearRect(0, 0, width, height);
  context.font = `500 12px ${FONT}`;
  context.textAlign = "center";
  context.textBaseline = "middle";
  context.fillStyle = "#c8cad0";
  context.fillText(say(wanted ? "nextRun" : "runOnce"), width / 2, height / 2);
  context.textAlign = "start";
}
