// Those who see a guest: each has a connection that sends the guest's own picture and sound.

import { gathered } from "./connection.js";

export class Viewers {
  #room;
  #media;
  #answering = new Map(); // by "from link"

  constructor(room, media) {
    this.#room = room;
    this.#media = media;
  }

  async answer({ from, link, sdp }) {
    this.forget(from); // a second offer is a reconnect
    const pc = this.#room.newConnection();
    const key = `${from} ${link}`;
    const wanted = () => this.#answering.get(key) === pc; // else it left meanwhile, or asked anew
    this.#answering.set(key, pc);
    pc.onconnectionstatechange = () => pc.connectionState === "failed" && wanted() && this.#end(key);
    try {
      await pc.setRemoteDescription({ type: "offer", sdp });
      for (const transceiver of pc.getTransceivers()) {
        transceiver.direction = "sendonly"; // also without a track: a camera may be turned on later
        await transceiver.sender.replaceTrack(this.#media.getTracks().find((track) => track.kind === kindOf(transceiver)) ?? null);
      }
      await pc.setLocalDescription(await pc.createAnswer());
      await gathered(pc);
      if (wanted()) this.#room.say({ type: "answer", to: from, link, sdp: pc.localDescription.sdp });
    } catch (error) {
      if (!wanted()) return;
      this.#end(key);
      this.#room.say({ type: "refuse", to: from, link, reason: String(error.message).slice(0, 200) });
    }
  }

  /** Everybody gets `track` from now on, or nothing where it is null. */
  send(kind, track) {
    for (const pc of this.#answering.values()) {
      for (const transceiver of pc.getTransceivers()) {
        if (kindOf(transceiver) === kind) transceiver.sender.replaceTrack(track).catch(() => {}); // it was closed meanwhile
      }
    }
  }

  takeBye({ from, link }) {
    this.#end(`${from} ${link}`);
  }

  takeCandidate({ from, link, candidate }) {
    this.#answering.get(`${from} ${link}`)?.addIceCandidate({ candidate, sdpMLineIndex: 0 }).catch(() => {});
  }

  /** Whoever left gets nothing of this guest any more. */
  forget(from) {
    for (const key of [...this.#answering.keys()]) if (key.startsWith(`${from} `)) this.#end(key);
  }

  forgetAll() {
    for (const key of [...this.#answering.keys()]) this.#end(key);
  }

  #end(key) {
    this.#answering.get(key)?.close();
    this.#answering.delete(key);
  }
}

function kindOf(transceiver) {
  return transceiver.receiver.track.kind;
}
