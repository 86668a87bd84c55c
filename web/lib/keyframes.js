// The text of Focus Pull's keyframes: read as bokehdepth_core/optics/focus/keyframes.py reads it,
// and edited in place, so that all a person wrote beside the edit stays as it is.

/** @typedef {import("./focus_drawing.js").Point} Point */

/**
 * @typedef {object} Key one keyframe
 * @property {number} frame counted from 0
 * @property {Point | number | "subject" | null} focus a point in shares, metres, or the subject
 * @property {number | null} strength in the renderer's unit
 * @property {"linear" | "ease" | "hold"} easing
 * @property {Partial<Record<"focus" | "strength" | "easing", [number, number]>>} spans in its piece
 * @property {number} begin of what follows the colon, in its piece
 */

export const LAST_FRAME = 99999;
const NUMBER = String.raw`(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?`;
const WORDS = new RegExp(
  [
    String.raw`(?:strength|k)\s*=?\s*(?<strength>${NUMBER})(?![\w.])`,
    String.raw`(?<x>${NUMBER})\s*,\s*(?<y>${NUMBER})(?![\w.,])`,
    String.raw`(?<infinity>infinity|inf|∞)(?:\s*m)?(?!\w)`,
    String.raw`(?<distance>${NUMBER})\s*(?<unit>mm|cm|m|ft)?(?![\w.,])`,
    String.raw`(?<easing>linear|ease|hold)(?!\w)`,
    String.raw`(?<subject>subject)(?!\w)`,
  ].join("|"),
  "y",
);
const METRES = /** @type {Record<string, number>} */ ({ m: 1, cm: 0.01, mm: 0.001, ft: 0.3048 });
const BETWEEN = /([;；\n])/;

/** @type {Record<Key["easing"], (share: number) => number>} */
const EASINGS = {
  linear: (share) => share,
  ease: (share) => share * share * (3 - 2 * share),
  hold: (share) => (share < 1 ? 0 : 1),
};

/** @param {string} piece */
function plain(piece) {
  return piece.normalize("NFKC").replaceAll("、", ",").toLowerCase();
}

/**
 * Return what a word of a keyframe sets, and to what; null where it is out of range.
 * @param {Record<string, string | undefined>} word
 * @returns {{focus?: Key["focus"], strength?: number, easing?: Key["easing"]} | null}
 */
function meaning(word) {
  if (word.strength !== undefined) {
    return Number(word.strength) <= 1e6 ? { strength: Number(word.strength) } : null;
  }
  if (word.x !== undefined) {
    const point = { x: Number(word.x), y: Number(word.y) };
    return Math.max(point.x, point.y) <= 1 ? { focus: point } : null;
  }
  if (word.infinity !== undefined) return { focus: Infinity };
  if (word.distance !== undefined) {
    const metres = Number(word.distance) * METRES[word.unit ?? "m"];
    return Number(word.distance) <= 1e6 && metres >= 1e-6 ? { focus: metres } : null;
  }
  if (word.easing !== undefined) return { easing: /** @type {Key["easing"]} */ (word.easing) };
  return { focus: "subject" };
}

/**
 * Return the keyframe in a piece of the text; null where it cannot be read.
 * @param {string} piece
 * @returns {Key | null}
 */
export function readKey(piece) {
  const text = plain(piece);
  const head = /^\s*(\d{1,9})\s*:/.exec(text);
  if (!head || Number(head[1]) > LAST_FRAME) return null;
  /** @type {Key} */
  const key = { frame: Number(head[1]), focus: null, strength: null, easing: "linear", spans: {},
    begin: head[0].length };
  let at = key.begin;
  while (text.slice(at).trim()) {
    at += text.slice(at).length - text.slice(at).trimStart().length;
    WORDS.lastIndex = at;
    const word = WORDS.exec(text);
    const found = word && meaning(word.groups ?? {});
    const name = found && /** @type {keyof Key["spans"]} */ (Object.keys(found)[0]);
    if (!word || !name || key.spans[name]) return null;
    Object.assign(key, found);
    key.spans[name] = [at, at + word[0].trimEnd().length];
    at += word[0].length;
  }
  return key.spans.focus || key.spans.strength ? key : null;
}

/**
 * Return the keyframes by rising frame, and the first piece that cannot be read.
 * @param {string} text
 * @returns {{keys: Key[], unread: string}}
 */
export function readKeys(text) {
  const pieces = text.split(BETWEEN).filter((one, index) => index % 2 === 0 && one.trim());
  const keys = /** @type {Key[]} */ (pieces.map(readKey).filter(Boolean));
  keys.sort((one, other) => one.frame - other.frame);
  return { keys, unread: pieces.find((one) => !readKey(one))?.trim() ?? "" };
}

/**
 * Return the text with a value written at a frame, be it a keyframe already or not. A new one
 * comes in gently (`ease`), as a focus puller works; the first frame has nothing to come from.
 * @param {string} text
 * @param {number} frame
 * @param {"focus" | "strength"} name
 * @param {string} value
 */
export function writeKey(text, frame, name, value) {
  const pieces = text.split(BETWEEN);
  const at = pieces.findIndex((one, index) => index % 2 === 0 && readKey(one)?.frame === frame);
  const key = at < 0 ? null : readKey(pieces[at]);
  const word = name === "strength" ? `strength ${value}` : value;
  if (key) {
    const piece = plain(pieces[at]);
    const [from, to] = key.spans[name] ?? Array(2).fill(key.spans.focus?.[1] ?? key.begin);
    const space = key.spans[name] ? "" : " ";
    pieces[at] = piece.slice(0, from) + space + word + piece.slice(to);
    return pieces.join("");
  }
  const line = `${frame}: ${word}${frame > 0 ? " ease" : ""}`;
  const between = text.includes("\n") ? "\n" : "; ";
  const later = pieces.findIndex(
    (one, index) => index % 2 === 0 && (readKey(one)?.frame ?? -1) > frame,
  );
  if (later < 0) {
    const before = text.replace(/[\s;；]+$/, "");
    return before ? before + between + line : line;
  }
  const next = pieces[later];
  const gap = next.slice(0, next.length - next.trimStart().length);
  pieces[later] = `${gap}${line}${between}${next.trimStart()}`;
  return pieces.join("");
}

/**
 * Return the text without the keyframe of a frame.
 * @param {string} text
 * @param {number} frame
 */
export function removeKey(text, frame) {
  const pieces = text.split(BETWEEN);
  const at = pieces.findIndex((one, index) => index % 2 === 0 && readKey(one)?.frame === frame);
  if (at < 0) return text;
  pieces.splice(at, 2);
  return pieces.join("").replace(/[\s;；]+$/, "").trimStart();
}

/**
 * Return a value at a frame, between keyframes as their easing says; null where it is not known.
 * @param {Key[]} keys by rising frame, all with a value
 * @param {number} frame
 * @param {(key: Key) => number[] | null} valueOf
 */
export function between(keys, frame, valueOf) {
  const after = keys.find((one) => one.frame > frame) ?? keys.at(-1);
  const before = keys.filter((one) => one.frame <= frame).at(-1) ?? keys[0];
  if (!before || !after) return null;
  const [first, last] = [valueOf(before), valueOf(after)];
  if (!first || !last) return null;
  const span = after.frame - before.frame;
  const share = span > 0 ? EASINGS[after.easing]((frame - before.frame) / span) : 0;
  return first.map((value, index) => value + share * (last[index] - value));
}
