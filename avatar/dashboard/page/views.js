// Two views of one page: the picture with all that changes it, or the call with the picture beside.

import { byId, setText } from "./dom.js";

const main = byId("main");
const members = byId("members");

function show() {
  const calling = main.dataset.view === "call";
  const others = members.querySelectorAll(".member").length;
  setText(byId("to-call"), calling ? "Back to the studio" : others ? `Call: ${others} here` : "Call somebody");
  byId("to-call").classList.toggle("on", others > 0 && !calling);
  byId("call").hidden = !calling;
  byId("look").hidden = calling;
}

export function openStudio() {
  for (const id of ["ways", "live", "avatars", "look"]) byId(id).hidden = false;
  show();
  new MutationObserver(show).observe(members, { childList: true });
}

byId("to-call").onclick = () => {
  main.dataset.view = main.dataset.view === "call" ? "studio" : "call";
  show();
  byId(main.dataset.view === "call" ? "call-title" : "live-title").focus();
};
