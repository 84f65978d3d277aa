// Put into visavis' own pages by benchmarks/calls.py: when each picture was captured, and when it was shown.
// Times are performance.now(), in milliseconds. A picture's 32 blocks are one number: avatar/profiling/time_code.py.

window.glass = {
  rows: [],
  video: null,

  take() {
    return this.rows.splice(0);
  },

  /** The blocks in a plane of brightness: `step` bytes a pixel, `stride` a row, blocks of `side` pixels. */
  blocks(plane, step, stride, side) {
    const from = Math.floor(side / 4), to = side - from;
    let value = 0;
    for (let block = 0; block < 32; block++) {
      const left = (block % 8) * side, top = Math.floor(block / 8) * side;
      let sum = 0;
      for (let y = top + from; y < top + to; y++) for (let x = left + from; x < left + to; x++) sum += plane[y * stride + x * step];
      value = value * 2 + (sum / (to - from) ** 2 > 127.5 ? 1 : 0);
    }
    return value;
  },

  side: (height) => Math.max(4, Math.floor(height / 40)),

  /** Every picture of a webcam: [blocks, captured (µs of Chromium's clock), here]. */
  async watchCamera(track) {
    const reader = new MediaStreamTrackProcessor({ track, maxBufferSize: 4 }).readable.getReader();
    const plane = new Uint8Array(1 << 20);
    for (;;) {
      const { value: frame, done } = await reader.read();
      if (done) return;
      const here = performance.now();
      const captured = frame.timestamp;
      const side = this.side(frame.displayHeight);
      const rect = { x: side, y: frame.displayHeight - 5 * side, width: 8 * side, height: 4 * side };
      const [{ offset, stride }] = await frame.copyTo(plane, { rect });
      frame.close();
      this.rows.push([this.blocks(plane.subarray(offset), 1, stride, side), captured, here]);
    }
  },

  /** Every picture that a <video> shows: [blocks, expected on the display, presented, received, width]. */
  watchVideo(video) {
    this.video = video;
    const canvas = new OffscreenCanvas(8, 4);
    const context = canvas.getContext("2d", { willReadFrequently: true });
    const look = (_now, { expectedDisplayTime, presentationTime, receiveTime, mediaTime, width, height }) => {
      video.requestVideoFrameCallback(look);
      const frame = new VideoFrame(video);
      const newer = Math.abs(frame.timestamp - 1e6 * mediaTime) > 1; // than what is reported: its own report comes next
      const side = this.side(height);
      if (canvas.width !== 8 * side) Object.assign(canvas, { width: 8 * side, height: 4 * side });
      if (!newer) context.drawImage(frame, side, height - 5 * side, 8 * side, 4 * side, 0, 0, 8 * side, 4 * side);
      frame.close();
      if (newer) return;
      const { data } = context.getImageData(0, 0, 8 * side, 4 * side);
      this.rows.push([this.blocks(data.subarray(1), 4, 4 * 8 * side, side), expectedDisplayTime, presentationTime, receiveTime ?? null, width]);
    };
    video.requestVideoFrameCallback(look);
  },

  /** What the <video> shows now: [blocks, file in base64]. */
  async picture(type) {
    const canvas = new OffscreenCanvas(this.video.videoWidth, this.video.videoHeight);
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.drawImage(this.video, 0, 0);
    const side = this.side(canvas.height);
    const { data } = context.getImageData(side, canvas.height - 5 * side, 8 * side, 4 * side);
    const bytes = new Uint8Array(await (await canvas.convertToBlob({ type, quality: 0.95 })).arrayBuffer());
    let text = "";
    for (let at = 0; at < bytes.length; at += 8192) text += String.fromCharCode(...bytes.subarray(at, at + 8192));
    return [this.blocks(data.subarray(1), 4, 4 * 8 * side, side), btoa(text)];
  },
};
