// What the tracker sees of one's face, over one's own camera's picture: for whoever turned it on, and never published.

import { byId, icon } from "./dom.js";

const KEPT = "own-points";
const FACE = "M4 12a8 8 0 1 0 16 0a8 8 0 1 0-16 0M9 10h.01M15 10h.01M8.5 14.5q3.5 3 7 0"; // for an icon
const DOT = 0.006; // of the picture's width: its radius

let ask = () => {};
let waiting = false; // points were asked for, and have not come

const wanted = () => localStorage.getItem(KEPT) === "on";
const seen = () => wanted() && !byId("own-camera").hidden && !document.hidden;

/** askOnce() asks visavis for the points as they are then. */
export function pointsWanted(askOnce) {
  ask = askOnce;
  waiting = false;
  followOwn();
}

/** One's own picture came or went. */
export function followOwn() {
  byId("own-points").setAttribute("aria-pressed", String(wanted()));
  if (!seen()) return paint([]);
  if (waiting) return;
  waiting = true;
  ask();
}

export function pointsArrived(points) {
  waiting = false;
  if (seen()) paint(points);
  followOwn();
}

/** The canvas is as large as the video's picture, and cut and mirrored as that is. */
function paint(points) {
  const canvas = byId("own-dots");
  const { videoWidth: width, videoHeight: height } = byId("own-picture");
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  const pen = canvas.getContext("2d");
  pen.clearRect(0, 0, width, height);
  pen.fillStyle = "#7df9c4";
  for (const [x, y] of points) {
    pen.beginPath();
    pen.arc(x * width, y * height, DOT * width, 0, 2 * Math.PI);
    pen.fill();
  }
}

byId("own-points").append(icon(FACE));
byId("own-points").onclick = () => {
  localStorage.setItem(KEPT, wanted() ? "off" : "on");
  followOwn();
};
document.addEventListener("visibilitychange", followOwn);
