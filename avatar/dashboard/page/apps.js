// How other programs are told to take the avatar's camera on Linux, each in three clicks: Google Meet's and Discord's as
// their makers' pages describe it (support.google.com/meet/answer/7293899, support.discord.com/hc/articles/360041721052),
// Zoom's, Teams' (in a browser) and OBS's as it is generally known.

/** As their lists of cameras show it. */
export const CAMERA_NAME = "visavis";

const IN_A_BROWSER =
  "In Chrome, Edge or Brave, open chrome://flags/#enable-webrtc-pipewire-camera, choose “Enabled” and restart it. " +
  "In Firefox, set media.webrtc.camera.allow-pipewire to true in about:config; Fedora’s has it so.";

/** pipewire: how the program sees PipeWire's camera; "" where it cannot, and needs v4l2loopback. */
export const APPS = [
  {
    id: "zoom",
    name: "Zoom",
    steps: [
      "In the meeting, click the small arrow beside “Video”.",
      `Under “Select a Camera”, choose “${CAMERA_NAME}”.`,
      "If your picture is off, click “Start Video”.",
    ],
    pipewire: "",
  },
  {
    id: "meet",
    name: "Google Meet",
    steps: [
      "In the meeting, click ⋮ (“More options”), then “Settings”.",
      "Under “Video”, open the list of cameras.",
      `Choose “${CAMERA_NAME}”, then close the settings.`,
    ],
    pipewire: IN_A_BROWSER,
  },
  {
    id: "teams",
    name: "Microsoft Teams",
    steps: [
      "In the meeting, in Chrome or Edge, click the small arrow beside “Camera”.",
      "Open the list of cameras; else “More” › “Settings” › “Device settings” has it.",
      `Choose “${CAMERA_NAME}”.`,
    ],
    pipewire: IN_A_BROWSER,
  },
  {
    id: "discord",
    name: "Discord",
    steps: [
      "Click the gear at the bottom left (“User Settings”).",
      "Open “Voice & Video”, and go down to “Camera”.",
      `Choose “${CAMERA_NAME}”; “Test Video” shows it.`,
    ],
    pipewire: "",
  },
  {
    id: "obs",
    name: "OBS Studio",
    steps: [
      "Under “Sources”, click “+”, then “Video Capture Device (V4L2)”.",
      `As its “Device”, choose “${CAMERA_NAME}”.`,
      "Click “OK”.",
    ],
    pipewire: "Add “Video Capture Device (PipeWire)” instead; OBS has it since 30.2.",
  },
  {
    id: "browser",
    name: "Any page in a browser",
    steps: [
      "Open the page that wants a camera, and let the browser ask you.",
      "In its question, open the list of cameras. Chrome has it in chrome://settings/content/camera as well.",
      `Choose “${CAMERA_NAME}”, then “Allow”.`,
    ],
    pipewire: IN_A_BROWSER,
  },
];
