// The elements of the picker: a canvas, rows of buttons, a line of text. Made without HTML text.

import { say } from "./texts.js";

const STYLE = `
.bokeh-focus { display: flex; flex-direction: column; gap: 5px; width: 100%; height: 100%;
  min-height: 24px; box-sizing: border-box; padding: 2px 0; color: var(--input-text, #ddd);
  font: 12px/1.35 Inter, system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; overflow: hidden; }
.bokeh-focus.open { min-height: max(300px, var(--held, 0px)); }
.bokeh-focus canvas { flex: 1 1 0; min-height: 0; width: 100%; display: block; border-radius: 6px;
  background: #0d0e11; cursor: crosshair; touch-action: none; outline: none; }
.bokeh-focus canvas.keys:focus { box-shadow: 0 0 0 2px #ffd60a; }
.bokeh-focus:not(.open) canvas, .bokeh-focus:not(.open) .bokeh-focus-text,
.bokeh-focus:not(.open) .bokeh-focus-tool, .bokeh-focus [hidden] { display: none; }
.bokeh-focus-row { display: flex; gap: 4px; flex: 0 0 auto; }
.bokeh-focus button { flex: 1 1 auto; min-width: 0; height: 24px; padding: 0 7px; margin: 0;
  border: 1px solid var(--border-color, #4e4e4e); border-radius: 6px; cursor: pointer;
  background: var(--comfy-input-bg, #222); color: var(--input-text, #ddd); font: inherit;
  white-space: nowrap; overflow: hidden; text-overflow: ellipsis; user-select: none; }
.bokeh-focus button:hover { filter: brightness(1.2); }
.bokeh-focus button[aria-pressed="true"] { background: #ffd60a; border-color: #ffd60a;
  color: #1a1a1a; }
.bokeh-focus button:disabled { opacity: 0.45; cursor: default; filter: none; }
.bokeh-focus button.bokeh-focus-fold { flex: 0 0 auto; }
.bokeh-focus:not(.open) button.bokeh-focus-fold { flex: 1 1 auto; }
.bokeh-focus label { flex: 1 1 auto; display: flex; gap: 6px; align-items: center; min-width: 0; }
.bokeh-focus input { flex: 1 1 40px; min-width: 0; height: 24px; box-sizing: border-box; padding: 0 6px;
  border: 1px solid var(--border-color, #4e4e4e); border-radius: 6px; font: inherit;
  background: var(--comfy-input-bg, #222); color: var(--input-text, #ddd); }
.bokeh-focus-scrub { align-items: center; gap: 8px; }
.bokeh-focus input[type="range"] { flex: 1 1 60px; height: 20px; padding: 0; margin: 0; border: 0;
  background: none; accent-color: #ffd60a; cursor: pointer; }
.bokeh-focus-scrub output { flex: 0 0 auto; font-variant-numeric: tabular-nums; }
.bokeh-focus-text { flex: 0 0 auto; min-height: 32px; max-height: 32px; overflow: hidden; }
`;

/**
 * @typedef {object} Panel
 * @property {HTMLDivElement} root
 * @property {HTMLCanvasElement} canvas
 * @property {HTMLButtonElement} subject
 * @property {HTMLButtonElement} compare
 * @property {HTMLButtonElement} live
 * @property {HTMLButtonElement} fold
 * @property {HTMLDivElement} text
 * @property {Scrub} scrub
 * @property {Frames | null} frames of a picker that is set frame by frame
 */

/**
 * @typedef {object} Frames
 * @property {HTMLDivElement} row
 * @property {HTMLSpanElement} word
 * @property {HTMLInputElement} number
 * @property {HTMLButtonElement} before
 * @property {HTMLButtonElement} after
 * @property {HTMLButtonElement} remove
 */

/**
 * @typedef {object} Scrub what goes over the frames of a clip
 * @property {HTMLDivElement} row
 * @property {HTMLInputElement} slider
 * @property {HTMLOutputElement} number
 */

/** Put the style into the page, once. */
function addStyle() {
  if (document.getElementById("bokeh-focus-style")) return;
  const style = document.createElement("style");
  style.id = "bokeh-focus-style";
  style.textContent = STYLE;
  document.head.append(style);
}

/**
 * @param {string} name class
 * @param {string} [text]
 */
function button(name, text = "") {
  const made = document.createElement("button");
  made.type = "button";
  made.className = name;
  made.textContent = text;
  return made;
}

/**
 * Make the controls that choose the frame.
 * @returns {Frames}
 */
function makeFrames() {
  const row = document.createElement("div");
  row.className = "bokeh-focus-row bokeh-focus-tool";
  const label = document.createElement("label");
  const word = document.createElement("span");
  const number = document.createElement("input");
  Object.assign(number, { type: "number", min: "0", max: "99999", step: "1" });
  label.append(word, number);
  const [before, after, remove] = ["◂", "▸", "✕"].map((sign) => button("", sign));
  row.append(before, label, after, remove);
  return { row, word, number, before, after, remove };
}

/**
 * Make the slider over the frames of a clip, hidden as long as there is one picture.
 * @returns {Scrub}
 */
function makeScrub() {
  const row = document.createElement("div");
  row.className = "bokeh-focus-row bokeh-focus-scrub bokeh-focus-tool";
  row.hidden = true;
  const slider = document.createElement("input");
  Object.assign(slider, { type: "range", min: "0", max: "0", step: "1", value: "0" });
  const number = document.createElement("output");
  row.append(slider, number);
  return { row, slider, number };
}

/**
 * Make the elements.
 * @param {boolean} hasFrames whether the frame can be chosen
 * @returns {Panel}
 */
export function makePanel(hasFrames) {
  addStyle();
  const root = document.createElement("div");
  root.className = "bokeh-focus";
  const canvas = document.createElement("canvas");
  canvas.tabIndex = 0;
  canvas.setAttribute("role", "application");
  const row = document.createElement("div");
  row.className = "bokeh-focus-row";
  const [subject, compare, live] = Array.from({ length: 3 }, () => button("bokeh-focus-tool"));
  const fold = button("bokeh-focus-fold");
  row.append(subject, compare, live, fold);
  const text = document.createElement("div");
  text.className = "bokeh-focus-text";
  text.setAttribute("role", "status");
  const frames = hasFrames ? makeFrames() : null;
  const scrub = makeScrub();
  root.append(canvas, scrub.row, ...(frames ? [frames.row] : []), row, text);
  return { root, canvas, subject, compare, live, fold, text, scrub, frames };
}

/**
 * Write the words of the elements that stay as they are, in the page's language.
 * @param {Panel} panel
 */
export function nameElements({ canvas, subject, compare, live, scrub, frames }) {
  canvas.setAttribute("aria-label", say("canvas"));
  subject.textContent = say("subject");
  subject.title = say(frames ? "subjectKeyTitle" : "subjectTitle");
  compare.title = say(frames ? "holdDepthTitle" : "holdTitle");
  live.textContent = say("live");
  live.title = say("liveTitle");
  scrub.slider.title = say("scrubTitle");
  scrub.slider.setAttribute("aria-label", say("frame"));
  if (!frames) return;
  frames.word.textContent = say("frame");
  frames.number.title = say("frameTitle");
  frames.before.title = say("keyBefore");
  frames.after.title = say("keyAfter");
  frames.remove.title = say("removeKey");
}
