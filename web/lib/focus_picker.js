// The focus picker of one node: its life, what it shows, and the live drafts. What differs between
// Render Bokeh and Focus Pull is in their kinds (focus_state.js, pull_state.js).

import { drawNothing, drawView, zonePixels } from "./focus_drawing.js";
import { Hands } from "./focus_hands.js";
import { runInHistory } from "./focus_history.js";
import { layoutOf } from "./focus_layout.js";
import { canQueueBranch, queueDraft } from "./focus_live.js";
import { loadedFile } from "./focus_node.js";
import * as optics from "./focus_optics.js";
import { makePanel, nameElements } from "./focus_panel.js";
import { keepRun, keptRun, runName, sourceOf } from "./focus_sources.js";
import { frameOf, goToKey, keyHere, removeKeyHere, setFrame } from "./pull_state.js";
import { OPEN } from "./start_values.js";
import { followLanguage, say } from "./texts.js";

/** @typedef {import("../../tests/web/comfyui").ComfyApp} ComfyApp */
/** @typedef {import("../../tests/web/comfyui").ComfyApi} ComfyApi */
/** @typedef {import("../../tests/web/comfyui").ComfyNode} ComfyNode */
/** @typedef {import("./focus_sources.js").Source} Source */
/** @typedef {import("./focus_sources.js").Run} Run */
/** @typedef {import("./focus_state.js").Focus} Focus */
/** @typedef {import("./focus_state.js").Kind} Kind */

const UI_NAME = "bokehdepth_focus"; // as in nodes/render/focus_preview.py
const LOOK_MS = 250; // between two looks for values changed elsewhere
const LIVE_MS = 150; // of rest before a draft is queued
const MOST_PIXELS = 4; // of the screen, for one CSS px of the node

export class FocusPicker {
  /**
   * @param {ComfyApp} app
   * @param {ComfyApi} api
   * @param {ComfyNode} node
   * @param {Kind} kind of the node
   */
  constructor(app, api, node, kind) {
    this.app = app;
    this.api = api;
    this.node = node;
    this.kind = kind;
    this.panel = makePanel(kind.hasFrames);
    this.source = /** @type {Source | null} */ (null);
    this.shown = ""; // what `source` was made from
    this.drawn = ""; // what the last drawing showed
    this.zone = /** @type {{key: string, canvas: HTMLCanvasElement} | null} */ (null);
    this.isLive = false;
    this.liveTimer = 0;
    this.trouble = ""; // why a draft could not be queued
    this.ended = new AbortController();
    this.hands = new Hands(this);
    this.language = followLanguage(app);
    nameElements(this.panel);
    this.begin();
    this.beginScrub();
    this.beginFrames();
    this.fold(node.properties[OPEN] === "open");
  }

  // ---- life ----

  begin() {
    const { canvas, subject, live, fold } = this.panel;
    const { signal } = this.ended;
    this.hands.listen(signal);
    live.addEventListener("click", () => this.toggleLive(), { signal });
    fold.addEventListener("click", () => this.toggleFold(), { signal });
    this.api.addEventListener("execution_success", (event) => {
      this.recall(/** @type {CustomEvent} */ (event).detail?.prompt_id);
    }, { signal });
    for (const one of [subject, live, fold]) {
      one.addEventListener("pointerdown", (event) => event.stopPropagation(), { signal });
    }
    const sizes = new ResizeObserver(() => this.draw());
    sizes.observe(canvas);
    const timer = setInterval(() => this.look(), LOOK_MS);
    signal.addEventListener("abort", () => {
      sizes.disconnect();
      clearInterval(timer);
      clearTimeout(this.liveTimer);
    });
    live.hidden = this.kind.hasFrames || !canQueueBranch(this.api);
  }

  /** Listen to the slider over the frames of a clip. */
  beginScrub() {
    const { row, slider } = this.panel.scrub;
    const { signal } = this.ended;
    slider.addEventListener("input", () => this.showStop(Number(slider.value)), { signal });
    for (const name of ["pointerdown", "pointermove", "keydown"]) {
      row.addEventListener(name, (event) => event.stopPropagation(), { signal });
    }
  }

  /**
   * Look at a frame of the last run, by its place among those that can be looked at.
   * @param {number} place
   */
  showStop(place) {
    const { kind, node } = this;
    const frame = kind.stopsOf(node)[place];
    if (frame === undefined || frame === kind.frameOf(node)) return;
    kind.setFrame(node, frame);
    this.look();
    this.draw();
  }

  /**
   * Look at the next frame, or the one before.
   * @param {1 | -1} way
   */
  step(way) {
    this.showStop(placeIn(this.kind.stopsOf(this.node), this.kind.frameOf(this.node)) + way);
  }

  /** Listen to what chooses the frame. */
  beginFrames() {
    const { frames } = this.panel;
    if (!frames) return;
    const { node } = this;
    const { signal } = this.ended;
    /** @type {(one: HTMLElement, act: () => void) => void} */
    const onClick = (one, act) => one.addEventListener("click", () => this.hands.edit(act), { signal });
    onClick(frames.before, () => goToKey(node, -1));
    onClick(frames.after, () => goToKey(node, 1));
    onClick(frames.remove, () => removeKeyHere(node));
    frames.number.addEventListener("input", () => {
      setFrame(node, Number(frames.number.value));
      this.draw();
    }, { signal });
    for (const name of ["pointerdown", "keydown", "wheel"]) {
      frames.row.addEventListener(name, (event) => event.stopPropagation(), { signal });
    }
  }

  end() {
    this.panel.root.dataset.ended = `${this.node.id}`;
    this.ended.abort();
  }

  /**
   * Take the place of a removed node's picker. Nodes 2.0 keeps it on the page where another node
   * of the same id follows, as when a node becomes a subgraph (seen in 1.58).
   */
  takePlace() {
    if (!this.node.graph || this.app.canvas?.graph !== this.node.graph) return;
    const name = CSS.escape(`${this.node.id}`);
    document.querySelector(`.bokeh-focus[data-ended="${name}"]`)?.replaceWith(this.panel.root);
  }

  /** Return the name under which the runs of this node are kept. */
  get name() {
    return runName(this.node);
  }

  /**
   * Take what a run of the node gave.
   * @param {Record<string, any> | undefined} output
   */
  executed(output) {
    const run = /** @type {Run | undefined} */ (output?.[UI_NAME]?.[0]);
    if (!run) return;
    keepRun(this.name, run, loadedFile(this.node));
    this.look();
  }

  /**
   * Look up what a run gave that came from the cache.
   * @param {string | undefined} queued
   */
  async recall(queued) {
    if (!queued || !this.isOpen || keptRun(this.name)) return;
    const run = await runInHistory(this.api, queued, this.node, UI_NAME).catch(() => null);
    if (!run || keptRun(this.name)) return;
    keepRun(this.name, run, loadedFile(this.node));
    this.look();
  }

  /** See whether picture or values changed, by whomever, and show it. */
  look() {
    if (!this.panel.root.isConnected) this.takePlace();
    if (!this.panel.root.isConnected || document.hidden || !this.isOpen) return;
    if (followLanguage(this.app) !== this.language) this.rename();
    this.choose();
    if (this.state() !== this.drawn) this.draw();
  }

  /** Say all in another language. */
  rename() {
    this.language = followLanguage(this.app);
    nameElements(this.panel);
    this.fold(this.isOpen);
    this.draw();
  }

  /** Return all that a drawing depends on, as text. */
  state() {
    const { pointer, dragging, isAtRing, isHolding } = this.hands;
    return JSON.stringify([
      this.kind.shownValues(this.node), this.shown, pointer, dragging, isAtRing, isHolding, this.trouble,
      this.zoom, this.kind.stopsOf(this.node).length, this.kind.frameOf(this.node),
    ]);
  }

  /** Return how much larger the canvas is on the page than in its own layout. */
  get zoom() {
    const { canvas } = this.panel;
    return canvas.getBoundingClientRect().width / (canvas.clientWidth || 1);
  }

  /** Fetch what is to be shown, where that changed. */
  choose() {
    const wanted = this.kind.wanted(this.node);
    const key = wanted ? JSON.stringify(wanted) : "";
    if (key === this.shown) return;
    this.shown = key;
    if (!wanted) {
      this.take(null);
      return;
    }
    /** @param {Source | null} source */
    const take = (source) => this.shown === key && this.take(source);
    // null for a file that browsers do not show, or where temp was emptied
    sourceOf(this.api, key, wanted).then(take, () => take(null));
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
    fold.textContent = open ? "▴" : say("open");
    fold.title = say(open ? "foldTitle" : "openTitle");
    if (open) this.look();
  }

  toggleFold() {
    const { node } = this;
    const before = node.computeSize()[1];
    this.fold(!this.isOpen);
    if (this.isOpen) node.properties[OPEN] = "open";
    else delete node.properties[OPEN];
    const least = node.computeSize()[1];
    node.setSize([node.size[0], Math.max(least, node.size[1] + least - before)]);
    node.setDirtyCanvas?.(true, true);
  }

  /** Return the least height of the widget, px, with the margin of the classic front end. */
  leastHeight() {
    if (!this.isOpen) return 46;
    return this.kind.hasFrames ? 353 : 324;
  }

  // ---- live ----

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
    const scale = Math.min(MOST_PIXELS, Math.max(1, this.zoom * window.devicePixelRatio));
    const [wide, high] = [Math.round(width * scale), Math.round(height * scale)];
    if (canvas.width !== wide) canvas.width = wide;
    if (canvas.height !== high) canvas.height = high;
    const context = canvas.getContext("2d");
    if (!context) return;
    context.setTransform(scale, 0, 0, scale, 0, 0);
    if (this.source) drawView(context, width, height, this.view(this.source));
    else drawNothing(context, width, height, this.shown);
    this.tell();
    this.drawn = this.state();
  }

  /**
   * @param {Source} source
   * @returns {import("./focus_drawing.js").View}
   */
  view(source) {
    const { pointer, dragging, isAtRing, isHolding } = this.hands;
    const isAfter = Boolean(source.result) && isHolding !== (this.isLive && !dragging);
    const { kind, node } = this;
    const focus = kind.focusOf(node, source);
    const { box, marker, ring } = layoutOf(kind, this.panel.canvas, node, source);
    const marks = isHolding ? [] : kind.marksOf(node);
    return {
      picture: isAfter && source.result ? source.result : source.picture,
      box,
      zone: isAfter || isHolding ? null : this.zonePicture(source, focus),
      zoneAlpha: dragging || pointer ? 1 : 0.55,
      marker: isHolding ? null : marker,
      ring,
      marks: marks.map(({ at, text }) => ({ text, at: onPage(at, box) })),
      automatic: focus.by === "automatic",
      ringHot: isAtRing,
      ringText: kind.strengthText(node, source, focus.disparity),
      label: isHolding ? null : this.label(source, box),
      corner: isAfter ? say(kind.hasFrames ? "depth" : "after") : isHolding ? say("before") : "",
    };
  }

  /**
   * Return the distance under the pointer.
   * @param {Source} source
   * @param {import("./focus_drawing.js").Box} box
   */
  label(source, box) {
    const { pointer } = this.hands;
    if (!pointer || !source.depth || !source.run) return null;
    const { x, y } = pointer;
    const text = optics.distanceText(optics.disparityAt(source.depth, x, y), source.run.metric);
    return { at: onPage({ x, y }, box), text };
  }

  /**
   * Return the tints over the picture; null where depth or focus are not known yet.
   * @param {Source} source
   * @param {Focus} focus
   */
  zonePicture({ depth, run, size: [width, height] }, { disparity, point }) {
    if (!depth || !run || disparity === null) return null;
    const strength = this.kind.strengthOf(this.node, this.source);
    const controls = this.kind.controlsOf(this.node);
    const key = JSON.stringify([disparity, point, strength, controls]);
    if (this.zone?.key === key) return this.zone.canvas;
    const plane = optics.turnedPlane(controls, run.camera, point ?? { x: 0.5, y: 0.5 });
    const radii = optics.signedRadii(depth, strength, disparity, controls, plane);
    const limit = optics.sharpLimit(width, height);
    const pixels = zonePixels(radii, depth.width, depth.height, limit);
    const canvas = this.zone?.canvas ?? document.createElement("canvas");
    canvas.width = depth.width;
    canvas.height = depth.height;
    canvas.getContext("2d")?.putImageData(new ImageData(pixels, depth.width), 0, 0);
    this.zone = { key, canvas };
    return canvas;
  }

  /** Say below the picture what decides the focus, and set the buttons. */
  tell() {
    const { kind, node } = this;
    const { text, subject, compare, frames } = this.panel;
    text.textContent = this.trouble || kind.sentence(node, this.source);
    text.title = text.textContent;
    subject.setAttribute("aria-pressed", `${kind.isAutomatic(node)}`);
    subject.disabled = !kind.hasSubject(node);
    compare.disabled = !this.source?.result;
    this.tellFrame();
    compare.textContent = say(frames ? "holdDepth" : this.isLive ? "holdBefore" : "holdAfter");
    if (!frames) return;
    if (document.activeElement !== frames.number) frames.number.value = `${frameOf(node)}`;
    frames.remove.disabled = !keyHere(node);
  }

  /** Set the slider over the frames; it is there where the last run gave more than one. */
  tellFrame() {
    const { row, slider, number } = this.panel.scrub;
    const stops = this.kind.stopsOf(this.node);
    row.hidden = stops.length < 2;
    if (row.hidden) return;
    const place = placeIn(stops, this.kind.frameOf(this.node));
    slider.max = `${stops.length - 1}`;
    if (Number(slider.value) !== place) slider.value = `${place}`;
    const words = say("scrub", { frame: stops[place], last: stops.at(-1) ?? 0 });
    number.textContent = words;
    slider.setAttribute("aria-valuetext", words);
  }
}

/**
 * Return the place of the number that is nearest to another one.
 * @param {number[]} numbers
 * @param {number} wanted
 */
function placeIn(numbers, wanted) {
  const away = numbers.map((one) => Math.abs(one - wanted));
  return away.indexOf(Math.min(...away));
}

/**
 * Return where shares of the picture lie, CSS px.
 * @param {import("./focus_drawing.js").Point} point
 * @param {import("./focus_drawing.js").Box} box
 */
function onPage({ x, y }, box) {
  return { x: box.left + x * box.width, y: box.top + y * box.height };
}
