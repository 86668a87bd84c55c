// A search for "bokeh" lists Render Bokeh first, not the nodes whose names begin with the word.
import { app } from "../../scripts/app.js";

// What the front end's search gives a name: 0 for the query itself, 1 where the name begins with
// it, 2 where it is a later word, and more where it is less alike. Lower goes first.
const LATER_WORD = 2; // of Render Bokeh: the query can only be "bokeh"
const BEFORE_BEGINNINGS = 0.5;

/** Let the search's scores of Render Bokeh, and of no other node, tell that the word is its own. */
function rankSearch() {
  const definition = window.LiteGraph?.registered_node_types?.RenderBokeh?.nodeData;
  const shared = definition && Object.getPrototypeOf(definition); // of all nodes, in every list
  const original = shared?.postProcessSearchScores;
  if (typeof original !== "function") return; // a front end that ranks in another way
  shared.postProcessSearchScores = function (/** @type {number[]} */ scores) {
    const [likeness, ...rest] = original.call(this, scores);
    const own = this.name === "RenderBokeh" && likeness === LATER_WORD;
    return [own ? BEFORE_BEGINNINGS : likeness, ...rest];
  };
}

app.registerExtension({ name: "BokehDepth.SearchRank", setup: rankSearch });
