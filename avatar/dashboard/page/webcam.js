// The browser's own webcam, for pictures that visavis looks at: opened, shown mirrored, and handed out as JPEG.

import { byId, whyNoMedia } from "./dom.js";

export class Webcam {
  #video;
  #stream = null;
  #canvas = document.createElement("canvas");
  #opening = 0; // counts: whoever opens it anew, or closes it meanwhile, ends the one before

  /** Over the video is laid an outline of where the head should be; the frame's `data-way` says what it asks for. */
  constructor(video) {
    this.#video = video;
    video.after(byId("ghost").content.cloneNode(true));
  }

  /** Throws an Error that says what to do. Resolves to false where it was closed meanwhile. `gone` is called when it ends by itself. */
  async open(gone) {
    const opening = ++this.#opening;
    let stream;
    try {
      stream = await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: 1280 }, height: { ideal: 720 }, facingMode: "user" } });
    } catch (error) {
      throw new Error(whyNoMedia(error, "webcam"));
    }
    if (opening !== this.#opening) {
      for (const track of stream.getTracks()) track.stop();
      return false;
    }
    this.#stream = stream;
    stream.getVideoTracks()[0].onended = gone;
    this.#video.srcObject = stream;
    await this.#video.play().catch(() => {});
    const { videoWidth: width, videoHeight: height } = this.#video;
    if (width) this.#video.parentElement.style.setProperty("--shape", `${width / height}`);
    return opening === this.#opening;
  }

  close() {
    this.#opening += 1;
    for (const track of this.#stream?.getTracks() ?? []) {
      track.onended = null;
      track.stop();
    }
    this.#stream = this.#video.srcObject = null;
  }

  /** A JPEG of what it shows now, at most `width` wide; null before the first picture. */
  picture(width, quality) {
    const video = this.#video;
    if (!video.videoWidth) return Promise.resolve(null);
    const canvas = this.#canvas;
    const scale = Math.min(1, width / video.videoWidth);
    const [wide, high] = [Math.round(video.videoWidth * scale), Math.round(video.videoHeight * scale)];
    if (canvas.width !== wide || canvas.height !== high) Object.assign(canvas, { width: wide, height: high });
    canvas.getContext("2d", { willReadFrequently: true }).drawImage(video, 0, 0, wide, high);
    return new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", quality));
  }
}
