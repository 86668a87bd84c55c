// The elements of the picker: a canvas, a row of buttons, a line of text. Made without HTML text.

const STYLE = `
.bokeh-focus { display: flex; flex-direction: column; gap: 5px; width: 100%; height: 100%;
  min-height: 24px; box-sizing: border-box; padding: 2px 0; color: var(--input-text, #ddd);
  font: 12px/1.35 Inter, system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; overflow: hidden; }
.bokeh-focus.open { min-height: 300px; }
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
 * @param {string} text
 * @param {string} title
 * @param {string} name class
 */
function button(text, title, name) {
  const made = document.createElement("button");
  made.type = "button";
  made.textContent = text;
  made.title = title;
  made.className = name;
  return made;
}

/**
 * Make the elements.
 * @returns {Panel}
 */
export function makePanel() {
  addStyle();
  const root = document.createElement("div");
  root.className = "bokeh-focus";
  const canvas = document.createElement("canvas");
  canvas.tabIndex = 0;
  canvas.setAttribute("role", "application");
  canvas.setAttribute("aria-label", "Focus picker: click what is to be sharp");
  const row = document.createElement("div");
  row.className = "bokeh-focus-row";
  const tool = "bokeh-focus-tool";
  const subject = button("Subject", "Find the subject: focus_mode automatic (key S)", tool);
  const compare = button("Hold: after", "Hold to see the result of the last run (key B)", tool);
  const live = button("Live", "Render a draft after each change, of this branch alone", tool);
  const fold = button("", "", "bokeh-focus-fold");
  row.append(subject, compare, live, fold);
  const text = document.createElement("div");
  text.className = "bokeh-focus-text";
  text.setAttribute("role", "status");
  root.append(canvas, row, text);
  return { root, canvas, subject, compare, live, fold, text };
}
