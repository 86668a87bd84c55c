// Pointer and keys of the focus picker: what they change in the node's widgets.

import {
  inside, isAtRing, isOnPicture, layoutOf, LEAST_RING, placeOf, sharesOf,
} from "./focus_layout.js";
import { ringStrength } from "./focus_optics.js";

/** @typedef {import("./focus_drawing.js").Point} Point */
/** @typedef {import("./focus_picker.js").FocusPicker} FocusPicker */

const NUDGE = 0.005; // of the picture, by an arrow key

export class Hands {
  /** @param {FocusPicker} picker */
  constructor(picker) {
    this.picker = picker;
    this.pointer = /** @type {Point | null} */ (null); // shares of the picture
    this.dragging = /** @type {"" | "marker" | "ring"} */ ("");
    this.isAtRing = false;
    this.isHolding = false; // before or after
  }

  /**
   * Listen to the picker's elements.
   * @param {AbortSignal} signal
   */
  listen(signal) {
    const { canvas, subject, compare, root } = this.picker.panel;
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
    on(subject, "click", () => this.subject());
    on(compare, "pointerdown", (event) => {
      event.stopPropagation();
      compare.setPointerCapture?.(event.pointerId);
      this.hold(true);
    });
    for (const name of ["pointerup", "pointercancel", "lostpointercapture"]) {
      on(compare, name, () => this.hold(false));
    }
  }

  layout() {
    const { kind, panel, node, source } = this.picker;
    return layoutOf(kind, panel.canvas, node, source);
  }

  /** @param {PointerEvent} event */
  down(event) {
    const { panel, source, app } = this.picker;
    if (event.button !== 0 || !source) return;
    event.stopPropagation();
    event.preventDefault();
    panel.canvas.classList.remove("keys");
    panel.canvas.focus({ preventScroll: true });
    panel.canvas.setPointerCapture?.(event.pointerId);
    app.canvas?.emitBeforeChange?.(); // one step of undo for the whole drag
    const place = placeOf(panel.canvas, event);
    this.dragging = isAtRing(this.layout(), place) ? "ring" : "marker";
    this.drag(place);
  }

  /** @param {PointerEvent} event */
  move(event) {
    const { canvas } = this.picker.panel;
    const place = placeOf(canvas, event);
    if (this.dragging) {
      event.stopPropagation();
      this.drag(place);
      return;
    }
    const layout = this.layout();
    this.pointer = isOnPicture(layout.box, place) ? sharesOf(layout.box, place) : null;
    this.isAtRing = isAtRing(layout, place);
    canvas.style.cursor = this.isAtRing ? "ew-resize" : "crosshair";
    this.picker.draw();
  }

  /** @param {PointerEvent} event */
  up(event) {
    if (!this.dragging) return;
    event.stopPropagation();
    this.dragging = "";
    this.picker.app.canvas?.emitAfterChange?.();
    this.picker.draw();
    this.picker.changed();
  }

  leave() {
    if (this.dragging) return;
    this.pointer = null;
    this.isAtRing = false;
    this.picker.draw();
  }

  /** @param {Point} place */
  drag(place) {
    const { kind, node, source } = this.picker;
    const { box, marker, mostRing } = this.layout();
    this.pointer = sharesOf(box, place);
    this.isAtRing = this.dragging === "ring";
    if (this.isAtRing && marker) {
      const away = Math.hypot(place.x - marker.x, place.y - marker.y);
      kind.writeShare(node, source, ringStrength(away, LEAST_RING, mostRing));
    } else if (!this.isAtRing) {
      kind.writePoint(node, this.pointer);
    }
    this.picker.draw();
  }

  /** @param {WheelEvent} event */
  wheel(event) {
    if (/** @type {any} */ (window).LiteGraph?.vueNodesMode) return; // it goes up by itself
    this.picker.app.canvas?.processMouseWheel?.(event);
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
      "+": () => this.stronger(1), "-": () => this.stronger(-1),
      s: () => this.subject(), ",": () => this.picker.step(-1), ".": () => this.picker.step(1),
    };
    this.picker.panel.canvas.classList.add("keys"); // shows where the keys go
    if (key !== "b" && !acts[key]) return;
    event.stopPropagation();
    event.preventDefault();
    if (key === "b") this.hold(isDown);
    else if (isDown && !(key === "s" && event.repeat)) acts[key]();
  }

  /** Focus on the subject, or no longer. */
  subject() {
    const { kind, node } = this.picker;
    if (kind.hasSubject(node)) this.edit(() => kind.toggleAutomatic(node));
  }

  /**
   * @param {number} right share of the width
   * @param {number} down share of the height
   */
  nudge(right, down) {
    const { kind, node, source } = this.picker;
    const { x, y } = kind.focusOf(node, source).point ?? { x: 0.5, y: 0.5 };
    this.edit(() => kind.writePoint(node, { x: inside(x + right), y: inside(y + down) }));
  }

  /** @param {number} sign */
  stronger(sign) {
    const { kind, node, source } = this.picker;
    if (kind.isStrengthFixed(node, source)) return;
    const share = kind.shareOf(node, source);
    this.edit(() => kind.writeShare(node, source, share + sign * Math.max(0.1, 0.05 * share)));
  }

  /**
   * Change widgets as one step of undo.
   * @param {() => void} act
   */
  edit(act) {
    const { app } = this.picker;
    app.canvas?.emitBeforeChange?.();
    act();
    app.canvas?.emitAfterChange?.();
    this.picker.draw();
    this.picker.changed();
  }

  /** @param {boolean} isHolding */
  hold(isHolding) {
    if (this.isHolding === isHolding) return;
    this.isHolding = isHolding;
    this.picker.draw();
  }
}
