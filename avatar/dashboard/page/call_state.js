// How the call stands, in words: for the eye, and for screen readers.

/** The name of a host who has said none. */
export const NOBODY = "Host";

/**
 * own: {muted, showing}. hosts: whether that is an avatar, as of the owner's page. others: [{name, kind, connected, showing}].
 * Returns [text, mark]: green only where somebody really is connected, and the avatar really is shown.
 */
export function wording(own, hosts, others) {
  if (others.length === 0) return ["Nobody here yet", ""];
  const there = others.filter((one) => one.connected);
  if (there.length === 0) return [`${others.map((one) => one.name).join(", ")}: connecting`, ""];
  const avatars = hosts ? [own] : others.filter((one) => one.kind === "avatar");
  if (avatars.length && avatars.every((one) => one.showing === "nothing")) return [hosts ? "Waiting for your avatar" : "Waiting for the avatar", ""];
  const words = [there.length === 1 ? `Connected with ${there[0].name}` : `Connected with ${there.length} people`];
  if (hosts && own.showing === "idle") words.push("your avatar rests");
  if (own.muted) words.push("muted by you");
  return [words.join(" · "), "on"];
}

/** What has changed of a member, as a sentence; "" where nothing worth telling has. */
export function changeOf(before, now) {
  const { name } = now;
  if (before.muted !== now.muted) return now.muted ? `${name} has muted the microphone.` : `${name} can be heard again.`;
  if (before.camera_on !== now.camera_on) return now.camera_on ? `${name} can be seen again.` : `${name} has hidden the picture.`;
  if (before.showing === now.showing || now.kind !== "avatar") return "";
  if (now.showing === "nothing") return `${name} shows no avatar now.`;
  return now.showing === "idle" ? `${name}’s avatar is at rest: nobody moves it now.` : `${name} moves the avatar now.`;
}
