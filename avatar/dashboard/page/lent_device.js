// A webcam or microphone of this browser that visavis uses, by a link on this computer.

import { gathered } from "./connection.js";
import { whyNoMedia } from "./dom.js";
import { request } from "./server.js";

export class LentDevice {
  #name;
  #constraints;
  #gone;
  #say;
  #changed;
  #lent = null; // {stream}, and {pc, id} once it is linked
  #busy = false;
  #tried = false; // for the present wish: what was refused is not asked for again and again

  /** gone: what to say when it is unplugged. say(text): a problem, or "" for none. changed(): it was turned on or off. */
  constructor({ name, constraints, gone, say, changed = () => {} }) {
    this.#name = name;
    this.#constraints = constraints;
    this.#gone = gone;
    this.#say = say;
    this.#changed = changed;
  }

  get on() {
    return Boolean(this.#lent);
  }

  /** What it gives, for its owner to see; null while it is off. */
  get stream() {
    return this.#lent?.stream ?? null;
  }

  /** It is used from now on, or no more. */
  async want(wanted) {
    if (!wanted) this.#tried = false;
    if (this.#busy || (wanted && this.#tried) || wanted === this.on) return;
    this.#busy = true;
    if (wanted) {
      this.#tried = true;
      await this.start();
    } else await this.stop();
    this.#busy = false;
  }

  async start() {
    this.#say("");
    let stream;
    try {
      stream = await navigator.mediaDevices.getUserMedia(this.#constraints);
    } catch (error) {
      return this.#say(whyNoMedia(error, this.#name));
    }
    this.#lent = { stream };
    this.#changed();
    stream.getTracks()[0].onended = () => {
      if (this.#lent?.stream !== stream) return;
      this.stop();
      this.#say(this.#gone);
    };
    await this.#lend(stream);
  }

  async stop() {
    const { pc, id, stream } = this.#lent;
    this.#lent = null;
    this.#changed();
    for (const track of stream.getTracks()) track.stop();
    await unlink({ pc, id });
  }

  /** Link the stream to visavis, and again when the link fails: on a computer that slept, or has much too much to do. */
  async #lend(stream) {
    const pc = new RTCPeerConnection(); // to this computer: no server, and never a relay
    const wanted = () => this.#lent?.stream === stream;
    try {
      for (const track of stream.getTracks()) pc.addTransceiver(track, { direction: "sendonly", streams: [stream] });
      await pc.setLocalDescription(await pc.createOffer());
      await gathered(pc);
      const { id, sdp } = await request("POST", "/api/drive", { sdp: pc.localDescription.sdp });
      if (!wanted()) return unlink({ pc, id });
      await pc.setRemoteDescription({ type: "answer", sdp });
      this.#lent = { pc, id, stream };
      this.#changed();
      pc.onconnectionstatechange = () => {
        if (pc.connectionState !== "failed" || this.#lent?.pc !== pc) return;
        unlink({ pc, id });
        this.#lend(stream);
      };
    } catch (error) {
      pc.close();
      if (!wanted()) return;
      await this.stop();
      this.#say(error.message);
    }
  }
}

async function unlink({ pc, id }) {
  pc?.close();
  if (id) await request("DELETE", `/api/peers/${id}`).catch(() => {});
}
