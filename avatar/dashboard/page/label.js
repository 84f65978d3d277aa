// The visible label of the pictures: where it stands, how large, or why there is none. It changes while the avatar is live.

import { byId } from "./dom.js";

export const WORDS = "AI generated";

/** As it is chosen. Without a reason the label stays. */
export function label() {
  const corner = byId("label").value;
  const reason = byId("no-label").value.trim();
  return {
    corner: corner === "none" ? (localStorage.getItem("label") ?? "top-left") : corner,
    size: Number(byId("label-size").value),
    left_out: corner === "none" && reason ? reason : null,
  };
}

/** What holds now: another window, or the command line, may have chosen it. */
export function showLabel({ corner, size, left_out: reason }) {
  const waits = byId("label").value === "none" && !byId("no-label").value.trim(); // for a reason that is being typed
  if (reason !== null) byId("no-label").value = reason;
  if (!waits || reason !== null) byId("label").value = reason === null ? corner : "none";
  if (document.activeElement !== byId("label-size")) byId("label-size").value = size;
  showReason();
}

/** changed(): another one was chosen. Corner and size are kept for the next time; that there is none is not. */
export function prepareLabel(changed) {
  byId("label").value = localStorage.getItem("label") ?? "top-left";
  byId("label-size").value = localStorage.getItem("label-size") ?? "6";
  for (const id of ["label", "label-size", "no-label"]) {
    byId(id).onchange = () => {
      if (byId("label").value !== "none") {
        localStorage.setItem("label", byId("label").value);
        byId("no-label").value = "";
      }
      localStorage.setItem("label-size", byId("label-size").value);
      showReason();
      changed();
    };
  }
}

function showReason() {
  byId("no-label-box").hidden = byId("label").value !== "none";
}
