// The picture: painted as it comes, with the light that it throws around itself.

import { byId } from "./dom.js";
import { live } from "./run.js";

const LIGHT_EVERY = 12; // pictures

let ask = () => {};
let waiting = false; // a picture was asked for, and has not come
let visible = true;
let painted = 0; // since the run began
const picture = byId("picture");

/** askOne() asks visavis for one picture. */
export function pictureWanted(askOne) {
  ask = askOne;
  waiting = false;
  want();
}

export function want() {
  if (waiting || document.hidden || !visible || live.state === "off") return;
  waiting = true;
  ask();
}

export async function pictureArrived(blob) {
  waiting = false;
  try {
    const bitmap = await createImageBitmap(blob);
    paint(bitmap);
    bitmap.close();
  } finally {
    want();
  }
}

/** Until the first picture comes, the face's own small one stands there. */
export function showPoster(address) {
  const poster = byId("poster");
  if (address && poster.src !== address) poster.src = address;
  poster.hidden = !address || painted > 0;
}

export function clear() {
  painted = 0;
  picture.getContext("2d").clearRect(0, 0, picture.width, picture.height);
}

function paint(bitmap) {
  if (live.state === "off") return;
  if (picture.width !== bitmap.width || picture.height !== bitmap.height) {
    Object.assign(picture, { width: bitmap.width, height: bitmap.height });
  }
  picture.getContext("2d").drawImage(bitmap, 0, 0);
  if (painted % LIGHT_EVERY === 0) light(bitmap);
  painted += 1;
  byId("poster").hidden = true;
}

/** The picture's colours without its shapes: smaller and larger again blurs more cheaply than a filter would. */
function light(source) {
  const glow = byId("glow");
  const pen = glow.getContext("2d");
  Object.assign(pen, { imageSmoothingEnabled: true, imageSmoothingQuality: "high" });
  pen.drawImage(source, 0, 0, 6, 4);
  pen.drawImage(glow, 0, 0, 6, 4, 0, 0, glow.width, glow.height);
}

document.addEventListener("visibilitychange", want);
new IntersectionObserver(([entry]) => {
  visible = entry.isIntersecting;
  want();
}).observe(byId("stage"));
