// The way to visavis: the link's token, requests, sockets.

const KEPT = "visavis-link";

/** {role: "owner" | "guest" | "none", token}. The token is taken out of the address, where it might be copied from. */
export const link = readLink();

function readLink() {
  const given = new URLSearchParams(location.hash.slice(1));
  for (const [part, role] of [["owner", "owner"], ["room", "guest"]]) {
    if (given.get(part)) {
      const found = { role, token: given.get(part) };
      sessionStorage.setItem(KEPT, JSON.stringify(found));
      history.replaceState(null, "", location.pathname);
      return found;
    }
  }
  try {
    return JSON.parse(sessionStorage.getItem(KEPT)) ?? { role: "none", token: "" };
  } catch {
    return { role: "none", token: "" };
  }
}

export class Refused extends Error {
  /** about: which field of a form it is about, where visavis says so. */
  constructor(status, message, about = "") {
    super(message);
    this.status = status;
    this.about = about;
  }
}

const UNREACHABLE = "visavis does not answer. Is it still running? Start it again, and open the link that it prints.";

/** The answer as JSON. Throws Refused, whose message says what to do. */
export async function request(method, path, body) {
  const blob = body instanceof Blob;
  let answer;
  try {
    answer = await fetch(path, {
      method,
      headers: {
        Authorization: `Bearer ${link.token}`,
        ...(body === undefined ? {} : { "Content-Type": blob ? "application/octet-stream" : "application/json" }),
      },
      body: body === undefined ? undefined : blob ? body : JSON.stringify(body),
    });
  } catch {
    throw new Refused(0, UNREACHABLE);
  }
  if (!answer.ok) {
    const text = await answer.text().catch(() => "");
    throw new Refused(answer.status, reason(answer.status, text), about(text));
  }
  return answer.headers.get("Content-Type")?.startsWith("application/json") ? answer.json() : answer.blob();
}

/**
 * As `request`, for a file: `progress` gets the share that was sent. Of an answer that comes line by line the last one
 * counts; `told` gets those that have come.
 */
export function upload(path, blob, progress, told = () => {}) {
  return new Promise((resolve, reject) => {
    const sending = new XMLHttpRequest();
    sending.open("POST", path);
    sending.setRequestHeader("Authorization", `Bearer ${link.token}`);
    sending.setRequestHeader("Content-Type", "application/octet-stream");
    sending.upload.onprogress = (event) => event.lengthComputable && progress(event.loaded / event.total);
    const lines = () => sending.responseText.split("\n").slice(0, -1).map((line) => JSON.parse(line));
    sending.onprogress = () => sending.status < 400 && lines().forEach(told);
    sending.onload = () =>
      sending.status < 400
        ? resolve(JSON.parse(sending.responseText.trim().split("\n").at(-1)))
        : reject(new Refused(sending.status, reason(sending.status, sending.responseText)));
    sending.onerror = () => reject(new Refused(0, "The upload was cut off. Is visavis still running? Try again."));
    sending.send(blob);
  });
}

export function openSocket(path) {
  const scheme = location.protocol === "https:" ? "wss" : "ws";
  const socket = new WebSocket(`${scheme}://${location.host}${path}`, ["visavis", `token.${link.token}`]);
  socket.binaryType = "blob";
  return socket;
}

function about(text) {
  try {
    return JSON.parse(text).about;
  } catch {
    return "";
  }
}

function reason(status, text) {
  try {
    return JSON.parse(text).error;
  } catch {
    if (status === 401 || status === 403) return "This link is of an earlier start of visavis. Open the one that it printed last.";
    if (status === 413) return "That is too large.";
    if (status === 429) return "Too much at once. Wait a moment, then try again.";
    return text.trim() || `visavis answered ${status}. Try again.`;
  }
}
