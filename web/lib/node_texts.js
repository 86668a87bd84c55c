// Texts on nodes: what ComfyUI's refusals say in one, and the room a text takes.

/** @typedef {import("../../tests/web/comfyui").NodeErrors} NodeErrors */

const LETTER = 6; // px, mean width in the front end's small font
const WIDE = /[\u2e80-\ua4cf\uac00-\ud7ff\uf900-\ufaff\uff00-\uff60]/g; // twice as wide: Chinese
const LINE = 16; // px
const BESIDE = 62; // px, of a node's width that its text does not use
const AROUND = 38; // px above and below the text
const LEAST = 58; // px, as the front end has it
const MOST = 220; // px; a longer text scrolls

/**
 * Return what was refused of each node, by its id, with what to do first: the pack's own words once
 * for all the inputs they were said of, ComfyUI's reasons in few words.
 * @param {NodeErrors} errors  as ComfyUI answers
 * @returns {Record<string, string>}
 */
export function refusalTexts(errors) {
  /** @type {Record<string, string>} */
  const texts = {};
  for (const [id, { errors: found }] of Object.entries(errors)) {
    const text = withoutMarkup([...new Set(found.map(inWords))].filter(Boolean).join("\n"));
    if (text) texts[id] = text;
  }
  return texts;
}

/**
 * Return what one refusal says; ComfyUI puts the input's name and " - " before the pack's words.
 * @param {NodeErrors[string]["errors"][number]} error
 */
function inWords({ type, details = "", extra_info: { input_name: name = "", ...more } = {} }) {
  const range = more.input_config?.[1] ?? {};
  switch (type) {
    case "custom_validation_failed":
      return details.startsWith(`${name} - `) ? details.slice(name.length + 3).trim() : "";
    case "value_not_in_list":
      return `${name}: choose another. ${more.received_value} is not there.`;
    case "value_smaller_than_min":
      return `${name}: use ${range.min} or more, not ${more.received_value}.`;
    case "value_bigger_than_max":
      return `${name}: use ${range.max} or less, not ${more.received_value}.`;
    case "required_input_missing":
      return `${name}: connect it.`;
    default:
      return "";
  }
}

/**
 * Return text for every front end: the oldest take it as HTML, Nodes 2.0 as Markdown, where two
 * spaces keep a line's end.
 * @param {string} text
 */
export function withoutMarkup(text) {
  const plain = text.replace(/[<>]/g, "").replaceAll("](", "] (").replaceAll("[[", "[ [");
  return plain.replace(/ *\n/g, "  \n");
}

/**
 * Put what the pack refused to the inputs that its words name, and to those alone; ComfyUI says it
 * of every input that the check reads.
 * @param {NodeErrors[string]["errors"]} found  of one node; changed, for the front end shows these
 * @param {Set<string>} inputs  of the node
 * @returns {Set<string>}  the inputs of which nothing is said any more
 */
export function putToNamed(found, inputs) {
  const said = new Set(found.map((one) => one.extra_info?.input_name ?? ""));
  const placed = found.filter(({ type }) => type !== "custom_validation_failed");
  const texts = new Set();
  for (const error of found) {
    if (error.type !== "custom_validation_failed") continue;
    const text = inWords(error);
    const named = [...namedInputs(text)];
    if (!named.length || !named.every((name) => inputs.has(name))) placed.push(error);
    else if (!texts.has(text)) {
      for (const name of named) {
        const there = { ...error.extra_info, input_name: name };
        placed.push({ ...error, details: `${name} - ${text}`, extra_info: there });
      }
    }
    texts.add(text);
  }
  found.splice(0, found.length, ...placed);
  for (const one of placed) said.delete(one.extra_info?.input_name ?? "");
  return said;
}

/**
 * Return the inputs that a message names: "model, clip: not connected. ..." names two.
 * @param {string} text
 */
export function namedInputs(text) {
  const head = /^(\w+(?:, \w+)*): /.exec(text);
  return new Set(head ? head[1].split(", ") : []);
}

/**
 * Return the height that a text takes on a node of a width, px of the canvas.
 * @param {string} text
 * @param {number} width
 */
export function roomFor(text, width) {
  const letters = Math.max(8, Math.floor((width - BESIDE) / LETTER));
  let lines = 0;
  for (const line of text.split(/ *\n/)) {
    const length = line.length + (line.match(WIDE)?.length ?? 0);
    lines += Math.max(1, Math.ceil(length / letters));
  }
  return Math.min(MOST, Math.max(LEAST, LINE * lines + AROUND));
}
