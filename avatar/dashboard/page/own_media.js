// A guest's own camera and microphone: each may be off, and is let go of then.

import { whyNoMedia } from "./dom.js";

const WANTED = { audio: true, video: { width: { ideal: 640 }, height: { ideal: 480 } } };
const NAMES = { audio: "microphone", video: "camera" };

export class OwnMedia {
  stream = new MediaStream();
  #changed;

  /** changed(kind, track): it is sent from now on, or nothing where it is null; problem: why, where nobody wished so. */
  constructor(changed) {
    this.#changed = changed;
  }

  get camera() {
    return this.#track("video");
  }

  get microphone() {
    return this.#track("audio");
  }

  /** Both at once, so that the browser asks once; or what there is of them. Resolves to a problem, or "". */
  async ask() {
    if (!navigator.mediaDevices) return `${whyNoMedia(new Error(), "camera or microphone")} You can join without.`;
    try {
      this.#take(await navigator.mediaDevices.getUserMedia(WANTED));
      return "";
    } catch (error) {
      const problems = [await this.turnOn("video"), await this.turnOn("audio")];
      if (problems.every(Boolean)) return `${whyNoMedia(error, "camera or microphone")} You can join without.`;
      return problems.find(Boolean) ?? "";
    }
  }

  /** kind: "audio" or "video". Resolves to a problem, or "". */
  async turnOn(kind) {
    if (this.#track(kind)) return "";
    try {
      this.#take(await navigator.mediaDevices.getUserMedia({ [kind]: WANTED[kind] }));
      return "";
    } catch (error) {
      return whyNoMedia(error, NAMES[kind]);
    }
  }

  turnOff(kind) {
    const track = this.#track(kind);
    if (!track) return;
    track.onended = null;
    track.stop();
    this.#let(kind, track);
  }

  #take(given) {
    for (const track of given.getTracks()) {
      this.stream.addTrack(track);
      track.onended = () => this.#let(track.kind, track, `Your ${NAMES[track.kind]} has gone. Plug it in, or close what else uses it, then turn it on again.`);
      this.#changed(track.kind, track, "");
    }
  }

  #let(kind, track, problem = "") {
    this.stream.removeTrack(track);
    this.#changed(kind, null, problem);
  }

  #track(kind) {
    return this.stream.getTracks().find((track) => track.kind === kind) ?? null;
  }
}
