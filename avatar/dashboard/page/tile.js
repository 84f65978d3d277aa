// A choice as a small picture with its name under it.

import { make } from "./dom.js";

/** A radio button of `group`; `picture`: an element, of any kind. chosen(value) is called when a person chooses it. */
export function tile({ group, value, name, title = "", picture }, chosen) {
  const radio = make("input", { type: "radio", name: group, value, className: "visually-hidden" });
  radio.onchange = () => chosen(value);
  return make("label", { className: "tile", title }, radio, picture, make("span", { className: "name" }, name));
}
