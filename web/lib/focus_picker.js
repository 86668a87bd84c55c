// The focus picker of one Render Bokeh: what it shows, and what pointer and keys do to the widgets.

import { drawView, fitted, zonePixels } from "./focus_drawing.js";
import { canQueueBranch, queueDraft } from "./focus_live.js";
import {
  controlsOf, isLinked, loadedFile, numberOf, textOf, viewOfFile, write,
} from "./focus_node.js";
import * as optics from "./focus_optics.js";
import { makePanel } from "./focus_panel.js";
import { fetchFile, fetchRun, keepRun, keptRun } from "./focus_sources.js";
import { OPEN } from "./start_values.js";

/** @typedef {import("../../tests/web/comfyui").ComfyApp} ComfyApp */
/** @typedef {import("../../tests/web/comfyui").ComfyApi} ComfyApi */
/** @typedef {import("../../tests/web/comfyui").ComfyNode} ComfyNode */
/** @typedef {import("./focus_drawing.js").Point} Point */
/** @typedef {import("./focus_sources.js").Source} Source */
/** @typedef {import("./focus_sources.js").Run} Run */

const UI_NAME = "bokehdepth_focus"; // as in nodes/focus_preview.py
const LEAST_RING = 15; // CSS px, at strength 0
const GRIP = 7; // CSS px beside the ring that still take it
const LOOK_MS = 250; // between two looks for values changed elsewhere
const NUDGE = 0.005; // of the picture, by an arrow key
const LIVE_MS = 150; // of rest before a draft is queued
const HINT = "Click what is to be sharp; drag the ring for strength.";

export class FocusPicker {
  /**
   * @param {ComfyApp} app
   * @param {ComfyApi} api
   * @param {ComfyNode} node
   */
  constructor(app, api, node) {
    this.app = app;
    this.api = api;
    this.node = node;
    this.panel = makePanel();
    this.source = /** @type {Source | null} */ (null);
    this.shown = ""; // what `source` was made from
    this.drawn = ""; // what the last drawing showed
    this.zone = /** @type {{key: string, canvas: HTMLCanvasElement} | null} */ (null);
    this.pointer = /** @type {Point | null} */ (null); // shares of the picture
    this.dragging = /** @type {"" | "marker" | "ring"} */ ("");
    this.ringHot = false;
    this.holding = false;
    this.isLive = false;
    this.liveTimer = 0;
    this.trouble = "";
    this.ended = new AbortController();
    this.listen();
    this.fold(node.properties[OPEN] === "open");
  }

  // ---- life ----

  listen() {
    const { canvas, subject, compare, live, fold, root } = this.panel;
    const { signal } = this.ended;
    /** @type {(on: EventTarget, name: string, act: (event: any) => void) => void} */
    const on = (target, name, act) => target.addEventListener(name, act, { signal });
    on(canvas, "pointerdown", (event) => this.down(event));
    on(canvas, "pointermove", (event) => this.move(event));
    on(canvas, "pointerup", (event) => this.up(event));
    on(canvas, "pointercancel", (event) => this.up(event));
    on(canvas, "pointerleave", () => this.leave());
    on(canvas, "keydown", (event) => this.key(event, true));
    on(canvas, "keyup", (event) => this.key(event, false));
    on(canvas, "blur", () => this.hold(false));
    on(root, "wheel", (event) => this.wheel(event));
    on(subject, "click", () => this.toggleSubject());
    on(compare, "pointerdown", (event) => {
      compare.setPointerCapture?.(event.pointerId);
      this.hold(true);
    });
    for (const name of ["pointerup", "pointercancel", "lostpointercapture"]) {
      on(compare, name, () => this.hold(false));
    }
    on(live, "click", () => this.toggleLive());
    on(fold, "click", () => this.toggleFold());
    for (const one of [subject, compare, live, fold]) {
      on(one, "pointerdown", (event) => event.stopPropagation());
    }
    const sizes = new ResizeObserver(() => this.draw());
    sizes.observe(canvas);
    const timer = setInterval(() => this.look(), LOOK_MS);
    signal.addEventListener("abort", () => {
      sizes.disconnect();
      clearInterval(timer);
      clearTimeout(this.liveTimer);
    });
    live.hidden = !canQueueBranch(this.api);
  }

  end() {
    this.ended.abort();
  }

  /** Return the name under which runs of this node are kept. */
  key_() {
    const { graph, id } = this.node;
    return `${graph?.rootGraph?.id ?? ""}/${graph?.id ?? ""}/${id}`;
  }

  /**
   * Take what a run of the node gave.
   * @param {Record<string, any> | undefined} output
   */
  executed(output) {
    const run = /** @type {Run | undefined} */ (output?.[UI_NAME]?.[0]);
    if (!run) return;
    keepRun(this.key_(), run, loadedFile(this.node));
    this.look();
  }

  /** See whether picture or values changed, by whomever, and show it. */
  look() {
    const { root, canvas } = this.panel;
    if (!root.isConnected || document.hidden || !this.isOpen) return;
    this.choose();
    const scale = canvas.getBoundingClientRect().width / (canvas.clientWidth || 1);
    if (this.state(scale) !== this.drawn) this.draw();
  }

  /** Return all that a drawing depends on, as text. */
  state(scale = 1) {
    const names = ["focus_x", "focus_y", "focus_distance", "strength", "strength_unit", "focus_mode"];
    const values = names.map((name) => [
      this.node.widgets?.find((one) => one.name === name)?.value, isLinked(this.node, name),
    ]);
    return JSON.stringify([
      values, controlsOf(this.node), isLinked(this.node, "focus_mask"), this.shown, this.pointer,
      this.dragging, this.ringHot, this.holding, this.trouble, scale,
    ]);
  }

  /** Choose what is shown: the last run, else the picture of Load Image, else nothing. */
  choose() {
    const file = loadedFile(this.node);
    const last = keptRun(this.key_());
    const run = last && (file === null || last.file === file) ? last.run : null;
    const wanted = run ? JSON.stringify(run) : (file ?? "");
    if (wanted === this.shown) return;
    this.shown = wanted;
    if (!wanted) {
      this.source = null;
      return;
    }
    const fetched = run ? fetchRun(this.api, run) : fetchFile(this.api, viewOfFile(file ?? ""));
    fetched.then(
      (source) => {
        if (this.shown === wanted) this.take(source);
      },
      () => {
        if (this.shown === wanted) this.take(null);
      },
    );
  }

  /** @param {Source | null} source */
  take(source) {
    this.source = source;
    this.zone = null;
    this.draw();
  }

  // ---- folding ----

  get isOpen() {
    return this.panel.root.classList.contains("open");
  }

  /** @param {boolean} open */
  fold(open) {
    const { root, fold } = this.panel;
    root.classList.toggle("open", open);
    fold.textContent = open ? "▴" : "Focus by clicking ▾";
    fold.title = open ? "Fold the picture" : "Show the picture and click what is to be sharp";
    if (open) this.look();
  }

  toggleFold() {
    const { node } = this;
    const before = node.computeSize()[1];
    this.fold(!this.isOpen);
    if (this.isOpen) node.properties[OPEN] = "open";
    else delete node.properties[OPEN];
    const change = node.computeSize()[1] - before;
    node.setSize([node.size[0], Math.max(node.computeSize()[1], node.size[1] + change)]);
    node.setDirtyCanvas?.(true, true);
  }

  /** Return the least height of the widget, px. */
  leastHeight() {
    return this.isOpen ? 324 : 46; // with the margin that the classic front end takes off
  }

  // ---- where things are ----

  /** Return where the picture lies in the canvas, CSS px. */
  box() {
    const { clientWidth, clientHeight } = this.panel.canvas;
    const [width, height] = this.source?.size ?? [3, 2];
    return fitted(width, height, clientWidth, clientHeight);
  }

  /**
   * Return a pointer's place, CSS px of the canvas, at any zoom.
   * @param {MouseEvent} event
   */
  place(event) {
    const { canvas } = this.panel;
    const seen = canvas.getBoundingClientRect();
    return {
      x: ((event.clientX - seen.left) * canvas.clientWidth) / seen.width,
      y: ((event.clientY - seen.top) * canvas.clientHeight) / seen.height,
    };
  }

  /**
   * Return a place as shares of the picture; beyond its border it is the border.
   * @param {Point} place
   */
  shares(place) {
    const box = this.box();
    /** @param {number} share */
    const inside = (share) => Math.min(Math.max(share, 0), 1);
    return {
      x: inside((place.x - box.left) / box.width), y: inside((place.y - box.top) / box.height),
    };
  }

  get isAutomatic() {
    return textOf(this.node, "focus_mode", "point") === "automatic";
  }

  /** Return what decides the focus and where it is; null where only the next run knows. */
  focus() {
    const run = this.source?.run ?? null;
    const distance = numberOf(this.node, "focus_distance", 0);
    const point = { x: numberOf(this.node, "focus_x", 0.5), y: numberOf(this.node, "focus_y", 0.5) };
    const linked = ["focus_x", "focus_y"].some((name) => isLinked(this.node, name));
    if (["focus", "focus_distance"].some((name) => isLinked(this.node, name))) {
      return { by: "linked", point: null, disparity: null };
    }
    if (distance > 0) return { by: "distance", point, disparity: 1 / distance };
    if (isLinked(this.node, "focus_mask")) {
      const found = run?.focus.by === "mask" ? run.focus : null;
      return { by: "mask", point: found, disparity: found?.disparity ?? null };
    }
    if (this.isAutomatic) {
      const found = run?.subject ?? null;
      return { by: "automatic", point: found, disparity: found?.disparity ?? null };
    }
    if (linked) return { by: "linked", point: null, disparity: null };
    const depth = this.source?.depth;
    return {
      by: "point", point,
      disparity: depth ? optics.focusDisparityAt(depth, point.x, point.y) : null,
    };
  }

  /** Return the strength, % of the width. */
  strengthShare() {
    const width = this.source?.size[0] ?? 1024;
    const unit = textOf(this.node, "strength_unit", "px·m");
    const inPx = optics.strengthInPx(numberOf(this.node, "strength", 0), unit, width);
    return optics.strengthInUnit(inPx, "% of width", width);
  }

  /** Return the largest radius of the ring, CSS px. */
  mostRing() {
    const box = this.box();
    return Math.max(LEAST_RING + 20, 0.5 * Math.min(box.width, box.height));
  }

  /** Return marker and ring, CSS px; null where there is no marker. */
  marker() {
    const { point } = this.focus();
    if (!point || !this.source) return null;
    const box = this.box();
    return {
      at: { x: box.left + point.x * box.width, y: box.top + point.y * box.height },
      ring: optics.ringRadius(this.strengthShare(), LEAST_RING, this.mostRing()),
    };
  }

  /** @param {Point} place */
  isAtRing(place) {
    const marker = this.marker();
    if (!marker || isLinked(this.node, "strength")) return false;
    const away = Math.hypot(place.x - marker.at.x, place.y - marker.at.y);
    return Math.abs(away - marker.ring) <= GRIP;
  }

  // ---- pointer ----

  /** @param {PointerEvent} event */
  down(event) {
    if (event.button !== 0 || !this.source) return;
    event.stopPropagation();
    event.preventDefault();
    this.panel.canvas.classList.remove("keys");
    this.panel.canvas.focus({ preventScroll: true });
    this.panel.canvas.setPointerCapture?.(event.pointerId);
    this.app.canvas?.emitBeforeChange?.();
    const place = this.place(event);
    this.dragging = this.isAtRing(place) ? "ring" : "marker";
    this.drag(place);
  }

  /** @param {PointerEvent} event */
  move(event) {
    const place = this.place(event);
    if (this.dragging) {
      event.stopPropagation();
      this.drag(place);
      return;
    }
    const box = this.box();
    const inside =
      place.x >= box.left && place.x <= box.left + box.width &&
      place.y >= box.top && place.y <= box.top + box.height;
    this.pointer = inside ? this.shares(place) : null;
    this.ringHot = this.isAtRing(place);
    this.panel.canvas.style.cursor = this.ringHot ? "ew-resize" : "crosshair";
    this.draw();
  }

  /** @param {PointerEvent} event */
  up(event) {
    if (!this.dragging) return;
    event.stopPropagation();
    this.dragging = "";
    this.app.canvas?.emitAfterChange?.();
    this.draw();
    this.changed();
  }

  leave() {
    if (this.dragging) return;
    this.pointer = null;
    this.ringHot = false;
    this.draw();
  }

  /** @param {Point} place */
  drag(place) {
    if (this.dragging === "ring") this.setRing(place);
    else this.setPoint(this.shares(place));
    this.pointer = this.shares(place);
    this.ringHot = this.dragging === "ring";
    this.draw();
  }

  /** @param {WheelEvent} event */
  wheel(event) {
    if (/** @type {any} */ (window).LiteGraph?.vueNodesMode) return; // it goes up by itself
    this.app.canvas?.processMouseWheel?.(event);
  }

  // ---- what is written ----

  /** @param {Point} share */
  setPoint(share) {
    const { node } = this;
    if (["focus_x", "focus_y"].some((name) => isLinked(node, name))) return;
    write(node, "focus_mode", "point");
    write(node, "focus_distance", 0);
    write(node, "focus_x", Math.round(share.x * 1000) / 1000);
    write(node, "focus_y", Math.round(share.y * 1000) / 1000);
  }

  /** @param {Point} place */
  setRing(place) {
    const marker = this.marker();
    if (!marker) return;
    const away = Math.hypot(place.x - marker.at.x, place.y - marker.at.y);
    this.setShare(optics.ringStrength(away, LEAST_RING, this.mostRing()));
  }

  /** @param {number} share strength, % of the width */
  setShare(share) {
    const width = this.source?.size[0] ?? 1024;
    const unit = textOf(this.node, "strength_unit", "px·m");
    const value = optics.strengthInUnit((share * width) / 100, unit, width);
    const step = unit === "px·m" ? 0.5 : 0.05;
    write(this.node, "strength", Number((Math.round(Math.max(0, value) / step) * step).toFixed(2)));
  }

  toggleSubject() {
    this.app.canvas?.emitBeforeChange?.();
    write(this.node, "focus_mode", this.isAutomatic ? "point" : "automatic");
    if (this.isAutomatic) write(this.node, "focus_distance", 0);
    this.app.canvas?.emitAfterChange?.();
    this.draw();
    this.changed();
  }

  /**
   * @param {KeyboardEvent} event
   * @param {boolean} isDown
   */
  key(event, isDown) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const key = event.key.toLowerCase();
    const step = event.shiftKey ? 4 * NUDGE : NUDGE;
    /** @type {Record<string, () => void>} */
    const acts = {
      arrowleft: () => this.nudge(-step, 0), arrowright: () => this.nudge(step, 0),
      arrowup: () => this.nudge(0, -step), arrowdown: () => this.nudge(0, step),
      "+": () => this.stronger(1), "-": () => this.stronger(-1), s: () => this.toggleSubject(),
    };
    this.panel.canvas.classList.add("keys"); // shows where the keys go
    if (key !== "b" && !acts[key]) return;
    event.stopPropagation();
    event.preventDefault();
    if (key === "b") this.hold(isDown);
    else if (isDown && !(key === "s" && event.repeat)) acts[key]();
  }

  /**
   * @param {number} right
   * @param {number} down
   */
  nudge(right, down) {
    const point = this.focus().point ?? { x: 0.5, y: 0.5 };
    /** @param {number} share */
    const inside = (share) => Math.min(Math.max(share, 0), 1);
    this.edit(() => this.setPoint({ x: inside(point.x + right), y: inside(point.y + down) }));
  }

  /** @param {number} sign */
  stronger(sign) {
    const share = this.strengthShare();
    this.edit(() => this.setShare(share + sign * Math.max(0.1, 0.05 * share)));
  }

  /** @param {() => void} act */
  edit(act) {
    this.app.canvas?.emitBeforeChange?.();
    act();
    this.app.canvas?.emitAfterChange?.();
    this.draw();
    this.changed();
  }

  // ---- before and after, live ----

  /** @param {boolean} holding */
  hold(holding) {
    if (this.holding === holding) return;
    this.holding = holding;
    this.draw();
  }

  toggleLive() {
    this.isLive = !this.isLive;
    this.trouble = "";
    this.panel.live.setAttribute("aria-pressed", `${this.isLive}`);
    this.changed();
    this.draw();
  }

  /** A value was changed here: queue a draft after a moment, where that is wanted. */
  changed() {
    clearTimeout(this.liveTimer);
    if (!this.isLive) return;
    this.liveTimer = window.setTimeout(async () => {
      this.trouble = (await queueDraft(this.app, this.api, this.node)) ?? "";
      this.draw();
    }, LIVE_MS);
  }

  // ---- drawing ----

  draw() {
    if (!this.isOpen) return;
    const { canvas } = this.panel;
    const { clientWidth: width, clientHeight: height } = canvas;
    if (!width || !height) return;
    const zoom = canvas.getBoundingClientRect().width / width;
    const scale = Math.min(4, Math.max(1, zoom * window.devicePixelRatio));
    const [wide, high] = [Math.round(width * scale), Math.round(height * scale)];
    if (canvas.width !== wide) canvas.width = wide;
    if (canvas.height !== high) canvas.height = high;
    const context = canvas.getContext("2d");
    if (!context) return;
    context.setTransform(scale, 0, 0, scale, 0, 0);
    if (this.source) drawView(context, width, height, this.view(this.source));
    else drawNothing(context, width, height, this.shown);
    this.tell();
    this.drawn = this.state(zoom);
  }

  /** @param {Source} source */
  view(source) {
    const after = Boolean(source.result) && (this.holding !== (this.isLive && !this.dragging));
    const focus = this.focus();
    const marker = this.holding ? null : this.marker();
    const zone = after || focus.disparity === null ? null : this.zonePicture(focus);
    return {
      picture: after && source.result ? source.result : source.picture,
      box: this.box(),
      zone,
      zoneAlpha: this.dragging || this.pointer ? 1 : 0.55,
      marker: marker?.at ?? null,
      ring: marker?.ring ?? null,
      automatic: focus.by === "automatic",
      ringHot: this.ringHot,
      ringText: this.strengthText(focus.disparity),
      label: this.holding ? null : this.label(source),
      corner: after ? "after" : this.holding ? "before" : "",
    };
  }

  /** @param {Source} source */
  label(source) {
    if (!this.pointer || !source.depth || !source.run) return null;
    const box = this.box();
    const { x, y } = this.pointer;
    const text = optics.distanceText(optics.disparityAt(source.depth, x, y), source.run.metric);
    return { at: { x: box.left + x * box.width, y: box.top + y * box.height }, text };
  }

  /** @param {number | null} focus disparity */
  strengthText(focus) {
    const unit = textOf(this.node, "strength_unit", "px·m");
    const value = numberOf(this.node, "strength", 0);
    const text = unit === "px·m" ? `strength ${value} px·m` : `strength ${value} % of width`;
    if (focus === null || !this.source?.run?.metric) return text;
    return `${text} · ${(this.strengthShare() * focus).toFixed(1)} % blur at ∞`;
  }

  /** @param {{point: Point | null, disparity: number | null}} focus */
  zonePicture(focus) {
    const source = this.source;
    if (!source?.depth || !source.run || focus.disparity === null) return null;
    const [width, height] = source.size;
    const unit = textOf(this.node, "strength_unit", "px·m");
    const strength = optics.strengthInPx(numberOf(this.node, "strength", 0), unit, width);
    const controls = controlsOf(this.node);
    const key = JSON.stringify([focus.disparity, focus.point, strength, controls]);
    if (this.zone?.key === key) return this.zone.canvas;
    const plane = optics.turnedPlane(controls, source.run.camera, focus.point ?? { x: 0.5, y: 0.5 });
    const radii = optics.signedRadii(source.depth, strength, focus.disparity, controls, plane);
    const canvas = this.zone?.canvas ?? document.createElement("canvas");
    canvas.width = source.depth.width;
    canvas.height = source.depth.height;
    const limit = optics.sharpLimit(width, height);
    const pixels = zonePixels(radii, canvas.width, canvas.height, limit);
    canvas.getContext("2d")?.putImageData(new ImageData(pixels, canvas.width), 0, 0);
    this.zone = { key, canvas };
    return canvas;
  }

  /** Say below the picture what decides the focus, and set the buttons. */
  tell() {
    const { text, subject, compare } = this.panel;
    text.textContent = this.trouble || this.sentence();
    subject.setAttribute("aria-pressed", `${this.isAutomatic}`);
    subject.disabled = isLinked(this.node, "focus_mode");
    compare.disabled = !this.source?.result;
    compare.textContent = this.isLive ? "Hold: before" : "Hold: after";
  }

  sentence() {
    const focus = this.focus();
    const run = this.source?.run;
    const where = run && focus.disparity !== null
      ? optics.distanceText(focus.disparity, run.metric) : "";
    const at = where && ` Sharp at ${where}${run?.metric ? "" : " (depth has no metres)"}.`;
    if (focus.by === "linked") return "The focus comes from a link; unlink it to click here.";
    if (focus.by === "mask") return `focus_mask decides what is sharp.${at}`;
    if (focus.by === "distance") return `focus_distance decides.${at} A click takes over.`;
    if (focus.by === "automatic") {
      return run ? `Automatic focus.${at} Click to choose a point.`
        : "Automatic: the run finds the subject. Click to choose a point.";
    }
    if (!this.source) return HINT;
    return run ? `${at.trim()} ${HINT}` : `${HINT} Depth is shown after a run.`;
  }
}

/**
 * Say why there is no picture.
 * @param {CanvasRenderingContext2D} context
 * @param {number} width CSS px
 * @param {number} height CSS px
 * @param {string} wanted what was to be shown
 */
function drawNothing(context, width, height, wanted) {
  context.clearRect(0, 0, width, height);
  context.font = "500 12px Inter, system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif";
  context.textAlign = "center";
  context.textBaseline = "middle";
  context.fillStyle = "#c8cad0";
  const text = wanted ? "The picture comes with the next run" : "Run once to see the picture here";
  context.fillText(text, width / 2, height / 2);
  context.textAlign = "start";
}
