// What every WebRTC connection of the page needs.

import { byId } from "./dom.js";

const GATHER_MS = 2000; // for the addresses of this computer

/** Resolves once the description holds this computer's addresses, or those that were found in time. */
export function gathered(pc) {
  return new Promise((resolve) => {
    if (pc.iceGatheringState === "complete") return resolve();
    const timer = setTimeout(resolve, GATHER_MS);
    pc.addEventListener("icegatheringstatechange", () => {
      if (pc.iceGatheringState !== "complete") return;
      clearTimeout(timer);
      resolve();
    });
  });
}

/** What comes over the connection is shown and heard in `video`. */
export function showTrack(pc, video) {
  const media = new MediaStream();
  video.srcObject = media;
  pc.ontrack = ({ track }) => {
    media.addTrack(track);
    video.play().catch((error) => (byId("hear").hidden = error.name !== "NotAllowedError"));
  };
}
