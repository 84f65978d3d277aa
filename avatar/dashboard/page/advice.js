// What helps, or should be known, beside the picture and never over it: one line, which a person may close.

import { byId, make, setText } from "./dom.js";

const told = new Map(); // by its cause: {text, buttons}
const closed = new Map(); // by its cause: the text that a person has closed, and needs no second time
let shown = "";

/** Says `text` about `cause`, or nothing more where it is "". buttons: [words, what it does] each. */
export function advise(cause, text, buttons = []) {
  if (text) told.set(cause, { text, buttons });
  else told.delete(cause);
  show();
}

function show() {
  const [cause, { text, buttons }] = [...told].find(([cause, { text }]) => closed.get(cause) !== text) ?? ["", { text: "", buttons: [] }];
  const now = [cause, text, ...buttons.map(([words]) => words)].join("\n");
  byId("advice").hidden = !text;
  if (now === shown) return;
  shown = now;
  if (byId("advice").contains(document.activeElement)) byId("live-title").focus(); // not nowhere
  setText(byId("advice-text"), text);
  byId("advice-acts").replaceChildren(...buttons.map(([words, act]) => make("button", { type: "button", onclick: act }, words)));
  byId("advice-close").onclick = () => {
    closed.set(cause, text);
    show();
  };
}
